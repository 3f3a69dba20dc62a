// Samples that lie on disk between two passes: they take 4 bytes each, and are gone with the object.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

class SampleFile {
 public:
  // In `folder`, which must exist.
  static Result<SampleFile> Create(const std::string& folder);

  // At the end. Fails with kIo where the disk is full.
  Status Append(const float* samples, int64_t count);
  // The `count` samples from `at` on, all of which must have been appended.
  Status Read(int64_t at, int64_t count, float* samples) const;
  int64_t size() const { return size_; }

 private:
  SampleFile(TemporaryFile file, std::string folder) : file_(std::move(file)), folder_(std::move(folder)) {}
  TemporaryFile file_;
  std::string folder_;
  int64_t size_ = 0;  // samples
};

}  // namespace timbre
