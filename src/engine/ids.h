// Names for what is made here, and the clock that the journal tells time by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace timbre::engine {

// Microseconds since 1970, UTC.
int64_t Now();
// "2026-01-31T12:00:00.123Z" (RFC 3339).
std::string TimeText(int64_t microseconds);

// A UUID of version 7 (RFC 9562): later ones sort behind.
std::string NewId();
// Whether a text has that form.
bool IsId(std::string_view text);

// 64 hexadecimal digits of the system's random numbers.
std::string NewToken();

// SHA-256 of a text, 64 hexadecimal digits.
std::string Sha256Of(std::string_view text);

}  // namespace timbre::engine
