#include "kernels/cpu/matrix_unit.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "kernels/cpu/matrix_tiles.h"
#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matrix_unit.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
using Tag = hn::CappedTag<float, 1>;
#else
using Tag = hn::CappedTag<float, kMatrixColumns>;
#endif
using Bits = hn::RebindToUnsigned<Tag>;

// The two factors in each 32 bits.
HWY_INLINE hn::Vec<Tag> First(hn::Vec<Bits> pairs) { return hn::BitCast(Tag(), hn::ShiftLeft<16>(pairs)); }
HWY_INLINE hn::Vec<Tag> Second(hn::Vec<Bits> pairs) {
  return hn::BitCast(Tag(), hn::And(pairs, hn::Set(Bits(), 0xFFFF0000u)));
}

}  // namespace

// TDPBF16PS as Intel's manual has it, on whole tiles: the first and the second terms of the pairs each add up from
// zero, then both together, then to the result. (Numbers below the normal ones it takes for 0, which is not imitated.)
void MultiplyTilesT(float* result, const uint32_t* left, const uint32_t* right) {
  const Tag d;
  const Bits bits;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < kMatrixRows; ++i) {
    for (int64_t j = 0; j < kMatrixColumns; j += lanes) {
      auto first = hn::Zero(d), second = hn::Zero(d);
      for (int64_t k = 0; k < kMatrixDepth / 2; ++k) {
        const auto a = hn::Set(bits, left[i * kMatrixDepth / 2 + k]),
                   b = hn::LoadU(bits, right + k * kMatrixColumns + j);
        first = hn::MulAdd(First(a), First(b), first);
        second = hn::MulAdd(Second(a), Second(b), second);
      }
      float* const to = result + i * kMatrixColumns + j;
      hn::StoreU(hn::Add(hn::LoadU(d, to), hn::Add(first, second)), d, to);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(MultiplyTilesT);

namespace {

// A thread's tile registers, and how they are configured.
struct Registers {
  alignas(64) std::byte tiles[8][1024];
  TileConfig config;
};
thread_local Registers registers;

struct SoftwareTiles {
  template <int kTile>
  static void Load(const void* from, int64_t stride) {
    const TileConfig& config = registers.config;
    for (int64_t r = 0; r < config.rows[kTile]; ++r) {
      std::memcpy(registers.tiles[kTile] + r * 64, static_cast<const std::byte*>(from) + r * stride,
                  config.row_bytes[kTile]);
    }
  }
  template <int kTile>
  static void Store(void* to, int64_t stride) {
    const TileConfig& config = registers.config;
    for (int64_t r = 0; r < config.rows[kTile]; ++r) {
      std::memcpy(static_cast<std::byte*>(to) + r * stride, registers.tiles[kTile] + r * 64, config.row_bytes[kTile]);
    }
  }
  template <int kResult, int kLeft, int kRight>
  static void Multiply() {
    HWY_DYNAMIC_DISPATCH(MultiplyTilesT)
    (reinterpret_cast<float*>(registers.tiles[kResult]), reinterpret_cast<const uint32_t*>(registers.tiles[kLeft]),
     reinterpret_cast<const uint32_t*>(registers.tiles[kRight]));
  }
};

void Begin() { registers.config = TileConfig(); }
// Without a configuration nothing is loaded, nor stored.
void End() { registers.config = {.palette = 0, .row_bytes = {}, .rows = {}}; }
void Multiply(const MatrixProduct& product) { MultiplyByTiles<SoftwareTiles>(product); }

uint16_t Rounded(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);  // stays not a number
  if (magnitude < 0x00800000u) return static_cast<uint16_t>(bits >> 16 & 0x8000);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace

void SplitBf16(const float* x, int64_t count, uint16_t* high, uint16_t* low) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = x[i];
    high[i] = Rounded(value);
    if (low == nullptr) continue;
    low[i] = Rounded(value - std::bit_cast<float>(static_cast<uint32_t>(high[i]) << 16));
  }
}

const MatrixUnit& SoftwareMatrixUnit() {
  static constexpr MatrixUnit kUnit{
      .name = "software", .begin = &Begin, .end = &End, .multiply = &Multiply, .split = &SplitBf16};
  return kUnit;
}

const MatrixUnit& CurrentMatrixUnit() {
  const SimdMatrix most = SimdMatrixInUse();
  const MatrixUnit* unit = most == SimdMatrix::kAmx ? AmxUnit() : nullptr;
  if (unit == nullptr && most != SimdMatrix::kNone) unit = Avx512Bf16Unit();
  return unit != nullptr ? *unit : SoftwareMatrixUnit();
}

}  // namespace timbre
#endif
