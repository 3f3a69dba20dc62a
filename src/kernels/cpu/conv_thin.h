// What conv_thin.cc hands to the code that is compiled for every target.
#pragma once

#include <cstdint>

namespace timbre {

// One line of positions whose inputs come in few runs each.
struct FewInputs {
  const float* x = nullptr;     // of the first position
  int64_t runs = 0, ld = 0;     // runs of a position's inputs, and how far apart they are
  int64_t run = 0, step = 0;    // floats in a run, and from one position's to the next one's
  const float* w = nullptr;     // [chunk of vectors][runs][run][vectors of the chunk]
  const float* bias = nullptr;  // padded to vectors
  int64_t outputs = 0;          // of a position
  int64_t y_ld = 0;             // from one position's to the next one's
  float least = 0;              // results are at least this: 0 or minus infinity
};

}  // namespace timbre
