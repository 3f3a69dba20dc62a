// The register block that every product runs on: the one piece of arithmetic that decides how fast the CPU is.
#pragma once

#include <cstdint>

namespace timbre {

// A run of the sum that makes one element: a[row][a .. a + k) times rows [b, b + k) of the panel. A plain product has
// one; a convolution has one for each contiguous piece of its receptive field.
struct GemmTap {
  int64_t a = 0;  // floats from the row's start
  int64_t b = 0;  // rows from the panel's start
  int64_t k = 0;
};

enum class GemmStart : uint8_t { kZero, kBias, kAccumulate };

// c[r, j] = start + sum over taps and i of a[r * lda + tap.a + i] * b[(tap.b + i) * ldb + j], for r in [0, rows) and j
// in one panel (two vectors wide for `full`, one for `half`). All of it is written, every element is summed in the
// order of the taps, and the result of a row does not depend on the rows beside it. kBias starts from bias[j],
// kAccumulate from c.
using MicroFn = void (*)(int64_t rows, const GemmTap* taps, int64_t tap_count, const float* a, int64_t lda,
                         const float* b, int64_t ldb, GemmStart start, const float* bias, float* c, int64_t ldc);

// The same for a product of so few columns that a panel holds each of them `fold` times, once for every place that k
// takes modulo `fold`: row i of b is floats [0, width) of a panel of one or two vectors, where float j * fold + q
// belongs to column j and to term i * fold + q, and ldb is width / fold. Taps are multiples of `fold`; so are the sums,
// which are added up last: for two x0 + x1, for four (x0 + x1) + (x2 + x3). Bias j is float j * fold of `bias`, whose
// others are 0. Every row is stored as a whole vector of which the first width / fold are valid, in the order of the
// rows: where ldc is less than `lanes`, the next row overwrites the rest of the one before.
struct FoldedKernels {
  MicroFn full_by2 = nullptr, half_by2 = nullptr, half_by4 = nullptr;  // null where a vector has too few lanes
};

// Of one run of k terms, started from zero, by one full panel, while the panel at `fetch`, as large, comes into the
// first-level cache as far as the rows give time for it.
using FetchingMicroFn = void (*)(int64_t rows, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
                                 float* c, int64_t ldc, const float* fetch);

struct MicroKernels {
  int lanes = 0;       // floats in a vector
  int panel = 0;       // floats in a full panel: 2 * lanes
  int block_rows = 0;  // rows of the register block: best speed at multiples of it
  MicroFn full = nullptr, half = nullptr;
  FetchingMicroFn full_fetching = nullptr;
  FoldedKernels folded;
};

inline constexpr int kMaxBlockRows = 14;
inline constexpr int kMaxPanel = 32;

// Those of the target in use.
MicroKernels CurrentMicro();

}  // namespace timbre
