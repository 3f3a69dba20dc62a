// MD5 digests, by which UVR's tables name models. No protection against anybody.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace timbre {

// 32 lower-case hexadecimal digits.
Result<std::string> Md5(std::string_view bytes);

}  // namespace timbre
