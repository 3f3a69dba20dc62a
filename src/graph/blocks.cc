#include "graph/blocks.h"

#include <cstring>

namespace timbre {
namespace {

// Element j of 32 nibbles: the low halves come first.
int Nibble(const uint8_t* nibbles, int j) { return j < 16 ? nibbles[j] & 15 : nibbles[j - 16] >> 4; }
int Fifth(const uint8_t* fifth, int j) { return (fifth[j / 8] >> (j % 8) & 1) << 4; }

void Read(const BlockQ4_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Nibble(b.nibbles, j) - 8);
}

void Read(const BlockQ4_1& b, float* out) {
  const float d = HalfToFloat(b.d), m = HalfToFloat(b.m);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Nibble(b.nibbles, j)) + m;
}

void Read(const BlockQ5_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>((Nibble(b.nibbles, j) | Fifth(b.fifth, j)) - 16);
}

void Read(const BlockQ5_1& b, float* out) {
  const float d = HalfToFloat(b.d), m = HalfToFloat(b.m);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Nibble(b.nibbles, j) | Fifth(b.fifth, j)) + m;
}

void Read(const BlockQ8_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(b.q[j]);
}

void Read(const BlockQ4_K& b, float* out) {
  const float d = HalfToFloat(b.d), dmin = HalfToFloat(b.dmin);
  for (int p = 0; p < 8; ++p) {
    const PartOfK part = ScaleOf(b.scales, p);
    const float scale = d * static_cast<float>(part.scale), least = dmin * static_cast<float>(part.least);
    for (int l = 0; l < 32; ++l) {
      const int q = b.nibbles[p / 2 * 32 + l] >> (p % 2 * 4) & 15;
      out[p * 32 + l] = scale * static_cast<float>(q) - least;
    }
  }
}

void Read(const BlockQ5_K& b, float* out) {
  const float d = HalfToFloat(b.d), dmin = HalfToFloat(b.dmin);
  for (int p = 0; p < 8; ++p) {
    const PartOfK part = ScaleOf(b.scales, p);
    const float scale = d * static_cast<float>(part.scale), least = dmin * static_cast<float>(part.least);
    for (int l = 0; l < 32; ++l) {
      const int q = (b.nibbles[p / 2 * 32 + l] >> (p % 2 * 4) & 15) | (b.fifth[l] >> p & 1) << 4;
      out[p * 32 + l] = scale * static_cast<float>(q) - least;
    }
  }
}

void Read(const BlockQ6_K& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (int i = 0; i < 256; ++i) {
    const int h = i / 128, r = i % 128 / 32, l = i % 32;
    const int q = (b.nibbles[64 * h + 32 * (r % 2) + l] >> (r / 2 * 4) & 15) | (b.upper[32 * h + l] >> (2 * r) & 3)
                                                                                   << 4;
    const int8_t scale = b.scales[i / 16];
    out[i] = d * static_cast<float>(scale) * static_cast<float>(q - 32);
  }
}

template <typename Block>
void ReadAll(const std::byte* p, int64_t elements, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += elements, p += sizeof(Block)) {
    Block block;
    std::memcpy(&block, p, sizeof(Block));
    Read(block, out + i);
  }
}

}  // namespace

void ReadBlocks(const std::byte* p, DType dtype, int64_t count, float* out) {
  switch (dtype) {
    case DType::kQ4_0: return ReadAll<BlockQ4_0>(p, kSmallBlock, count, out);
    case DType::kQ4_1: return ReadAll<BlockQ4_1>(p, kSmallBlock, count, out);
    case DType::kQ5_0: return ReadAll<BlockQ5_0>(p, kSmallBlock, count, out);
    case DType::kQ5_1: return ReadAll<BlockQ5_1>(p, kSmallBlock, count, out);
    case DType::kQ8_0: return ReadAll<BlockQ8_0>(p, kSmallBlock, count, out);
    case DType::kQ4_K: return ReadAll<BlockQ4_K>(p, kSuperBlock, count, out);
    case DType::kQ5_K: return ReadAll<BlockQ5_K>(p, kSuperBlock, count, out);
    case DType::kQ6_K: return ReadAll<BlockQ6_K>(p, kSuperBlock, count, out);
    default: return;
  }
}

}  // namespace timbre
