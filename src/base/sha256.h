// The SHA-256 digest of a file.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace timbre {

// 64 lower-case hexadecimal digits. `cancelled` is asked every few megabytes; true ends it with kCancelled.
Result<std::string> Sha256OfFile(const std::filesystem::path& path, const std::function<bool()>& cancelled = {});

}  // namespace timbre
