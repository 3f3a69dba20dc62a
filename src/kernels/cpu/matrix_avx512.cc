// The matrix unit of AVX512-BF16: two products of a pair in every lane of a vector. The sums of a pair's products go to
// the result one after the other.
#include "kernels/cpu/matrix_unit.h"
#include "kernels/cpu/matrix_x86.h"

namespace timbre {

#ifdef TIMBRE_MATRIX_X86
namespace {

// See Hide in micro.cc.
template <typename T>
inline void Hide(T*& p) {
  asm("" : "+r"(p));
}

// Sixteen accumulators: at six cycles an instruction that is enough for two in a cycle.
constexpr int kBlockRows = 8;

template <int kRows, int kVectors, int kParts>
TIMBRE_BF16 void Block(const MatrixProduct& p, const uint16_t* a, const float* start, float* c) {
  constexpr int kGroups = (kRows + 2) / 3;  // one pointer for three rows
  constexpr int64_t kStep = int64_t{kParts} * kVectors * kMatrixTile;
  const int64_t lda = p.lda, low = p.low;
  __m512 acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) acc[i][j] = _mm512_loadu_ps(start + i * p.start_ld + j * kMatrixColumns);
  }
  for (const MatrixRun* run = p.runs; run != p.runs + p.run_count; ++run) {
    const uint16_t* at[kGroups];
#pragma GCC unroll 3
    for (int g = 0; g < kGroups; ++g) at[g] = a + run->a + 3 * g * lda;
    const uint16_t* b = p.b + run->b * kStep;
    for (int64_t s = run->steps; s > 0; --s, b += kStep) {
      for (int pair = 0; pair < kMatrixDepth / 2; ++pair) {
        const uint16_t* right = b + pair * 2 * kMatrixColumns;
#pragma GCC unroll 3
        for (int g = 0; g < kGroups; ++g) Hide(at[g]);
        __m512bh high[kVectors], lower[kVectors];
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) {
          high[j] = (__m512bh)_mm512_loadu_si512(right + j * kMatrixTile);
          if constexpr (kParts == 2) lower[j] = (__m512bh)_mm512_loadu_si512(right + (kVectors + j) * kMatrixTile);
        }
        const auto left = [&](int i, int64_t part) __attribute__((always_inline)) TIMBRE_BF16 {
          int two;
          __builtin_memcpy(&two, at[i / 3] + (i % 3) * lda + part, sizeof(two));
          return (__m512bh)_mm512_set1_epi32(two);
        };
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
          const __m512bh value = left(i, 0);
#pragma GCC unroll 2
          for (int j = 0; j < kVectors; ++j) {
            if constexpr (kParts == 2) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], value, lower[j]);
            acc[i][j] = _mm512_dpbf16_ps(acc[i][j], value, high[j]);
          }
          if constexpr (kParts == 2) {
            const __m512bh rest = left(i, low);
#pragma GCC unroll 2
            for (int j = 0; j < kVectors; ++j) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], rest, high[j]);
          }
        }
#pragma GCC unroll 3
        for (int g = 0; g < kGroups; ++g) at[g] += 2;
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) _mm512_storeu_ps(c + i * p.ldc + j * kMatrixColumns, acc[i][j]);
  }
}

template <int kVectors, int kParts>
void Rows(const MatrixProduct& p) {
  int64_t r = 0;
  const auto run = [&]<int kRows>() {
    Block<kRows, kVectors, kParts>(p, p.a + r * p.lda, p.start + r * p.start_ld, p.c + r * p.ldc);
    r += kRows;
  };
  while (p.rows - r >= kBlockRows) run.template operator()<kBlockRows>();
  if (p.rows - r >= 4) run.template operator()<4>();
  if (p.rows - r >= 2) run.template operator()<2>();
  if (p.rows - r >= 1) run.template operator()<1>();
}

void Multiply(const MatrixProduct& p) {
  if (p.parts == 1) {
    (p.column_tiles == 2 ? Rows<2, 1> : Rows<1, 1>)(p);
  } else {
    (p.column_tiles == 2 ? Rows<2, 2> : Rows<1, 2>)(p);
  }
}

TIMBRE_BF16 void Split(const float* x, int64_t count, uint16_t* high, uint16_t* low) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 some = count - i >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << (count - i)) - 1);
    const __m512 value = _mm512_maskz_loadu_ps(some, x + i);
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(value);
    _mm256_mask_storeu_epi16(high + i, some, rounded);
    if (low == nullptr) continue;
    const __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
    _mm256_mask_storeu_epi16(low + i, some, (__m256i)_mm512_cvtneps_pbh(_mm512_sub_ps(value, wide)));
  }
}

bool Detect() {
  unsigned a, b, c, d;
  // Leaf 7, second part, EAX bit 5. That the system keeps the registers is what AVX3 stands for.
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5 & 1) != 0;
}

// AMD's make twice as many multiply-adds of pairs as of floats, Intel's half as many.
bool ProcessorIsAmds() {
  unsigned a, b, c, d;
  return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == 0x68747541;  // "Auth", of AuthenticAMD
}

}  // namespace

bool HasAvx512Bf16() {
  static const bool has = Detect();
  return has;
}

const MatrixUnit* Avx512Bf16Unit() {
  static const MatrixUnit kUnit{
      .name = "AVX3_BF16", .faster = ProcessorIsAmds(), .multiply = &Multiply, .split = &Split};
  return HasAvx512Bf16() ? &kUnit : nullptr;
}
#else
bool HasAvx512Bf16() { return false; }
const MatrixUnit* Avx512Bf16Unit() { return nullptr; }
#endif

}  // namespace timbre
