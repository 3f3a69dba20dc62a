// What tokenizers need to know of Unicode: classes of characters, composition, and UTF-8 that is not well formed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace timbre {

enum class CharacterKind : unsigned char { kLetter, kNumber, kSpace, kOther };

// \p{L}, \p{N} (Nd, Nl and No), \s (White_Space), or none of these.
CharacterKind KindOf(char32_t c);

// Calls take(code point, its bytes) for each character of well-formed UTF-8.
template <typename Take>
void ForEachCodePoint(std::string_view utf8, const Take& take) {
  for (size_t at = 0; at < utf8.size();) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(utf8[at + i]); };
    const size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
    char32_t c = length == 1 ? byte(0) : byte(0) & (0x7Fu >> length);
    for (size_t i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3Fu);
    take(c, utf8.substr(at, length));
    at += length;
  }
}

// Appends the character's UTF-8.
void AppendUtf8(char32_t c, std::string& utf8);

// Normalization Form C of well-formed UTF-8, in time that grows little faster than the text, however many combining
// marks follow each other.
std::string ComposeNfc(std::string_view utf8);

// Appends `bytes` as UTF-8: U+FFFD for each maximal part that is ill-formed. An incomplete sequence at the end stays,
// unless this is `last`. Returns how many bytes were taken.
size_t AppendLossyUtf8(std::string_view bytes, bool last, std::string& text);

}  // namespace timbre
