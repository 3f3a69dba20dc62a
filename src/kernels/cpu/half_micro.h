// The register block of products in half precision: half factors and sums, with float32 sums of short runs. Written for
// processors that multiply and add halves (AVX512-FP16: twice as many in an instruction as floats).
#pragma once

#include <cstdint>

namespace timbre {

// So many products are added in half precision before their sum goes to a float32 one. A longer run costs precision
// (the error of a run grows with its square root), a shorter one time.
inline constexpr int kHalfRun = 64;

// Halves in a vector, columns of a full panel, rows of the register block.
inline constexpr int kHalfLanes = 32, kHalfPanel = 2 * kHalfLanes, kHalfBlockRows = 14;

// Left sides are scaled by a power of two until their largest value is in [2^(kHalfTop - 1), 2^kHalfTop); columns of
// right sides until theirs is in [1/2, 1). Then no run can exceed the largest half, 65504, and values down to 2^-22 of
// the largest keep all their digits.
inline constexpr int kHalfTop = 9;
static_assert((kHalfRun << kHalfTop) <= 32768);

// A piece of the sum: left values a .. a + k of each row times rows [b, b + k) of the panel. Where `widen`, the run
// ends with it.
struct HalfTap {
  int64_t a = 0, b = 0, k = 0;
  bool widen = true;
};

// Memory to fetch into the second-level cache meanwhile, in lines of 64 bytes.
struct HalfNext {
  const void* data = nullptr;
  int64_t lines = 0;
};

enum class HalfStart : uint8_t { kBias, kAccumulate };

// c[r, j] = start + scale[j] * factor * sum over taps and i of a[r * lda + tap.a + i] * b[tap.b + i, j] for one panel,
// kHalfPanel columns wide for `full` and kHalfLanes for `half`, whose rows lie that far apart. Left values are halves,
// each twice in 32 bits: a processor can load and repeat 32 bits for nothing, but not 16 (165 against 110 % of the
// float32 peak). The last tap ends a run. `start` is bias[j] or c.
using HalfMicroFn = void (*)(int64_t rows, const HalfTap* taps, int64_t tap_count, const uint32_t* a, int64_t lda,
                             const uint16_t* b, HalfStart start, const float* bias, const float* scale, float factor,
                             float* c, int64_t ldc, HalfNext next);

struct HalfKernels {
  HalfMicroFn full = nullptr, half = nullptr;
  // The largest absolute value, as bits; above 0x7F7FFFFF where one is not finite.
  uint32_t (*largest)(const float* x, int64_t count) = nullptr;
  // out[i] = half(x[i] * scale), twice; out may be x.
  void (*repeat)(const float* x, int64_t count, float scale, uint32_t* out) = nullptr;
};

// Null where this processor, or the SIMD target in use, has no arithmetic for halves.
const HalfKernels* CurrentHalf();

// A power of two that brings a largest absolute value (its bits) to kHalfTop, or to another exponent. 1 where there is
// nothing to scale, or no number.
float HalfScale(uint32_t largest, int top = kHalfTop);

}  // namespace timbre
