#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace timbre {
namespace {

// The length of the UTF-8 sequence that `text` begins with, or 0 where it begins with none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) > 0x9F;
  const bool beyond = first == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

// The character of a well-formed sequence.
uint32_t CodeOf(std::string_view sequence) {
  constexpr std::array<uint8_t, 5> kLeads = {0, 0x7F, 0x1F, 0x0F, 0x07};  // the bits of the first byte that count
  uint32_t code = static_cast<uint8_t>(sequence[0]) & kLeads[sequence.size()];
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<uint8_t>(c) & 0x3Fu);
  return code;
}

bool Controls(uint32_t code) {
  const auto within = [code](uint32_t first, uint32_t last) { return code >= first && code <= last; };
  return code < 0x20 || within(0x7F, 0x9F) ||               // C0; DEL and C1
         within(0x2028, 0x2029) ||                          // the separators of lines and paragraphs
         code == 0x061C || within(0x200E, 0x200F) ||        // marks of direction
         within(0x202A, 0x202E) || within(0x2066, 0x2069);  // embeddings, overrides, isolates
}

// Calls keep(sequence) for what may be shown, control(code) for what may not, broken() for a byte that is no UTF-8.
template <typename Keep, typename Control, typename Broken>
void ForEachCharacter(std::string_view text, const Keep& keep, const Control& control, const Broken& broken) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
    if (length == 0) {
      broken();
    } else if (const uint32_t code = CodeOf(sequence); Controls(code)) {
      control(code);
    } else {
      keep(sequence);
    }
    text.remove_prefix(sequence.size());
  }
}

std::string WithoutControls(std::string_view text, size_t longest, char line_end) {
  std::string out;
  bool cut = false;
  const auto put = [&](std::string_view piece) {
    cut = cut || out.size() + piece.size() > longest;
    if (!cut) out += piece;
  };
  ForEachCharacter(
      text, put, [&](uint32_t code) { put(code == '\n' ? std::string_view(&line_end, 1) : "?"); }, [&] { put("?"); });
  return cut ? out + "…" : out;
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerCase(c);
  return lower;
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Printable(std::string_view text, size_t longest) { return WithoutControls(text, longest, '?'); }

std::string PrintableLines(std::string_view text, char line_end) {
  return WithoutControls(text, std::string::npos, line_end);
}

std::string PrintableJson(std::string_view json) {
  std::string out;
  ForEachCharacter(
      json, [&](std::string_view sequence) { out += sequence; },
      [&](uint32_t code) {
        std::array<char, 8> escaped;
        std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(code));
        // Line ends stand between the strings, and only there.
        out += code == '\n' ? "\n" : escaped.data();
      },
      [&] { out += '?'; });
  return out;
}

}  // namespace timbre
