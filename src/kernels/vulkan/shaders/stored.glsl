// Weights as a checkpoint stores them: numbers of two bytes, or blocks of 4 to 8 bits (graph/blocks.h). The buffer is bound as
// words, in which rows begin at even bytes.
layout(set = 0, binding = 1) readonly buffer Weights { uint weight[]; };
layout(constant_id = 0) const uint kType = 0u;
const uint kF16 = 0u, kBF16 = 1u, kQ4_0 = 2u, kQ4_1 = 3u, kQ5_0 = 4u, kQ5_1 = 5u, kQ8_0 = 6u, kQ4_K = 7u, kQ5_K = 8u, kQ6_K = 9u;

uint Byte(uint at) { return weight[at >> 2] >> ((at & 3u) << 3) & 255u; }
int SignedByte(uint at) { return int(Byte(at) << 24) >> 24; }
uint Two(uint at) { return weight[at >> 2] >> ((at & 2u) << 3) & 0xffffu; }  // at an even byte
// Exact, the smallest numbers too, whatever the device does with them.
float Half(uint bits) {
  const uint exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  const float size = exponent == 0u ? float(fraction) * 5.9604644775390625e-8
                                    : uintBitsToFloat((exponent == 31u ? 255u : exponent + 112u) << 23 | fraction << 13);
  return (bits & 0x8000u) != 0u ? -size : size;
}

// 32 values: scale q - least, with a scale of their own for the last sixteen.
struct Part {
  uint at;    // where their numbers begin
  uint bits;  // where what is left of these lies
  uint nth;   // of a block
  float scale, second, least;
};
// The six-bit scale and least value of a part.
uvec2 ScaleOf(uint at, uint p) {
  if (p < 4u) return uvec2(Byte(at + p) & 63u, Byte(at + p + 4u) & 63u);
  return uvec2(Byte(at + p + 4u) & 15u | Byte(at + p - 4u) >> 6 << 4, Byte(at + p + 4u) >> 4 | Byte(at + p) >> 6 << 4);
}
Part PartOf(uint row, uint p) {
  Part part = Part(0u, 0u, p % 8u, 1.0, 1.0, 0.0);
  uint at;
  switch (kType) {
    case kQ4_0: at = row + p * 18u; part.at = at + 2u; break;
    case kQ4_1: at = row + p * 20u; part.at = at + 4u; break;
    case kQ5_0: at = row + p * 22u; part.at = at + 6u; part.bits = at + 2u; break;
    case kQ5_1: at = row + p * 24u; part.at = at + 8u; part.bits = at + 4u; break;
    case kQ8_0: at = row + p * 34u; part.at = at + 2u; break;
    case kQ4_K: at = row + p / 8u * 144u; part.at = at + 16u + part.nth / 2u * 32u; break;
    case kQ5_K: at = row + p / 8u * 176u; part.at = at + 48u + part.nth / 2u * 32u; part.bits = at + 16u; break;
    case kQ6_K:
      at = row + p / 8u * 210u;
      part.at = at + part.nth / 4u * 64u + part.nth % 2u * 32u;
      part.bits = at + 128u + part.nth / 4u * 32u;
      break;
    default: part.at = row + p * 64u; return part;
  }
  const float d = Half(Two(kType == kQ6_K ? at + 208u : at));
  part.scale = part.second = d;
  if (kType == kQ4_1 || kType == kQ5_1) part.least = -Half(Two(at + 2u));
  if (kType == kQ4_K || kType == kQ5_K) {
    const uvec2 scale = ScaleOf(at + 4u, part.nth);
    part.scale = part.second = d * float(scale.x);
    part.least = Half(Two(at + 2u)) * float(scale.y);
  }
  if (kType == kQ6_K) {
    const uint scales = at + 192u + part.nth / 4u * 8u + part.nth % 4u * 2u;
    part.scale = d * float(SignedByte(scales));
    part.second = d * float(SignedByte(scales + 1u));
  }
  return part;
}
// Four bits of byte `at`, the upper ones where so asked.
uint Nibble(uint at, bool upper) { return upper ? Byte(at) >> 4 : Byte(at) & 15u; }
float Value(Part part, uint j) {
  int q;
  switch (kType) {
    case kF16: return Half(Two(part.at + 2u * j));
    case kBF16: return uintBitsToFloat(Two(part.at + 2u * j) << 16);
    case kQ4_0: q = int(Nibble(part.at + j % 16u, j >= 16u)) - 8; break;
    case kQ4_1: q = int(Nibble(part.at + j % 16u, j >= 16u)); break;
    case kQ5_0:
    case kQ5_1:
      q = int(Nibble(part.at + j % 16u, j >= 16u) | (Byte(part.bits + j / 8u) >> (j % 8u) & 1u) << 4);
      if (kType == kQ5_0) q -= 16;
      break;
    case kQ8_0: q = SignedByte(part.at + j); break;
    case kQ4_K: q = int(Nibble(part.at + j, part.nth % 2u != 0u)); break;
    case kQ5_K: q = int(Nibble(part.at + j, part.nth % 2u != 0u) | (Byte(part.bits + j) >> part.nth & 1u) << 4); break;
    default:
      q = int(Nibble(part.at + j, part.nth % 4u >= 2u) | (Byte(part.bits + j) >> (part.nth % 4u * 2u) & 3u) << 4) - 32;
  }
  return (j < 16u ? part.scale : part.second) * float(q) - part.least;
}
