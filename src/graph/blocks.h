// Weights of 4 to 8 bits in blocks, as GGUF files store them: what lies where, and what it stands for. Blocks run along
// a tensor's last axis. Scales are half-precision numbers.
// Values are worked out in float32, in the order in which the formulas below are written.
#pragma once

#include <cstddef>
#include <cstdint>

#include "graph/tensor.h"

namespace timbre {

inline constexpr int64_t kSmallBlock = 32, kSuperBlock = 256;

// d (q - 8). Element j is the low half of nibbles[j], element j + 16 the high half.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t nibbles[16];
};
// d q + m
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t nibbles[16];
};
// d (q - 16). Bit j of `fifth`, little-endian, is element j's highest.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t fifth[4];
  uint8_t nibbles[16];
};
// d q + m
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t fifth[4];
  uint8_t nibbles[16];
};
// d q
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[32];
};
// Eight parts of 32: (d scale) q - (dmin least). Scales and least values have six bits each, packed: see ScaleOf. Bytes
// 32 c to 32 c + 31 of the nibbles hold part 2c in their low halves and part 2c + 1 in their high ones.
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t nibbles[128];
};
// The same. Bit p of fifth[l] is the highest of part p's element l.
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t fifth[32];
  uint8_t nibbles[128];
};
// Sixteen parts of 16: (d scale) (q - 32). Elements 128 h + 32 r + l (h < 2, r < 4, l < 32) have their low four bits in
// nibbles[64 h + 32 (r % 2) + l], the low half for r < 2, and the other two in bits 2r and 2r + 1 of upper[32 h + l].
struct BlockQ6_K {
  uint8_t nibbles[128];
  uint8_t upper[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 &&
              sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_K) == 144 &&
              sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// The six-bit scale and least value of part p, 0 to 7.
struct PartOfK {
  int scale, least;
};
inline PartOfK ScaleOf(const uint8_t scales[12], int p) {
  if (p < 4) return {scales[p] & 63, scales[p + 4] & 63};
  return {(scales[p + 4] & 15) | (scales[p - 4] >> 6) << 4, (scales[p + 4] >> 4) | (scales[p] >> 6) << 4};
}

// `count` values, whole blocks of them. `p` need not be aligned.
void ReadBlocks(const std::byte* p, DType dtype, int64_t count, float* out);

}  // namespace timbre
