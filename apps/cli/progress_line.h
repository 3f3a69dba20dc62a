// The one line that shows how far the work is.
#pragma once

#include <string>
#include <string_view>

namespace timbre::cli {

// "separating song.mp3 [########............]  40 %, 12 s left" in at most `columns` - 1 columns, so that it never
// wraps: where it is narrow, the time left goes first, then the bar, then the label. `label` is printable UTF-8; `left`
// begins with its comma, or is empty.
std::string ProgressLine(std::string_view label, double fraction, std::string_view left, int columns);

}  // namespace timbre::cli
