// Weights as they are stored, widened to float32 in registers. Included once for every target.
#if defined(TIMBRE_KERNELS_CPU_STORED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIMBRE_KERNELS_CPU_STORED_INL_H_
#undef TIMBRE_KERNELS_CPU_STORED_INL_H_
#else
#define TIMBRE_KERNELS_CPU_STORED_INL_H_
#endif

#include <hwy/highway.h>

#include <cstring>

#include "graph/blocks.h"
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// ---- numbers one by one: Load gives kLanes of them from `p`

struct StoredF32 {
  static constexpr int64_t kBytes = 4;
  static HWY_INLINE Vec Load(const uint8_t* p) { return hn::LoadU(Tag(), reinterpret_cast<const float*>(p)); }
};
struct StoredF16 {
  static constexpr int64_t kBytes = 2;
  static HWY_INLINE Vec Load(const uint8_t* p) {
    const hn::Rebind<hwy::float16_t, Tag> half;
    return hn::PromoteTo(Tag(), hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(p)));
  }
};
struct StoredBF16 {
  static constexpr int64_t kBytes = 2;
  static HWY_INLINE Vec Load(const uint8_t* p) {
    const hn::Rebind<uint16_t, Tag> half;
    const hn::RebindToUnsigned<Tag> whole;
    const auto bits = hn::PromoteTo(whole, hn::LoadU(half, reinterpret_cast<const uint16_t*>(p)));
    return hn::BitCast(Tag(), hn::ShiftLeft<16>(bits));
  }
};

#if HWY_TARGET != HWY_SCALAR
// ---- numbers in blocks: Parts(block, f) calls f(part, q, s0, s1, least) for each 32 of a block's values, which are
// s q - least with s0 for the first sixteen and s1 for the others.

using Bytes16 = hn::FixedTag<uint8_t, 16>;

// The half-precision numbers in the lower and the upper half of `bits`.
struct HalfPair {
  float lower, upper;
};
HWY_INLINE HalfPair FromHalves(uint32_t bits) {
  const hn::FixedTag<float, 4> d4;
  const hn::Rebind<hwy::float16_t, decltype(d4)> h4;
  const hn::Repartition<uint32_t, decltype(h4)> u2;
  HWY_ALIGN float wide[4];
  hn::Store(hn::PromoteTo(d4, hn::BitCast(h4, hn::Set(u2, bits))), d4, wide);
  return {wide[0], wide[1]};
}
template <typename T>
HWY_INLINE T ReadAs(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// 16 where bit i of the two bytes at `p` is set, in byte i.
HWY_INLINE hn::Vec<Bytes16> FifthBits(const uint8_t* p) {
  const Bytes16 d;
  HWY_ALIGN static constexpr uint8_t kWhich[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  HWY_ALIGN static constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const hn::Repartition<uint16_t, Bytes16> d16;
  const auto both = hn::BitCast(d, hn::Set(d16, ReadAs<uint16_t>(p)));
  return hn::IfThenElseZero(hn::TestBit(hn::TableLookupBytes(both, hn::Load(d, kWhich)), hn::Load(d, kBit)),
                            hn::Set(d, uint8_t{16}));
}

HWY_INLINE hn::Vec<Bytes16> LowHalf(hn::Vec<Bytes16> v) { return hn::And(v, hn::Set(Bytes16(), uint8_t{15})); }
HWY_INLINE hn::Vec<Bytes16> HighHalf(hn::Vec<Bytes16> v) { return hn::ShiftRight<4>(v); }
HWY_INLINE void PutLess(hn::Vec<Bytes16> v, int less, int8_t* q) {
  hn::Store(hn::Sub(v, hn::Set(Bytes16(), static_cast<uint8_t>(less))), Bytes16(), reinterpret_cast<uint8_t*>(q));
}

struct StoredQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int64_t kElements = kSmallBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const float d = FromHalves(ReadAs<uint16_t>(p)).lower;
    const auto v = hn::LoadU(Bytes16(), p + 2);
    HWY_ALIGN int8_t q[32];
    PutLess(LowHalf(v), 8, q);
    PutLess(HighHalf(v), 8, q + 16);
    f(0, q, d, d, 0.0f);
  }
};

struct StoredQ4_1 {
  using Block = BlockQ4_1;
  static constexpr int64_t kElements = kSmallBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const HalfPair dm = FromHalves(ReadAs<uint32_t>(p));
    const auto v = hn::LoadU(Bytes16(), p + 4);
    HWY_ALIGN int8_t q[32];
    PutLess(LowHalf(v), 0, q);
    PutLess(HighHalf(v), 0, q + 16);
    f(0, q, dm.lower, dm.lower, -dm.upper);
  }
};

struct StoredQ5_0 {
  using Block = BlockQ5_0;
  static constexpr int64_t kElements = kSmallBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const float d = FromHalves(ReadAs<uint16_t>(p)).lower;
    const auto v = hn::LoadU(Bytes16(), p + 6);
    HWY_ALIGN int8_t q[32];
    PutLess(hn::Or(LowHalf(v), FifthBits(p + 2)), 16, q);
    PutLess(hn::Or(HighHalf(v), FifthBits(p + 4)), 16, q + 16);
    f(0, q, d, d, 0.0f);
  }
};

struct StoredQ5_1 {
  using Block = BlockQ5_1;
  static constexpr int64_t kElements = kSmallBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const HalfPair dm = FromHalves(ReadAs<uint32_t>(p));
    const auto v = hn::LoadU(Bytes16(), p + 8);
    HWY_ALIGN int8_t q[32];
    PutLess(hn::Or(LowHalf(v), FifthBits(p + 4)), 0, q);
    PutLess(hn::Or(HighHalf(v), FifthBits(p + 6)), 0, q + 16);
    f(0, q, dm.lower, dm.lower, -dm.upper);
  }
};

struct StoredQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int64_t kElements = kSmallBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const float d = FromHalves(ReadAs<uint16_t>(p)).lower;
    f(0, reinterpret_cast<const int8_t*>(p + 2), d, d, 0.0f);
  }
};

struct StoredQ4_K {
  using Block = BlockQ4_K;
  static constexpr int64_t kElements = kSuperBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const HalfPair d = FromHalves(ReadAs<uint32_t>(p));
    const uint8_t* const nibbles = p + offsetof(BlockQ4_K, nibbles);
    for (int c = 0; c < 4; ++c) {
      const auto v0 = hn::LoadU(Bytes16(), nibbles + 32 * c), v1 = hn::LoadU(Bytes16(), nibbles + 32 * c + 16);
      for (int high = 0; high < 2; ++high) {
        const PartOfK part = ScaleOf(p + 4, 2 * c + high);
        HWY_ALIGN int8_t q[32];
        PutLess(high ? HighHalf(v0) : LowHalf(v0), 0, q);
        PutLess(high ? HighHalf(v1) : LowHalf(v1), 0, q + 16);
        const float scale = d.lower * static_cast<float>(part.scale);
        f(2 * c + high, q, scale, scale, d.upper * static_cast<float>(part.least));
      }
    }
  }
};

struct StoredQ5_K {
  using Block = BlockQ5_K;
  static constexpr int64_t kElements = kSuperBlock;
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const HalfPair d = FromHalves(ReadAs<uint32_t>(p));
    const uint8_t* const nibbles = p + offsetof(BlockQ5_K, nibbles);
    const uint8_t* const fifth = p + offsetof(BlockQ5_K, fifth);
    const auto f0 = hn::LoadU(Bytes16(), fifth), f1 = hn::LoadU(Bytes16(), fifth + 16);
    for (int c = 0; c < 4; ++c) {
      const auto v0 = hn::LoadU(Bytes16(), nibbles + 32 * c), v1 = hn::LoadU(Bytes16(), nibbles + 32 * c + 16);
      for (int high = 0; high < 2; ++high) {
        const PartOfK part = ScaleOf(p + 4, 2 * c + high);
        const auto bit = hn::Set(Bytes16(), static_cast<uint8_t>(1 << (2 * c + high)));
        const auto sixteen = hn::Set(Bytes16(), uint8_t{16});
        HWY_ALIGN int8_t q[32];
        PutLess(hn::Or(high ? HighHalf(v0) : LowHalf(v0), hn::IfThenElseZero(hn::TestBit(f0, bit), sixteen)), 0, q);
        PutLess(hn::Or(high ? HighHalf(v1) : LowHalf(v1), hn::IfThenElseZero(hn::TestBit(f1, bit), sixteen)), 0,
                q + 16);
        const float scale = d.lower * static_cast<float>(part.scale);
        f(2 * c + high, q, scale, scale, d.upper * static_cast<float>(part.least));
      }
    }
  }
};

struct StoredQ6_K {
  using Block = BlockQ6_K;
  static constexpr int64_t kElements = kSuperBlock;

  // The two upper bits of part r of a half block, in bits 4 and 5.
  template <int r>
  static HWY_INLINE hn::Vec<Bytes16> UpperBits(hn::Vec<Bytes16> v) {
    const auto mask = hn::Set(Bytes16(), uint8_t{0x30});
    if constexpr (r < 2) return hn::And(hn::ShiftLeft<4 - 2 * r>(v), mask);
    if constexpr (r == 2) return hn::And(v, mask);
    return hn::And(hn::ShiftRight<2>(v), mask);
  }
  template <int r, typename F>
  static HWY_INLINE void Part(const uint8_t* p, int h, float d, const F& f) {
    const uint8_t *const nibbles = p + 64 * h + 32 * (r % 2), *const upper = p + offsetof(BlockQ6_K, upper) + 32 * h;
    const auto* const scales = reinterpret_cast<const int8_t*>(p + offsetof(BlockQ6_K, scales)) + 8 * h + 2 * r;
    HWY_ALIGN int8_t q[32];
    for (int l = 0; l < 32; l += 16) {
      const auto v = hn::LoadU(Bytes16(), nibbles + l);
      PutLess(hn::Or(r < 2 ? LowHalf(v) : HighHalf(v), UpperBits<r>(hn::LoadU(Bytes16(), upper + l))), 32, q + l);
    }
    f(4 * h + r, q, d * static_cast<float>(scales[0]), d * static_cast<float>(scales[1]), 0.0f);
  }
  template <typename F>
  static HWY_INLINE void Parts(const uint8_t* p, const F& f) {
    const float d = FromHalves(ReadAs<uint16_t>(p + offsetof(BlockQ6_K, d))).lower;
    for (int h = 0; h < 2; ++h) {
      Part<0>(p, h, d, f);
      Part<1>(p, h, d, f);
      Part<2>(p, h, d, f);
      Part<3>(p, h, d, f);
    }
  }
};
#endif

// kLanes whole numbers as float32.
HWY_INLINE Vec FromInt8(const int8_t* q) {
  const hn::RebindToSigned<Tag> whole;
  return hn::ConvertTo(Tag(), hn::PromoteTo(whole, hn::LoadU(hn::Rebind<int8_t, Tag>(), q)));
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();
#endif
