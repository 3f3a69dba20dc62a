// What depthwise.cc hands to the code that is compiled for every target.
#pragma once

#include <cstdint>

namespace timbre {

// Positions that see the same taps: a line, or a piece of one.
struct DepthwiseLine {
  int64_t x_step = 0, y_step = 0;  // floats from one position's inputs and results to the next one's
  int64_t positions = 0, channels = 0;
  const float* bias = nullptr;
  float least = 0;             // results are at least this: 0 or minus infinity
  const float* add = nullptr;  // added to them then, where they will lie; or null
  float* y = nullptr;
};

}  // namespace timbre
