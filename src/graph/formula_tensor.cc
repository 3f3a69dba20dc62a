#include "graph/formula_tensor.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "graph/weights.h"

namespace timbre {
namespace {

uint16_t ToBFloat(float value) {  // to nearest even
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Where a block's half-precision numbers lie, and the largest number that one is multiplied with.
struct Scales {
  int offset;
  float times;
};
std::vector<Scales> ScalesOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return {{0, 8}};
    case DType::kQ4_1: return {{0, 15}, {2, 1}};
    case DType::kQ5_0: return {{0, 16}};
    case DType::kQ5_1: return {{0, 31}, {2, 1}};
    case DType::kQ8_0: return {{0, 128}};
    case DType::kQ4_K: return {{0, 63 * 15}, {2, 63}};
    case DType::kQ5_K: return {{0, 63 * 31}, {2, 63}};
    case DType::kQ6_K: return {{208, 128 * 32}};
    default: return {};
  }
}

}  // namespace

std::vector<float> FormulaValues(const std::string& name, int64_t count, float lo, float hi) {
  std::vector<float> values(static_cast<size_t>(count));
  const uint64_t seed = Fnv1a64(name);
  for (int64_t i = 0; i < count; ++i) values[i] = FormulaValue(seed, i, lo, hi - lo);
  return values;
}

HostTensor FormulaTensor(DType dtype, const std::string& name, const Shape& shape, float lo, float hi) {
  const std::vector<float> values = FormulaValues(name, shape.elements(), lo, hi);
  if (dtype == DType::kF32) return HostTensor::FromF32(shape, values);
  if (dtype == DType::kI32) {
    std::vector<int32_t> whole(values.size());
    for (size_t i = 0; i < values.size(); ++i) whole[i] = static_cast<int32_t>(std::floor(values[i]));
    return HostTensor::FromI32(shape, whole);
  }
  std::vector<std::byte> bytes(BytesOf(dtype, shape.elements()));
  if (!InBlocks(dtype)) {
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t bits = dtype == DType::kF16 ? FloatToHalf(values[i]) : ToBFloat(values[i]);
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
    }
    return HostTensor::FromBytes(shape, dtype, std::move(bytes));
  }
  const uint64_t seed = Fnv1a64(name);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(FormulaValue(seed, i, 0, 256));
  const size_t size = SizeOf(dtype);
  const float most = std::max(std::abs(lo), std::abs(hi));
  for (size_t b = 0; b * size < bytes.size(); ++b) {
    for (const Scales& scale : ScalesOf(dtype)) {
      const uint16_t bits = FloatToHalf(most / scale.times * FormulaValue(seed + 1, b, 0.5f, 0.5f));
      std::memcpy(bytes.data() + b * size + scale.offset, &bits, 2);
    }
  }
  return HostTensor::FromBytes(shape, dtype, std::move(bytes));
}

}  // namespace timbre
