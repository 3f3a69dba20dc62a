// Amounts as people read and write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace timbre {

// "4 min 05 s", "0.8 s".
std::string DurationText(double seconds);
// "81 MB"
std::string BytesText(double bytes);
// "once", "3 times"
std::string TimesText(int64_t count);
// "lowered by 2.4 dB to stay below full scale": what rescaling by `gain`, of 0 to 1, does.
std::string LoweredText(double gain);

// 1 where a plus stands before a number, as people write gains and std::from_chars does not read them; else 0.
constexpr size_t PlusBefore(std::string_view number) {
  return number.size() > 1 && number[0] == '+' && number[1] != '-' ? 1 : 0;
}

}  // namespace timbre
