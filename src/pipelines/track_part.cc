#include "pipelines/track_part.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "base/text.h"

namespace timbre {
namespace {

constexpr double kMostSeconds = 1e7;  // four months

// Digits, and behind the last colon a fraction. Negative where it is no such number.
double Number(std::string_view text, bool fraction) {
  double value = -1;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  const bool whole = text.find('.') == std::string_view::npos;
  return error == std::errc() && stopped == end && std::isfinite(value) && (fraction || whole) ? value : -1;
}

Result<double> ParseTime(const char* option, const std::string& text) {
  const auto wrong = [&] {
    return Fail(ErrorCode::kInvalidArgument, std::string(option) +
                                                 " takes seconds, or minutes and hours before a colon (90, 1:30, "
                                                 "1:02:03.5), not '" +
                                                 Printable(text) + "'");
  };
  double seconds = 0;
  int colons = 0;
  for (std::string_view rest = text;; ++colons) {
    const size_t colon = rest.find(':');
    const bool last = colon == std::string_view::npos;
    const double number = Number(rest.substr(0, colon), last);
    // Minutes and seconds behind a colon are clock's; what stands first may be any number of them.
    if (number < 0 || colons > 2 || (colons > 0 && number >= 60)) return wrong();
    seconds = seconds * 60 + number;
    if (last) break;
    rest.remove_prefix(colon + 1);
  }
  if (seconds > kMostSeconds) return wrong();
  return seconds;
}

}  // namespace

FieldList PartFields(PartOptions& part) {
  return {{.name = "start",
           .value = &part.start,
           .help = "leave out what comes before: seconds, m:ss or h:mm:ss",
           .placeholder = "TIME"},
          {.name = "duration",
           .value = &part.duration,
           .help = "compute so much of the input and no more (default: all)",
           .placeholder = "TIME"}};
}

Result<AudioPart> ParsePart(const PartOptions& part) {
  AudioPart parsed;
  if (!part.start.empty()) {
    TIMBRE_TRY(parsed.start, ParseTime("--start", part.start));
  }
  if (!part.duration.empty()) {
    TIMBRE_TRY(parsed.length, ParseTime("--duration", part.duration));
    if (parsed.length == 0) return Fail(ErrorCode::kInvalidArgument, "a --duration of 0 leaves nothing to compute");
  }
  return parsed;
}

}  // namespace timbre
