// Small things about files that the standard library lacks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace timbre {

// The size of a regular file in bytes, or -1 where there is none.
int64_t FileBytes(const std::filesystem::path& path);

// Why FileBytes() is -1: nothing has that name (kNotFound), or what has it is no file (kUnsupported).
Error NoFile(const std::string& path);

// Whether two paths lead to one file, or would once there is one.
bool IsSameFile(const std::string& a, const std::string& b);

// Writes what the system still holds of `path` to the disk.
Status SyncToDisk(const std::filesystem::path& path);

}  // namespace timbre
