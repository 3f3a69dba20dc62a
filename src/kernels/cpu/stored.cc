#include "kernels/cpu/stored.h"

#include <algorithm>

#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/stored.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/stored-inl.h"
#include "kernels/cpu/stored_nibbles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

// f(Stored) for the type that stores single numbers, g(Stored) for one that stores blocks.
template <typename F, typename G>
HWY_INLINE void WithType(DType dtype, const F& f, [[maybe_unused]] const G& g) {
  switch (dtype) {
    case DType::kF32: return f(StoredF32());
    case DType::kF16: return f(StoredF16());
    case DType::kBF16: return f(StoredBF16());
#if HWY_TARGET != HWY_SCALAR
    case DType::kQ4_0: return g(StoredQ4_0());
    case DType::kQ4_1: return g(StoredQ4_1());
    case DType::kQ5_0: return g(StoredQ5_0());
    case DType::kQ5_1: return g(StoredQ5_1());
    case DType::kQ8_0: return g(StoredQ8_0());
    case DType::kQ4_K: return g(StoredQ4_K());
    case DType::kQ5_K: return g(StoredQ5_K());
    case DType::kQ6_K: return g(StoredQ6_K());
#endif
    default: return;
  }
}

// Numbers one by one: several sums, so that none waits for the one before.
template <typename Stored>
HWY_INLINE Vec DotNumbers(const uint8_t* w, const float* x, int64_t k) {
  const Tag d;
  Vec a = hn::Zero(d), b = a, c = a, e = a;
  int64_t i = 0;
  for (; i + 4 * kLanes <= k; i += 4 * kLanes) {
    a = hn::MulAdd(Stored::Load(w + i * Stored::kBytes), hn::LoadU(d, x + i), a);
    b = hn::MulAdd(Stored::Load(w + (i + kLanes) * Stored::kBytes), hn::LoadU(d, x + i + kLanes), b);
    c = hn::MulAdd(Stored::Load(w + (i + 2 * kLanes) * Stored::kBytes), hn::LoadU(d, x + i + 2 * kLanes), c);
    e = hn::MulAdd(Stored::Load(w + (i + 3 * kLanes) * Stored::kBytes), hn::LoadU(d, x + i + 3 * kLanes), e);
  }
  for (; i + kLanes <= k; i += kLanes) a = hn::MulAdd(Stored::Load(w + i * Stored::kBytes), hn::LoadU(d, x + i), a);
  if (kLanes > 1 && i < k) {
    HWY_ALIGN uint8_t stored[kLanes * Stored::kBytes] = {};
    HWY_ALIGN float rest[kLanes] = {};
    const auto left = std::min<size_t>(k - i, kLanes);
    std::memcpy(stored, w + i * Stored::kBytes, left * Stored::kBytes);
    std::memcpy(rest, x + i, left * sizeof(float));
    b = hn::MulAdd(Stored::Load(stored), hn::Load(d, rest), b);
  }
  return hn::Add(hn::Add(a, b), hn::Add(c, e));
}

#if HWY_TARGET != HWY_SCALAR
// Whole numbers times x are added up first, and scaled once a block.
HWY_INLINE Vec DotQ8_0(const uint8_t* w, const float* x, int64_t k) {
  const Tag d;
  Vec a = hn::Zero(d), b = a;
  const auto add = [&](int64_t i, Vec& sum) HWY_ATTR {
    const uint8_t* const block = w + i / kSmallBlock * static_cast<int64_t>(sizeof(BlockQ8_0));
    const auto* const q = reinterpret_cast<const int8_t*>(block + offsetof(BlockQ8_0, q));
    Vec of_q = hn::Mul(FromInt8(q), hn::LoadU(d, x + i));
    for (int j = kLanes; j < kSmallBlock; j += kLanes) {
      of_q = hn::MulAdd(FromInt8(q + j), hn::LoadU(d, x + i + j), of_q);
    }
    sum = hn::MulAdd(of_q, HalfAt(block), sum);
  };
  int64_t i = 0;
  for (; i + 2 * kSmallBlock <= k; i += 2 * kSmallBlock) {
    add(i, a);
    add(i + kSmallBlock, b);
  }
  if (i < k) add(i, a);
  return hn::Add(a, b);
}

// f(Nibbles) for a type in blocks of nibbles.
template <typename F>
HWY_INLINE void WithNibbles(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kQ4_0: return f(SmallNibbles<BlockQ4_0, 4, false>());
    case DType::kQ4_1: return f(SmallNibbles<BlockQ4_1, 4, true>());
    case DType::kQ5_0: return f(SmallNibbles<BlockQ5_0, 5, false>());
    case DType::kQ5_1: return f(SmallNibbles<BlockQ5_1, 5, true>());
    case DType::kQ4_K: return f(NibblesOfK<BlockQ4_K, 4>());
    case DType::kQ5_K: return f(NibblesOfK<BlockQ5_K, 5>());
    case DType::kQ6_K: return f(NibblesOfQ6K());
    default: return;
  }
}
#endif

// Sums of the lanes of four vectors.
HWY_INLINE void SumFour(Vec a, Vec b, Vec c, Vec e, float* to) {
  const Tag d;
#if HWY_TARGET == HWY_SCALAR
  to[0] = hn::GetLane(a), to[1] = hn::GetLane(b), to[2] = hn::GetLane(c), to[3] = hn::GetLane(e);
  (void)d;
#else
  const hn::Repartition<double, Tag> dd;
  const hn::FixedTag<float, 4> d4;
  const auto ab = hn::BitCast(dd, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  const auto ce = hn::BitCast(dd, hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e)));
  const Vec sums =
      hn::Add(hn::BitCast(d, hn::InterleaveLower(dd, ab, ce)), hn::BitCast(d, hn::InterleaveUpper(dd, ab, ce)));
  HWY_ALIGN float blocks[kLanes];
  hn::Store(sums, d, blocks);
  auto sum = hn::Load(d4, blocks);
  for (int i = 4; i < kLanes; i += 4) sum = hn::Add(sum, hn::Load(d4, blocks + i));
  hn::StoreU(sum, d4, to);
#endif
}

template <int kRows>
HWY_INLINE void FourOutputs(const float* w, int64_t ldw, int64_t k, const float* x, int64_t ldx, float* y, int64_t ld,
                            const MemoryAhead& ahead) {
  const Tag d;
  const int64_t step = ahead.bytes * kLanes / k, runs = ahead.count;
  const std::byte* next = ahead.from;
  Vec acc[kRows][4];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int o = 0; o < 4; ++o) acc[r][o] = hn::Zero(d);
  }
  for (int64_t i = 0; i < k; i += kLanes) {
    for (int64_t f = 0; f < runs; ++f) __builtin_prefetch(next + f * ahead.stride);
    next += step;
    Vec wide[4];
#pragma GCC unroll 4
    for (int o = 0; o < 4; ++o) wide[o] = hn::LoadU(d, w + o * ldw + i);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const Vec v = hn::LoadU(d, x + r * ldx + i);
#pragma GCC unroll 4
      for (int o = 0; o < 4; ++o) acc[r][o] = hn::MulAdd(v, wide[o], acc[r][o]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) SumFour(acc[r][0], acc[r][1], acc[r][2], acc[r][3], y + r * ld);
}

}  // namespace

void WidenStoredT(const std::byte* p, DType dtype, int64_t count, float* out) {
  const Tag d;
  const auto* from = reinterpret_cast<const uint8_t*>(p);
  WithType(
      dtype,
      [&](auto stored) HWY_ATTR {
        using Stored = decltype(stored);
        int64_t i = 0;
        for (; i + kLanes <= count; i += kLanes) hn::StoreU(Stored::Load(from + i * Stored::kBytes), d, out + i);
        if (kLanes == 1 || i >= count) return;
        HWY_ALIGN uint8_t rest[kLanes * Stored::kBytes] = {};
        HWY_ALIGN float wide[kLanes];
        const auto left = std::min<size_t>(count - i, kLanes);
        std::memcpy(rest, from + i * Stored::kBytes, left * Stored::kBytes);
        hn::Store(Stored::Load(rest), d, wide);
        std::memcpy(out + i, wide, left * sizeof(float));
      },
      [&](auto stored) HWY_ATTR {
        using Stored = decltype(stored);
        for (int64_t i = 0; i < count; i += Stored::kElements, from += sizeof(typename Stored::Block)) {
          Stored::Parts(from, [&](int part, const int8_t* q, float s0, float s1, float least) HWY_ATTR {
            float* to = out + i + part * 32;
            for (int j = 0; j < 32; j += kLanes) {
              hn::StoreU(hn::MulSub(FromInt8(q + j), Const(j < 16 ? s0 : s1), Const(least)), d, to + j);
            }
          });
        }
      });
}

void DotStoredT(const std::byte* w, DType dtype, const float* x, int64_t k, int64_t outputs, float* y) {
  const auto* from = reinterpret_cast<const uint8_t*>(w);
  const auto row = static_cast<int64_t>(BytesOf(dtype, k));
  // Outputs by fours, whose lanes are summed up together.
  const auto dot_rows = [&](const auto& dot) HWY_ATTR {
    for (int64_t o = 0; o < outputs; o += 4) {
      const int64_t count = std::min<int64_t>(outputs - o, 4);
      HWY_ALIGN float lanes[4 * kLanes] = {}, four[4];
      for (int64_t q = 0; q < count; ++q) hn::Store(dot(from + (o + q) * row), Tag(), lanes + q * kLanes);
      const auto of = [&](int q) HWY_ATTR { return hn::Load(Tag(), lanes + q * kLanes); };
      SumFour(of(0), of(1), of(2), of(3), four);
      std::copy_n(four, count, y + o);
    }
  };
  const auto numbers = [&](auto stored) HWY_ATTR {
    dot_rows([&](const uint8_t* p) HWY_ATTR { return DotNumbers<decltype(stored)>(p, x, k); });
  };
  switch (dtype) {
    case DType::kF32: return numbers(StoredF32());
    case DType::kF16: return numbers(StoredF16());
    case DType::kBF16: return numbers(StoredBF16());
    default: break;
  }
#if HWY_TARGET != HWY_SCALAR
  if (dtype == DType::kQ8_0) dot_rows([&](const uint8_t* p) HWY_ATTR { return DotQ8_0(p, x, k); });
  WithNibbles(dtype, [&](auto nibbles) HWY_ATTR {
    dot_rows([&](const uint8_t* p) HWY_ATTR { return decltype(nibbles)::Dot(p, x, k); });
  });
#endif
}

void ArrangeForDotT([[maybe_unused]] DType dtype, [[maybe_unused]] const float* x, [[maybe_unused]] int64_t k,
                    [[maybe_unused]] float* to) {
#if HWY_TARGET != HWY_SCALAR
  WithNibbles(dtype, [&](auto nibbles) HWY_ATTR { ArrangeForNibbles(x, k, decltype(nibbles)::kRun, to); });
#endif
}

int64_t ArrangedFloatsT([[maybe_unused]] DType dtype, [[maybe_unused]] int64_t k) {
  int64_t floats = 0;
#if HWY_TARGET != HWY_SCALAR
  WithNibbles(dtype, [&](auto) HWY_ATTR { floats = NibbleVectors(k) * kArrangedVectors * kLanes + k / kSmallBlock; });
#endif
  return floats;
}

void DotFourT(const float* w, int64_t ldw, int64_t k, const float* x, int64_t ldx, int64_t rows, float* y, int64_t ld,
              const MemoryAhead& ahead) {
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
  constexpr int64_t kMost = 6;
#else
  constexpr int64_t kMost = 2;
#endif
  // Blocks of about as many rows each, and each with its share of what is ahead.
  const int64_t blocks = (rows + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t first = rows * b / blocks, count = rows * (b + 1) / blocks - first;
    const int64_t run = ahead.count * b / blocks;
    const MemoryAhead share{ahead.from + run * ahead.stride, ahead.count * (b + 1) / blocks - run, ahead.bytes,
                            ahead.stride};
    const float* const from = x + first * ldx;
    float* const to = y + first * ld;
    switch (count) {
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
      case 6: FourOutputs<6>(w, ldw, k, from, ldx, to, ld, share); break;
      case 5: FourOutputs<5>(w, ldw, k, from, ldx, to, ld, share); break;
      case 4: FourOutputs<4>(w, ldw, k, from, ldx, to, ld, share); break;
      case 3: FourOutputs<3>(w, ldw, k, from, ldx, to, ld, share); break;
#endif
      case 2: FourOutputs<2>(w, ldw, k, from, ldx, to, ld, share); break;
      default: FourOutputs<1>(w, ldw, k, from, ldx, to, ld, share); break;
    }
  }
}

void FourColumnsT(const float* w, int64_t ld, int64_t k, float* out, int64_t panel) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t o = 0; o < 4; ++o) out[i * panel + o] = w[o * ld + i];
  }
#else
  const Tag d;
  const hn::Repartition<double, Tag> dd;
  const hn::FixedTag<float, 4> d4;
  const auto pairs = [&](auto lower, Vec a, Vec b) HWY_ATTR {
    return hn::BitCast(dd, lower ? hn::InterleaveLower(d, a, b) : hn::InterleaveUpper(d, a, b));
  };
  HWY_ALIGN float blocks[4 * kLanes];
  for (int64_t i = 0; i < k; i += kLanes) {
    const Vec a = hn::LoadU(d, w + i), b = hn::LoadU(d, w + ld + i);
    const Vec c = hn::LoadU(d, w + 2 * ld + i), e = hn::LoadU(d, w + 3 * ld + i);
    const auto ab0 = pairs(true, a, b), ce0 = pairs(true, c, e), ab2 = pairs(false, a, b), ce2 = pairs(false, c, e);
    // Four terms of each block of four lanes, one vector a term.
    hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, ab0, ce0)), d, blocks);
    hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, ab0, ce0)), d, blocks + kLanes);
    hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, ab2, ce2)), d, blocks + 2 * kLanes);
    hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, ab2, ce2)), d, blocks + 3 * kLanes);
    for (int64_t j = 0; j < kLanes; ++j)
      hn::StoreU(hn::Load(d4, blocks + j % 4 * kLanes + j / 4 * 4), d4, out + (i + j) * panel);
  }
#endif
}

int64_t LanesT() { return kLanes; }

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(WidenStoredT);
HWY_EXPORT(DotStoredT);
HWY_EXPORT(DotFourT);
HWY_EXPORT(FourColumnsT);
HWY_EXPORT(ArrangeForDotT);
HWY_EXPORT(ArrangedFloatsT);
HWY_EXPORT(LanesT);

bool CanRead(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: return true;
    default: return InBlocks(dtype) && HWY_DYNAMIC_DISPATCH(LanesT)() > 1;
  }
}

void WidenStored(const std::byte* p, DType dtype, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(WidenStoredT)(p, dtype, count, out);
}
int64_t ArrangedFloats(DType dtype, int64_t k) { return HWY_DYNAMIC_DISPATCH(ArrangedFloatsT)(dtype, k); }
void ArrangeForDot(DType dtype, const float* x, int64_t k, float* to) {
  HWY_DYNAMIC_DISPATCH(ArrangeForDotT)(dtype, x, k, to);
}
void DotStored(const std::byte* w, DType dtype, const float* x, int64_t k, int64_t outputs, float* y) {
  HWY_DYNAMIC_DISPATCH(DotStoredT)(w, dtype, x, k, outputs, y);
}
void FourColumns(const float* w, int64_t ld, int64_t k, float* out, int64_t panel) {
  HWY_DYNAMIC_DISPATCH(FourColumnsT)(w, ld, k, out, panel);
}
void DotFour(const float* w, int64_t ldw, int64_t k, const float* x, int64_t ldx, int64_t rows, float* y, int64_t ld,
             const MemoryAhead& ahead) {
  HWY_DYNAMIC_DISPATCH(DotFourT)(w, ldw, k, x, ldx, rows, y, ld, ahead);
}

}  // namespace timbre
#endif
