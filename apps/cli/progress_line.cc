#include "apps/cli/progress_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace timbre::cli {
namespace {

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The beginning of `text` in at most `columns`. Which characters of Unicode are wide depends on the terminal: all but
// ASCII count as two columns.
std::string Shortened(std::string_view text, int columns) {
  const auto width = [](char c) { return Continues(c) ? 0 : static_cast<unsigned char>(c) < 0x80 ? 1 : 2; };
  int whole = 0;
  for (const char c : text) whole += width(c);
  if (whole <= columns) return std::string(text);
  constexpr int kEllipsis = 2;
  int used = 0;
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (used + width(text[end]) > columns - kEllipsis) break;
    used += width(text[end]);
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace

std::string ProgressLine(std::string_view label, double fraction, std::string_view left, int columns) {
  constexpr int kWidestLabel = 36, kWidestBar = 20, kNarrowestBar = 10, kNarrowestLabel = 6;
  const int room = std::max(0, columns - 1);
  std::string end = fmt::format("{:3.0f} %", 100 * fraction);
  if (static_cast<int>(end.size() + left.size()) <= room / 2) end += left;
  int free = room - static_cast<int>(end.size());
  if (free < 0) return end.substr(0, static_cast<size_t>(room));
  std::string bar;
  if (const int cells = std::min(kWidestBar, free / 2 - 3); cells >= kNarrowestBar) {
    const int filled = static_cast<int>(fraction * cells);
    bar = fmt::format("[{:#<{}}{:.<{}}] ", "", filled, "", cells - filled);
    free -= cells + 3;
  }
  // A blank follows the label.
  if (free <= kNarrowestLabel) return bar + end;
  return Shortened(label, std::min(kWidestLabel, free - 1)) + " " + bar + end;
}

}  // namespace timbre::cli
