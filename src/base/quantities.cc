#include "base/quantities.h"

#include <fmt/format.h>

#include <cmath>

namespace timbre {

std::string DurationText(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string BytesText(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, bytes < 9.95 && unit > 0 ? 1 : 0, units[unit]);
}

std::string TimesText(int64_t count) { return count == 1 ? "once" : fmt::format("{} times", count); }

std::string LoweredText(double gain) {
  return fmt::format("lowered by {:.1f} dB to stay below full scale (--clip)", -20 * std::log10(gain));
}

}  // namespace timbre
