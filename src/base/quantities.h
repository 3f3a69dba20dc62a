// Amounts as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace timbre {

// "4 min 05 s", "0.8 s".
std::string DurationText(double seconds);
// "81 MB"
std::string BytesText(double bytes);
// "once", "3 times"
std::string TimesText(int64_t count);
// "lowered by 2.4 dB to stay below full scale": what rescaling by `gain`, of 0 to 1, does.
std::string LoweredText(double gain);

}  // namespace timbre
