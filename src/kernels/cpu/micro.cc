#include "kernels/cpu/micro.h"

#include <cstring>
#include <utility>

#include "kernels/cpu/fetch.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/micro.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vec = hn::Vec<Tag>;
#if HWY_TARGET == HWY_SCALAR
constexpr int kLanes = 1;
#else
constexpr int kLanes = HWY_MAX_BYTES / 4;
#endif

// 28 accumulators where there are 32 registers, 12 where there are 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kBlockRows = 14;
#else
constexpr int kBlockRows = 6;
#endif
static_assert(kBlockRows <= kMaxBlockRows && 2 * kLanes <= kMaxPanel);

// An empty statement that the compiler cannot see through. Without it GCC gives every row a pointer of its own, and
// x86-64 has not enough registers for fourteen: 85 GFLOP/s instead of 117.
template <typename T>
HWY_INLINE void Hide(T*& p) {
  asm("" : "+r"(p));
}

// With kFetch, also asks for a cache line of `fetch` for every term of the sum.
template <int kRows, int kVectors, bool kFetch = false>
HWY_INLINE void Block(const GemmTap* HWY_RESTRICT taps, int64_t tap_count, const float* HWY_RESTRICT a, int64_t lda,
                      const float* HWY_RESTRICT b, int64_t ldb, GemmStart start, const float* HWY_RESTRICT bias,
                      float* HWY_RESTRICT c, int64_t ldc, const float* fetch = nullptr) {
  const Tag d;
  Vec acc[kRows][kVectors];
  if (start == GemmStart::kAccumulate) {
    const float* from = c;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::LoadU(d, from + j * kLanes);
      from += ldc;
    }
  } else {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      const Vec first = start == GemmStart::kBias ? hn::LoadU(d, bias + j * kLanes) : hn::Zero(d);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) acc[i][j] = first;
    }
  }
  constexpr int kGroups = (kRows + 2) / 3;  // one pointer for three rows: p, p + lda and p + 2 lda are addressing modes
  for (int64_t t = 0; t < tap_count; ++t) {
    const float* p[kGroups];
#pragma GCC unroll 5
    for (int g = 0; g < kGroups; ++g) p[g] = a + taps[t].a + 3 * g * lda;
    const float* q = b + taps[t].b * ldb;
    for (int64_t k = taps[t].k; k > 0; --k) {
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) Hide(p[g]);
      if constexpr (kFetch) {
        __builtin_prefetch(fetch);
        fetch += kLineFloats;
      }
      Vec bv[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) bv[j] = hn::LoadU(d, q + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Vec av = hn::Set(d, p[i / 3][(i % 3) * lda]);
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]);
      }
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) ++p[g];
      q += ldb;
    }
  }
  // Without this GCC works out where every row goes before the sums, and parks the addresses on the stack meanwhile.
  float* to = c;
  Hide(to);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, to + j * kLanes);
    to += ldc;
  }
}

template <int kVectors>
void Rows(int64_t rows, const GemmTap* taps, int64_t tap_count, const float* a, int64_t lda, const float* b,
          int64_t ldb, GemmStart start, const float* bias, float* c, int64_t ldc) {
  for (; rows >= kBlockRows; rows -= kBlockRows) {
    Block<kBlockRows, kVectors>(taps, tap_count, a, lda, b, ldb, start, bias, c, ldc);
    a += kBlockRows * lda;
    c += kBlockRows * ldc;
  }
  // What is left is a block of its own size: two of half the size would wait for their sums.
  const auto rest = [&]<size_t... kRows>(std::index_sequence<kRows...>) HWY_ATTR {
    (void)((rows == static_cast<int64_t>(kRows) + 1 &&
            (Block<kRows + 1, kVectors>(taps, tap_count, a, lda, b, ldb, start, bias, c, ldc), true)) ||
           ...);
  };
  rest(std::make_index_sequence<kBlockRows - 1>());
}

void FetchingRows(int64_t rows, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                  int64_t ldc, const float* fetch) {
  const GemmTap tap{.a = 0, .b = 0, .k = k};
  const float* const end = fetch + k * 2 * kLanes;
  for (; rows >= kBlockRows && fetch < end; rows -= kBlockRows) {
    Block<kBlockRows, 2, true>(&tap, 1, a, lda, b, ldb, GemmStart::kZero, nullptr, c, ldc, fetch);
    fetch += k * kLineFloats;
    a += kBlockRows * lda;
    c += kBlockRows * ldc;
  }
  Rows<2>(rows, &tap, 1, a, lda, b, ldb, GemmStart::kZero, nullptr, c, ldc);
}

#if HWY_TARGET != HWY_SCALAR
// `kFold` floats at p, repeated through the vector.
template <int kFold>
HWY_INLINE Vec LoadRepeated(const float* p) {
  const Tag d;
  if constexpr (kFold == 4) {
    return hn::LoadDup128(d, p);
  } else {
    const hn::Repartition<double, Tag> dd;
    double two;
    std::memcpy(&two, p, sizeof(two));
    return hn::BitCast(d, hn::Set(dd, two));
  }
}

template <int kRows, int kVectors, int kFold>
HWY_INLINE void FoldedBlock(const GemmTap* HWY_RESTRICT taps, int64_t tap_count, const float* HWY_RESTRICT a,
                            int64_t lda, const float* HWY_RESTRICT b, int64_t ldb, GemmStart start,
                            const float* HWY_RESTRICT bias, float* HWY_RESTRICT c, int64_t ldc) {
  const Tag d;
  Vec acc[kRows][kVectors];
#pragma GCC unroll 2
  for (int j = 0; j < kVectors; ++j) {
    const Vec first = start == GemmStart::kBias ? hn::LoadU(d, bias + j * kLanes) : hn::Zero(d);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) acc[i][j] = first;
  }
  constexpr int kGroups = (kRows + 2) / 3;
  for (int64_t t = 0; t < tap_count; ++t) {
    const float* p[kGroups];
#pragma GCC unroll 5
    for (int g = 0; g < kGroups; ++g) p[g] = a + taps[t].a + 3 * g * lda;
    const float* q = b + taps[t].b * ldb;
    for (int64_t k = taps[t].k; k > 0; k -= kFold) {
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) Hide(p[g]);
      Vec bv[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) bv[j] = hn::LoadU(d, q + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Vec av = LoadRepeated<kFold>(p[i / 3] + (i % 3) * lda);
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]);
      }
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) p[g] += kFold;
      q += kVectors * kLanes;
    }
  }
  if constexpr (kVectors == 2) {
    static_assert(kFold == 2);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      hn::StoreU(hn::Add(hn::ConcatEven(d, acc[i][1], acc[i][0]), hn::ConcatOdd(d, acc[i][1], acc[i][0])), d,
                 c + i * ldc);
    }
  } else {
    HWY_ALIGN int32_t every[kLanes] = {};
    for (int j = 0; j < kLanes / kFold; ++j) every[j] = j * kFold;
    const auto valid = hn::SetTableIndices(d, every);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      Vec sum = hn::Add(acc[i][0], hn::Shuffle2301(acc[i][0]));
      if constexpr (kFold == 4) sum = hn::Add(sum, hn::Shuffle1032(sum));
      hn::StoreU(hn::TableLookupLanes(sum, valid), d, c + i * ldc);
    }
  }
}

template <int kVectors, int kFold>
void FoldedRows(int64_t rows, const GemmTap* taps, int64_t tap_count, const float* a, int64_t lda, const float* b,
                int64_t ldb, GemmStart start, const float* bias, float* c, int64_t ldc) {
  const auto run = [&]<int kRows>() HWY_ATTR {
    FoldedBlock<kRows, kVectors, kFold>(taps, tap_count, a, lda, b, ldb, start, bias, c, ldc);
    a += kRows * lda;
    c += kRows * ldc;
    rows -= kRows;
  };
  while (rows >= kBlockRows) run.template operator()<kBlockRows>();
  if constexpr (kBlockRows > 8) {
    if (rows >= 8) run.template operator()<8>();
  }
  if (rows >= 4) run.template operator()<4>();
  if (rows >= 2) run.template operator()<2>();
  if (rows >= 1) run.template operator()<1>();
}
#endif

}  // namespace

MicroKernels MakeMicro() {
  MicroKernels micro{.lanes = kLanes,
                     .panel = 2 * kLanes,
                     .block_rows = kBlockRows,
                     .full = &Rows<2>,
                     .half = &Rows<1>,
                     .full_fetching = &FetchingRows};
#if HWY_TARGET != HWY_SCALAR
  micro.folded = {.full_by2 = &FoldedRows<2, 2>, .half_by2 = &FoldedRows<1, 2>, .half_by4 = &FoldedRows<1, 4>};
#endif
  return micro;
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(MakeMicro);
MicroKernels CurrentMicro() { return HWY_DYNAMIC_DISPATCH(MakeMicro)(); }
}  // namespace timbre
#endif
