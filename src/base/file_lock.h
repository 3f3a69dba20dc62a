// One process at a time: an advisory lock on a file, given back when the holder ends, however it ends.
#pragma once

#include <filesystem>
#include <functional>
#include <utility>

#include "base/result.h"

namespace timbre {

class FileLock {
 public:
  // Waits until no other process holds `path`, which is made if it isn't there. While waiting, `cancelled` is asked ten
  // times a second; true ends the wait with kCancelled.
  static Result<FileLock> Acquire(const std::filesystem::path& path, const std::function<bool()>& cancelled);

  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace timbre
