// Small things about files that the standard library lacks.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace timbre {

// The size of a regular file in bytes, or -1 where there is none.
int64_t FileBytes(const std::filesystem::path& path);

// Writes what the system still holds of `path` to the disk.
Status SyncToDisk(const std::filesystem::path& path);

}  // namespace timbre
