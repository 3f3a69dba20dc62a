#include "kernels/cpu/half_micro.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/cpu/half_x86.h"
#include "kernels/cpu/simd.h"

#ifdef TIMBRE_HALF_X86
#include <cpuid.h>
#endif

namespace timbre {

float HalfScale(uint32_t largest, int top) {
  if (largest == 0 || largest > 0x7F7FFFFF) return 1.0f;
  const int exponent = static_cast<int>(largest >> 23) - 126;  // the value is in [2^(exponent - 1), 2^exponent)
  return std::bit_cast<float>(static_cast<uint32_t>(std::clamp(top - exponent, -120, 120) + 127) << 23);
}

#ifdef TIMBRE_HALF_X86
namespace {

// See Hide in micro.cc.
template <typename T>
inline void Hide(T*& p) {
  asm("" : "+r"(p));
}

// The sums of one run, `run`[kRows][kVectors * kHalfLanes]; returns the taps that it took. A function of its own:
// inlined into what surrounds it, GCC keeps other values in registers and reads a factor from memory in every
// multiply-add.
template <int kRows, int kVectors>
TIMBRE_HALF __attribute__((noinline)) int64_t Run(const HalfTap* taps, const uint32_t* a, int64_t lda,
                                                  const uint16_t* b, uint16_t* run) {
  constexpr int kWidth = kVectors * kHalfLanes, kGroups = (kRows + 2) / 3;
  __m512h acc[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) acc[i][j] = _mm512_setzero_ph();
  }
  int64_t t = 0;
  do {
    const uint32_t* p[kGroups];
#pragma GCC unroll 5
    for (int g = 0; g < kGroups; ++g) p[g] = a + taps[t].a + 3 * g * lda;
    const uint16_t* q = b + taps[t].b * kWidth;
    for (int64_t k = taps[t].k; k > 0; --k) {
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) Hide(p[g]);
      __m512h bv[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) bv[j] = _mm512_loadu_ph(q + j * kHalfLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const __m512h av = _mm512_castsi512_ph(_mm512_set1_epi32(static_cast<int>(p[i / 3][(i % 3) * lda])));
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) acc[i][j] = _mm512_fmadd_ph(av, bv[j], acc[i][j]);
      }
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) ++p[g];
      q += kWidth;
    }
  } while (!taps[t++].widen);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) _mm512_store_ph(run + i * kWidth + j * kHalfLanes, acc[i][j]);
  }
  return t;
}

template <int kRows, int kVectors>
TIMBRE_HALF void Block(const HalfTap* taps, int64_t tap_count, const uint32_t* a, int64_t lda, const uint16_t* b,
                       HalfStart start, const float* bias, const float* scale, float factor, float* c, int64_t ldc,
                       HalfNext next) {
  constexpr int kWidth = kVectors * kHalfLanes;
  // By way of memory, the upper half of a vector becomes floats without a shuffle.
  alignas(64) uint16_t run[kRows * kWidth];
  alignas(64) float sums[kRows * kWidth];
  bool first = true;
  if (tap_count == 0) std::memset(run, 0, sizeof(run));
  const char* fetch = static_cast<const char*>(next.data);
  for (int64_t t = 0; t < tap_count;) {
    const int64_t lines = next.lines / (tap_count - t);
    next.lines -= lines;
    for (int64_t i = 0; i < lines; ++i, fetch += 64) __builtin_prefetch(fetch, 0, 2);
    t += Run<kRows, kVectors>(taps + t, a, lda, b, run);
    if (t == tap_count) break;
    for (int i = 0; i < kRows * kWidth; i += 16) {
      const __m512 wide = _mm512_cvtxph_ps(_mm256_load_ph(run + i));
      _mm512_store_ps(sums + i, first ? wide : _mm512_add_ps(wide, _mm512_load_ps(sums + i)));
    }
    first = false;
  }
  for (int j = 0; j < kWidth; j += 16) {
    const __m512 times = _mm512_mul_ps(_mm512_loadu_ps(scale + j), _mm512_set1_ps(factor));
    for (int i = 0; i < kRows; ++i) {
      __m512 wide = _mm512_cvtxph_ps(_mm256_load_ph(run + i * kWidth + j));
      if (!first) wide = _mm512_add_ps(wide, _mm512_load_ps(sums + i * kWidth + j));
      const __m512 from = _mm512_loadu_ps(start == HalfStart::kBias ? bias + j : c + i * ldc + j);
      _mm512_storeu_ps(c + i * ldc + j, _mm512_fmadd_ps(wide, times, from));
    }
  }
}

template <int kVectors>
TIMBRE_HALF void Rows(int64_t rows, const HalfTap* taps, int64_t tap_count, const uint32_t* a, int64_t lda,
                      const uint16_t* b, HalfStart start, const float* bias, const float* scale, float factor, float* c,
                      int64_t ldc, HalfNext next) {
  const auto run = [&]<int kRows>() {
    Block<kRows, kVectors>(taps, tap_count, a, lda, b, start, bias, scale, factor, c, ldc, next);
    next.lines = 0;
    a += kRows * lda;
    c += kRows * ldc;
    rows -= kRows;
  };
  while (rows >= kHalfBlockRows) run.template operator()<kHalfBlockRows>();
  if (rows >= 8) run.template operator()<8>();
  if (rows >= 4) run.template operator()<4>();
  if (rows >= 2) run.template operator()<2>();
  if (rows >= 1) run.template operator()<1>();
}

TIMBRE_HALF __mmask16 First(int64_t count) {
  return count >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << count) - 1);
}

TIMBRE_HALF uint32_t Largest(const float* x, int64_t count) {
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i most[4];
  for (__m512i& m : most) m = _mm512_setzero_si512();
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      most[j] = _mm512_max_epu32(most[j], _mm512_and_si512(magnitude, _mm512_loadu_si512(x + i + j * 16)));
    }
  }
  for (; i < count; i += 16) {
    const __m512i v = _mm512_maskz_loadu_epi32(First(count - i), x + i);
    most[0] = _mm512_max_epu32(most[0], _mm512_and_si512(magnitude, v));
  }
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(most[0], most[1]), _mm512_max_epu32(most[2], most[3])));
}

TIMBRE_HALF void Repeat(const float* x, int64_t count, float scale, uint32_t* out) {
  alignas(64) static constexpr uint16_t kTwice[32] = {0, 0, 1, 1, 2,  2,  3,  3,  4,  4,  5,  5,  6,  6,  7,  7,
                                                      8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15};
  const __m512i twice = _mm512_load_si512(kTwice);
  const __m512 by = _mm512_set1_ps(scale);
  const auto convert = [&](__m512 v) TIMBRE_HALF_INLINE {
    const __m256h half = _mm512_cvtxps_ph(_mm512_mul_ps(v, by));
    return _mm512_permutexvar_epi16(twice, _mm512_castsi256_si512(_mm256_castph_si256(half)));
  };
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_si512(out + i, convert(_mm512_loadu_ps(x + i)));
  if (i < count) {
    const __mmask16 rest = First(count - i);
    _mm512_mask_storeu_epi32(out + i, rest, convert(_mm512_maskz_loadu_ps(rest, x + i)));
  }
}

constexpr HalfKernels kKernels = {&Rows<2>, &Rows<1>, &Largest, &Repeat};

bool ProcessorHasHalves() {
  unsigned a, b, c, d;
  // Leaf 7, EDX bit 23: AVX512-FP16. That the system keeps the registers is what AVX3 stands for.
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 23 & 1) != 0;
}

}  // namespace

const HalfKernels* CurrentHalf() {
  static const bool has = ProcessorHasHalves();
  return has && SimdVectorTarget() == "AVX3" ? &kKernels : nullptr;
}
#else
const HalfKernels* CurrentHalf() { return nullptr; }
#endif

}  // namespace timbre
