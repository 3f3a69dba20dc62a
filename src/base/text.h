// Text that came from outside.
#pragma once

#include <string>
#include <string_view>

namespace timbre {

// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool IsUtf8(std::string_view text);

// `text` made fit for a message: control characters and broken UTF-8 become '?', and what is long is cut.
std::string Printable(std::string_view text, size_t longest = 100);

}  // namespace timbre
