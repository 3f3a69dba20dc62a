// Dot products of one row of weights in blocks of nibbles, up to the sum over a vector's lanes. A vector of their bytes
// is taken as whole numbers of 32 bits, from which a mask leaves one nibble each where it stands: byte i is 256^i times
// its value, and x comes divided by that. So nothing is moved apart, and the blocks of a vector are scaled together.
// Included once for every target.
#if defined(TIMBRE_KERNELS_CPU_STORED_NIBBLES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIMBRE_KERNELS_CPU_STORED_NIBBLES_INL_H_
#undef TIMBRE_KERNELS_CPU_STORED_NIBBLES_INL_H_
#else
#define TIMBRE_KERNELS_CPU_STORED_NIBBLES_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/cpu/stored-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

using WordTag = hn::RebindToUnsigned<Tag>;
using Words = hn::Vec<WordTag>;
using ByteTag = hn::Repartition<uint8_t, Tag>;
inline constexpr int64_t kAheadBytes = 2048;
inline constexpr int kBlocks = kLanes / 4;  // of 16 bytes of nibbles, in a vector

// ---- x in the order of the nibbles. The low halves of kRun bytes are kRun elements, their high halves the next. For
// every vector of nibbles: x for the low halves of its words' four bytes, for the high ones, and each lane's sums of
// both (for runs of 16: their sum, and nothing). Behind them the sums of each 32 of x.

inline constexpr int kArrangedVectors = 10;

HWY_INLINE void SumsOf32(const float* x, int64_t k, float* sums) {
  const Tag d;
  for (int64_t i = 0; i < k; i += 32) {
    Vec sum = hn::LoadU(d, x + i);
    for (int j = kLanes; j < 32; j += kLanes) sum = hn::Add(sum, hn::LoadU(d, x + i + j));
    sums[i / 32] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

HWY_INLINE int64_t NibbleVectors(int64_t k) { return (k / 8 + kLanes - 1) / kLanes; }

HWY_INLINE void ArrangeForNibbles(const float* x, int64_t k, int64_t run, float* to) {
  const hn::FixedTag<float, 4> d;
  using Four = hn::Vec<decltype(d)>;
  const int64_t vectors = NibbleVectors(k);
  for (int64_t word = 0; word < vectors * kLanes; word += 4) {
    float* const at = to + word / kLanes * kArrangedVectors * kLanes + word % kLanes;
    const int64_t first = word / (run / 4) * 2 * run + word % (run / 4) * 4;
    Four sums[2];
    for (int high = 0; high < 2; ++high) {
      Four b0 = hn::Zero(d), b1 = b0, b2 = b0, b3 = b0;
      if (first + high * run < k) hn::LoadInterleaved4(d, x + first + high * run, b0, b1, b2, b3);
      sums[high] = hn::Add(hn::Add(b0, b1), hn::Add(b2, b3));
      float* const part = at + 4 * high * kLanes;
      hn::StoreU(b0, d, part);
      hn::StoreU(hn::Mul(b1, hn::Set(d, 0x1p-8f)), d, part + kLanes);
      hn::StoreU(hn::Mul(b2, hn::Set(d, 0x1p-16f)), d, part + 2 * kLanes);
      hn::StoreU(hn::Mul(b3, hn::Set(d, 0x1p-24f)), d, part + 3 * kLanes);
    }
    hn::StoreU(run == 16 ? hn::Add(sums[0], sums[1]) : sums[0], d, at + 8 * kLanes);
    hn::StoreU(sums[1], d, at + 9 * kLanes);
  }
  SumsOf32(x, k, to + vectors * kArrangedVectors * kLanes);
}

// ---- what all formats have in common

// Rows come one after the other: of two at a time, which are a little faster within the cache, the processor fetched
// neither ahead by itself. What it fetches is too late here, so some rows' bytes are asked for.
HWY_INLINE void Ahead(const uint8_t* p, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + kAheadBytes + line);
}

// The half-precision number at `p`, in every lane.
HWY_INLINE Vec HalfAt(const uint8_t* p) {
  const hn::Rebind<hwy::float16_t, Tag> dh;
  return hn::PromoteTo(Tag(), hn::BitCast(dh, hn::Set(hn::Rebind<uint16_t, Tag>(), ReadAs<uint16_t>(p))));
}

HWY_INLINE Words Repeated(uint32_t word) { return hn::Set(WordTag(), word); }

// What `mask` leaves of the four bytes of every word, times x. Values are below 128.
HWY_INLINE Vec DotBytes(Words bytes, uint32_t mask, const float* x) {
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  const auto value = [&](uint32_t bits)
                         HWY_ATTR { return hn::ConvertTo(d, hn::BitCast(di, hn::And(bytes, Repeated(bits)))); };
  Vec sum = hn::Mul(value(mask), hn::LoadU(d, x));
  sum = hn::MulAdd(value(mask << 8), hn::LoadU(d, x + kLanes), sum);
  sum = hn::MulAdd(value(mask << 16), hn::LoadU(d, x + 2 * kLanes), sum);
  return hn::MulAdd(value(mask << 24), hn::LoadU(d, x + 3 * kLanes), sum);
}

// The low halves of all bytes, and what else belongs to them.
HWY_INLINE Words LowWith(Words more, Words nibbles) { return hn::OrAnd(more, nibbles, Repeated(0x0F0F0F0F)); }

// ---- blocks of 32

// The blocks of a vector. Those that would lie behind the row are its last once more: x is zero there.
template <int64_t kBytes, bool kWhole>
struct BlocksAt {
  const uint8_t* first;
  int64_t last;  // the last block's number, where not all are there

  HWY_INLINE const uint8_t* operator[](int b) const {
    return first + (kWhole ? b : std::min<int64_t>(b, last)) * kBytes;
  }
};

// Sixteen bytes of every block, from byte `at` on.
template <typename Blocks>
HWY_INLINE Words SixteenOf(const Blocks& p, int at) {
  const hn::FixedTag<uint8_t, 16> d;
  const auto load = [&](int b) HWY_ATTR { return hn::LoadU(d, p[b] + at); };
#if HWY_MAX_BYTES == 64
  const hn::FixedTag<uint8_t, 32> d2;
  return hn::BitCast(WordTag(),
                     hn::Combine(ByteTag(), hn::Combine(d2, load(3), load(2)), hn::Combine(d2, load(1), load(0))));
#elif HWY_MAX_BYTES == 32
  return hn::BitCast(WordTag(), hn::Combine(ByteTag(), load(1), load(0)));
#else
  return hn::BitCast(WordTag(), load(0));
#endif
}

// The half-precision number at byte `at` of every block, in the block's four lanes.
template <typename Blocks>
HWY_INLINE Vec HalvesOf(const Blocks& p, int at) {
  const hn::Rebind<hwy::float16_t, Tag> dh;
  const hn::Repartition<uint8_t, hn::Rebind<uint16_t, Tag>> bytes;
  const hn::Repartition<uint64_t, hn::Rebind<uint16_t, Tag>> all;
  HWY_ALIGN static constexpr uint8_t kWhich[32] = {0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3,
                                                   4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7};
  uint64_t halves = 0;
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) halves |= uint64_t{ReadAs<uint16_t>(p[b] + at)} << 16 * b;
  const auto spread = hn::TableLookupBytes(hn::BitCast(bytes, hn::Set(all, halves)), hn::Load(bytes, kWhich));
  return hn::PromoteTo(Tag(), hn::BitCast(dh, spread));
}

// 16 for every element whose bit is set in the first four of the block's sixteen bytes, element i at byte i.
HWY_INLINE Words FifthOf(Words heads, bool high) {
  const ByteTag d;
  HWY_ALIGN static constexpr uint8_t kLow[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  HWY_ALIGN static constexpr uint8_t kHigh[16] = {2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3};
  HWY_ALIGN static constexpr uint8_t kBit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const auto which = hn::LoadDup128(d, high ? kHigh : kLow);
  const auto there = hn::TestBit(hn::TableLookupBytes(hn::BitCast(d, heads), which), hn::LoadDup128(d, kBit));
  return hn::BitCast(WordTag(), hn::IfThenElseZero(there, hn::Set(d, uint8_t{16})));
}

// Values are d (q - 2^(kBits - 1)) or, with kLeast, d q + m.
template <typename BlockT, int kBits, bool kLeast>
struct SmallNibbles {
  using Block = BlockT;
  static constexpr int64_t kRun = 16;
  static constexpr int kNibblesAt = offsetof(Block, nibbles), kFifthAt = kNibblesAt - 4;

  template <bool kWhole>
  static HWY_INLINE void Add(BlocksAt<sizeof(Block), kWhole> p, const float* x, Vec& sum) {
    const Tag d;
    const Words nibbles = SixteenOf(p, kNibblesAt), high = hn::ShiftRight<4>(nibbles);
    Vec of_q;
    if constexpr (kBits == 4) {
      of_q = hn::Add(DotBytes(nibbles, 0x0F, x), DotBytes(high, 0x0F, x + 4 * kLanes));
    } else {
      const Words heads = SixteenOf(p, kFifthAt);
      of_q = hn::Add(DotBytes(LowWith(FifthOf(heads, false), nibbles), 0x1F, x),
                     DotBytes(LowWith(FifthOf(heads, true), high), 0x1F, x + 4 * kLanes));
    }
    const Vec of_x = hn::LoadU(d, x + 8 * kLanes);
    if constexpr (kLeast) {
      sum = hn::MulAdd(HalvesOf(p, 2), of_x, sum);
    } else {
      of_q = hn::NegMulAdd(Const(1 << (kBits - 1)), of_x, of_q);
    }
    sum = hn::MulAdd(HalvesOf(p, 0), of_q, sum);
  }

  // Two vectors of blocks a turn, each with a sum of its own.
  static HWY_INLINE Vec Dot(const uint8_t* w, const float* x, int64_t k) {
    constexpr int64_t kBytes = kBlocks * sizeof(Block), kX = kArrangedVectors * kLanes;
    const int64_t vectors = k / kSmallBlock / kBlocks, left = k / kSmallBlock % kBlocks;
    Vec a = hn::Zero(Tag()), b = a;
    for (int64_t v = 0; v + 2 <= vectors; v += 2, w += 2 * kBytes, x += 2 * kX) {
      Ahead(w, 2 * kBytes);
      Add<true>({w}, x, a);
      Add<true>({w + kBytes}, x + kX, b);
    }
    if (vectors % 2 > 0) {
      Add<true>({w}, x, a);
      w += kBytes, x += kX;
    }
    if (left > 0) Add<false>({w, left - 1}, x, b);
    return hn::Add(a, b);
  }
};

// ---- blocks of 256

inline constexpr int kNibbleVectorsOfK = 32 / kLanes;

// values[first + step (lane / lanes)] in every lane, of sixteen values that are whole numbers below 2^24.
template <int kStep, int kShare>
HWY_INLINE Vec Spread(const float* values, int first) {
  const Tag d;
  if constexpr (kShare >= kLanes) {
    return Const(values[first]);
  } else {
    const hn::RebindToSigned<Tag> di;
    const auto part = hn::ShiftRight<hwy::CeilLog2(size_t{kShare})>(hn::Iota(di, 0));
#if HWY_MAX_BYTES == 64
    const auto index = hn::Add(hn::Mul(part, hn::Set(di, kStep)), hn::Set(di, first));
    return hn::TableLookupLanes(hn::Load(d, values), hn::IndicesFromVec(d, index));
#else
    const auto lower = hn::RebindMask(d, hn::Eq(part, hn::Zero(di)));
    return hn::IfThenElse(lower, Const(values[first]), Const(values[first + kStep]));
#endif
  }
}

// Words of bits that belong to the nibbles of vector v: 32 bytes, again and again.
HWY_INLINE Words ThirtyTwo(const uint8_t* p, int v) {
#if HWY_MAX_BYTES == 64
  const hn::FixedTag<uint8_t, 32> d;
  const auto half = hn::LoadU(d, p);
  (void)v;
  return hn::BitCast(WordTag(), hn::Combine(ByteTag(), half, half));
#else
  return hn::BitCast(WordTag(), hn::LoadU(ByteTag(), p + v * 4 * kLanes % 32));
#endif
}

// Bits of every byte moved from bit `from` (and, in the upper lanes of sixteen, from bit from + step) to bit 4. What is
// moved across bytes is for a mask to take away.
template <int kFrom, int kStep>
HWY_INLINE Words ToBitFour(Words bits) {
#if HWY_MAX_BYTES == 64
  const hn::RebindToSigned<Tag> di;
  const auto upper = hn::Gt(hn::Iota(di, 0), hn::Set(di, 7));
  const auto count = [&](int lower_lanes, int upper_lanes) HWY_ATTR {
    return hn::BitCast(WordTag(), hn::IfThenElse(upper, hn::Set(di, upper_lanes), hn::Set(di, lower_lanes)));
  };
  if constexpr (kFrom < 4) {
    return hn::Shl(bits, count(4 - kFrom, 4 - kFrom - kStep));
  } else {
    return hn::Shr(bits, count(kFrom - 4, kFrom + kStep - 4));
  }
#else
  if constexpr (kFrom < 4) {
    return hn::ShiftLeft<4 - kFrom>(bits);
  } else {
    return hn::ShiftRight<kFrom - 4>(bits);
  }
#endif
}

// The scales of the eight parts of 32, and their least values, as floats.
struct PartsOfK {
  HWY_ALIGN float scale[16];  // and from 8 on the least values

  explicit HWY_INLINE PartsOfK(const uint8_t* scales) {
    const hn::FixedTag<uint64_t, 2> two;
    const hn::FixedTag<uint8_t, 16> bytes;
    const hn::Rebind<int32_t, Tag> di;
    const auto first = ReadAs<uint32_t>(scales), second = ReadAs<uint32_t>(scales + 4),
               third = ReadAs<uint32_t>(scales + 8);
    const auto joined = [](uint32_t lower, uint32_t low4, uint32_t high2) {
      return uint64_t{lower & 0x3F3F3F3F} | uint64_t{(low4 & 0x0F0F0F0F) | (high2 >> 2 & 0x30303030)} << 32;
    };
    HWY_ALIGN uint8_t all[16];
    hn::Store(hn::BitCast(bytes, hn::InterleaveLower(two, hn::Set(two, joined(first, third, first)),
                                                     hn::Set(two, joined(second, third >> 4, second)))),
              bytes, all);
    for (int i = 0; i < 16; i += kLanes) {
      hn::Store(hn::ConvertTo(Tag(), hn::PromoteTo(di, hn::Load(hn::Rebind<uint8_t, Tag>(), all + i))), Tag(),
                scale + i);
    }
  }
};

// Q4_K and Q5_K: d scale q - dmin least.
template <typename BlockT, int kBits>
struct NibblesOfK {
  using Block = BlockT;
  static constexpr int64_t kRun = 32;

  template <int kVector>
  static HWY_INLINE void Add(const uint8_t* p, const PartsOfK& parts, const float* x, Vec& low, Vec& high) {
    constexpr int kPart = 2 * (kVector * kLanes / 8);
    const Words nibbles =
        hn::LoadU(WordTag(), reinterpret_cast<const uint32_t*>(p + offsetof(Block, nibbles)) + kVector * kLanes);
    const Words upper = hn::ShiftRight<4>(nibbles);
    Vec of_low, of_high;
    if constexpr (kBits == 4) {
      of_low = DotBytes(nibbles, 0x0F, x), of_high = DotBytes(upper, 0x0F, x + 4 * kLanes);
    } else {
      const Words fifth = ThirtyTwo(p + offsetof(Block, fifth), kVector), sixteen = Repeated(0x10101010);
      of_low = DotBytes(LowWith(hn::And(ToBitFour<kPart, 2>(fifth), sixteen), nibbles), 0x1F, x);
      of_high = DotBytes(LowWith(hn::And(ToBitFour<kPart + 1, 2>(fifth), sixteen), upper), 0x1F, x + 4 * kLanes);
    }
    low = hn::MulAdd(of_low, Spread<2, 8>(parts.scale, kPart), low);
    high = hn::MulAdd(of_high, Spread<2, 8>(parts.scale, kPart + 1), high);
    if constexpr (kVector + 1 < kNibbleVectorsOfK) {
      Add<kVector + 1>(p, parts, x + kArrangedVectors * kLanes, low, high);
    }
  }

  static HWY_INLINE Vec Dot(const uint8_t* w, const float* x, int64_t k) {
    const hn::CappedTag<float, 8> d8;
    const float* sums = x + NibbleVectors(k) * kArrangedVectors * kLanes;
    Vec sum = hn::Zero(Tag());
    auto least_sum = hn::Zero(d8);
    for (int64_t i = 0; i < k; i += kSuperBlock, w += sizeof(Block), sums += 8) {
      Ahead(w, sizeof(Block));
      const PartsOfK parts(w + offsetof(Block, scales));
      Vec low = hn::Zero(Tag()), high = low;
      Add<0>(w, parts, x + i / 8 * kArrangedVectors, low, high);
      sum = hn::MulAdd(hn::Add(low, high), HalfAt(w), sum);
      const auto least_scale = hn::Set(d8, hn::GetLane(HalfAt(w + 2)));
      for (int j = 0; j < 8; j += static_cast<int>(hn::Lanes(d8))) {
        const auto least = hn::Mul(hn::Load(d8, parts.scale + 8 + j), least_scale);
        least_sum = hn::MulAdd(least, hn::LoadU(d8, sums + j), least_sum);
      }
    }
#if HWY_MAX_BYTES == 64
    return hn::Sub(sum, hn::ZeroExtendVector(Tag(), least_sum));
#else
    return hn::Sub(sum, least_sum);
#endif
  }
};

// Q6_K: d scale (q - 32), with a scale for each sixteen.
struct NibblesOfQ6K {
  using Block = BlockQ6_K;
  static constexpr int64_t kRun = 64;

  template <int kVector>
  static HWY_INLINE void Add(const uint8_t* p, const float* scales, const float* x, Vec& low, Vec& high) {
    constexpr int kHalf = kVector * kLanes / 16, kPart = kVector * kLanes % 16 / 8;  // of 128, and of 32 in those
    const Words nibbles = hn::LoadU(WordTag(), reinterpret_cast<const uint32_t*>(p) + kVector * kLanes);
    const Words upper = ThirtyTwo(p + offsetof(Block, upper) + 32 * kHalf, kVector), bits = Repeated(0x30303030);
    const auto part = [&](Words of_nibbles, Words of_upper, int h) HWY_ATTR {
      const Vec of_q = DotBytes(LowWith(hn::And(of_upper, bits), of_nibbles), 0x3F, x + 4 * h * kLanes);
      return hn::NegMulAdd(Const(32), hn::LoadU(Tag(), x + (8 + h) * kLanes), of_q);
    };
    const Vec of_low = part(nibbles, ToBitFour<2 * kPart, 2>(upper), 0);
    const Vec of_high = part(hn::ShiftRight<4>(nibbles), ToBitFour<2 * kPart + 4, 2>(upper), 1);
    constexpr int kFirst = 8 * kHalf + kVector * kLanes % 16 / 4;
    low = hn::MulAdd(of_low, Spread<1, 4>(scales, kFirst), low);
    high = hn::MulAdd(of_high, Spread<1, 4>(scales, kFirst + 4), high);
    if constexpr (kVector + 1 < kNibbleVectorsOfK) {
      Add<kVector + 1>(p, scales, x + kArrangedVectors * kLanes, low, high);
    }
  }

  static HWY_INLINE Vec Dot(const uint8_t* w, const float* x, int64_t k) {
    Vec sum = hn::Zero(Tag());
    for (int64_t i = 0; i < k; i += kSuperBlock, w += sizeof(Block)) {
      Ahead(w, sizeof(Block));
      HWY_ALIGN float scales[16];
      for (int j = 0; j < 16; j += kLanes) {
        hn::Store(FromInt8(reinterpret_cast<const int8_t*>(w + offsetof(Block, scales)) + j), Tag(), scales + j);
      }
      Vec low = hn::Zero(Tag()), high = low;
      Add<0>(w, scales, x + i / 8 * kArrangedVectors, low, high);
      sum = hn::MulAdd(hn::Add(low, high), HalfAt(w + offsetof(Block, d)), sum);
    }
    return sum;
  }
};

#endif
}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();
#endif
