// SHA-256 digests: 64 lower-case hexadecimal digits.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace timbre {

Result<std::string> Sha256Of(std::string_view bytes);

// Of a file. `cancelled` is asked every few megabytes; true ends it with kCancelled.
Result<std::string> Sha256OfFile(const std::filesystem::path& path, const std::function<bool()>& cancelled = {});

}  // namespace timbre
