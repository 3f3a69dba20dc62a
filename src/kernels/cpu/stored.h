// Arithmetic on weights that stay as a checkpoint stores them: float32, float16, bfloat16 or blocks.
#pragma once

#include <cstdint>

#include "graph/tensor.h"

namespace timbre {

// Whether the functions below read this type.
bool CanRead(DType dtype);

// `count` values (whole blocks) as float32.
void WidenStored(const std::byte* p, DType dtype, int64_t count, float* out);

// y[o] = sum over i of w[o][i] x[i] for `outputs` rows of k values, one after the other in memory. Where
// ArrangedFloats() says so, x is what ArrangeForDot() made of it.
void DotStored(const std::byte* w, DType dtype, const float* x, int64_t k, int64_t outputs, float* y);

// Weights in blocks of nibbles want x in the order in which vectors find them: so many floats; 0: as it is.
int64_t ArrangedFloats(DType dtype, int64_t k);
void ArrangeForDot(DType dtype, const float* x, int64_t k, float* to);

// Memory that is wanted next: `count` runs of so many bytes, `stride` apart.
struct MemoryAhead {
  const std::byte* from = nullptr;
  int64_t count = 0, bytes = 0, stride = 0;
};

// y[r * ld + o] = sum over i of w[o * ldw + i] x[r * ldx + i] for four outputs o. k is a multiple of sixteen. `ahead`
// comes into the caches meanwhile, little by little: many lines asked for at once would be waited for.
void DotFour(const float* w, int64_t ldw, int64_t k, const float* x, int64_t ldx, int64_t rows, float* y, int64_t ld,
             const MemoryAhead& ahead = {});

// Four rows of floats, `ld` apart, as four columns of a panel: out[i * panel + o] = w[o * ld + i]. k is a multiple of
// sixteen.
void FourColumns(const float* w, int64_t ld, int64_t k, float* out, int64_t panel);

}  // namespace timbre
