#include "formats/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace timbre {
namespace {

CharacterKind SlowKindOf(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return CharacterKind::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CharacterKind::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return CharacterKind::kSpace;
    default: return (c >= 0x09 && c <= 0x0D) || c == 0x85 ? CharacterKind::kSpace : CharacterKind::kOther;
  }
}

constexpr size_t kTableSize = 0x3000;  // most alphabets

std::array<CharacterKind, kTableSize> MakeKinds() {
  std::array<CharacterKind, kTableSize> kinds;
  for (size_t c = 0; c < kTableSize; ++c) kinds[c] = SlowKindOf(static_cast<char32_t>(c));
  return kinds;
}

// How long the sequence is that begins with `first`, and what its second byte may be; a length of 0 for a byte that
// begins none.
struct Lead {
  size_t length;
  uint8_t least, most;
};
Lead LeadOf(uint8_t first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first < 0xF0) return {3, static_cast<uint8_t>(first == 0xE0 ? 0xA0 : 0x80), uint8_t(first == 0xED ? 0x9F : 0xBF)};
  if (first < 0xF5) return {4, static_cast<uint8_t>(first == 0xF0 ? 0x90 : 0x80), uint8_t(first == 0xF4 ? 0x8F : 0xBF)};
  return {0, 0, 0};
}

}  // namespace

CharacterKind KindOf(char32_t c) {
  static const std::array<CharacterKind, kTableSize> kinds = MakeKinds();
  return c < kTableSize ? kinds[c] : SlowKindOf(c);
}

void AppendUtf8(char32_t c, std::string& utf8) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  utf8.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(n));
}

std::string ComposeNfc(std::string_view utf8) {
  // Below U+0300 nothing combines, and everything is composed as it is.
  bool composed = true;
  ForEachCodePoint(utf8, [&](char32_t c, std::string_view) { composed = composed && c < 0x300; });
  if (composed) return std::string(utf8);
  // In parts, because utf8proc_map puts long runs of marks in order by exchanging neighbours.
  std::vector<utf8proc_int32_t> points;
  points.reserve(utf8.size() / 2);
  ForEachCodePoint(utf8, [&](char32_t c, std::string_view) {
    std::array<utf8proc_int32_t, 32> parts;  // a character has at most 4, canonically
    int boundary = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), UTF8PROC_DECOMPOSE, &boundary);
    points.insert(points.end(), parts.begin(), parts.begin() + std::clamp<utf8proc_ssize_t>(n, 0, parts.size()));
  });
  const auto rank = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = points.begin(); begin != points.end();) {
    if (rank(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, points.end(), [&](utf8proc_int32_t c) { return rank(c) == 0; });
    std::stable_sort(begin, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) { return rank(a) < rank(b); });
    begin = end;
  }
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  std::string text;
  text.reserve(utf8.size());
  for (utf8proc_ssize_t i = 0; i < count; ++i) AppendUtf8(static_cast<char32_t>(points[static_cast<size_t>(i)]), text);
  return text;
}

size_t AppendLossyUtf8(std::string_view bytes, bool last, std::string& text) {
  for (size_t at = 0; at < bytes.size();) {
    const Lead lead = LeadOf(static_cast<uint8_t>(bytes[at]));
    size_t good = 1;  // bytes that may begin a character together
    while (good < lead.length && at + good < bytes.size()) {
      const auto byte = static_cast<uint8_t>(bytes[at + good]);
      if (good == 1 ? byte < lead.least || byte > lead.most : (byte & 0xC0) != 0x80) break;
      ++good;
    }
    if (good == lead.length) {
      text += bytes.substr(at, good);
    } else if (lead.length > 0 && at + good == bytes.size() && !last) {
      return at;
    } else {
      text += "\xEF\xBF\xBD";
    }
    at += good;
  }
  return bytes.size();
}

}  // namespace timbre
