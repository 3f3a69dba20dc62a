// Output that appears under its final name only when it is complete.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace timbre {

// A file written beside its final name, in the same folder, and renamed by Commit(). Without Commit() it is removed
// again. Movable, not copyable.
class AtomicFile {
 public:
  // Makes the temporary file; the folder must exist. It carries the final name's extension, because encoders go by it.
  static Result<AtomicFile> Create(const std::string& final_path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile() { Discard(); }

  // For libraries that open the file themselves.
  const std::string& temporary_path() const { return temporary_path_; }
  const std::string& final_path() const { return final_path_; }

  // Appends. Fails with kIo where the disk is full.
  Status Write(std::span<const std::byte> bytes);
  Status Write(std::string_view text);

  // Closes and renames, replacing what had the name. `durable` also waits until the bytes are on the disk.
  Status Commit(bool durable = false);
  // Closes and removes. Does nothing after Commit().
  void Discard();

 private:
  AtomicFile() = default;
  std::string final_path_, temporary_path_;
  int fd_ = -1;
};

}  // namespace timbre
