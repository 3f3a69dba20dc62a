// Sums of a few inputs, for kernels that find a product of matrices too much for them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/micro.h"

namespace timbre {

// Of a result at most, for these kernels to be chosen.
inline constexpr int64_t kMostFewInputs = 48;

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

// Makes all outputs of `positions` positions at y, from where `room` floats may be written.
void RunFewInputs(const FewInputs& line, int64_t positions, float* y, int64_t room);

// The weights of `outputs` sums of `inputs`: the bias, padded to vectors, then chunks as FewInputs::w takes them.
int64_t FewInputsBiasFloats(int64_t outputs);
int64_t FewInputsPackedFloats(int64_t inputs, int64_t outputs);
int FewInputsMostVectors();  // in a chunk; the rest comes in two, then in one

// Fills FewInputsPackedFloats() floats, which are zero, from weight(input, output).
template <typename Weight>
void PackFewInputs(int64_t inputs, int64_t outputs, const Weight& weight, const float* bias, float* packed) {
  const int64_t lanes = CurrentMicro().lanes, vectors = FewInputsBiasFloats(outputs) / lanes;
  std::copy_n(bias, outputs, packed);
  float* to = packed + FewInputsBiasFloats(outputs);
  int64_t count = FewInputsMostVectors();
  for (int64_t first = 0; first < vectors; first += count) {
    while (count > vectors - first) count /= 2;
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t o = first * lanes; o < (first + count) * lanes; ++o) *to++ = o < outputs ? weight(i, o) : 0.0f;
    }
  }
}

}  // namespace timbre
