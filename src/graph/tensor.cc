#include "graph/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/mapped_file.h"

namespace timbre {

size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64: return 8;
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16: return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool: return 1;
  }
  return 0;
}

std::string_view NameOf(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "float32";
    case DType::kF16: return "float16";
    case DType::kBF16: return "bfloat16";
    case DType::kF64: return "float64";
    case DType::kI8: return "int8";
    case DType::kU8: return "uint8";
    case DType::kI16: return "int16";
    case DType::kI32: return "int32";
    case DType::kI64: return "int64";
    case DType::kBool: return "bool";
  }
  return "unknown";
}

Shape::Shape(std::span<const int64_t> dims) {
  for (const int64_t d : dims) {
    if (rank_ < kMaxRank) {
      dims_[rank_++] = d;
    } else {
      dims_[kMaxRank - 1] *= d;
    }
  }
}

int64_t Shape::Product(int begin, int end) const {
  int64_t product = 1;
  for (int i = begin; i < end; ++i) product *= dims_[i];
  return product;
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i == 0 ? "" : ", ") + std::to_string(dims_[i]);
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) {
  if (a.rank_ != b.rank_) return false;
  for (int i = 0; i < a.rank_; ++i) {
    if (a.dims_[i] != b.dims_[i]) return false;
  }
  return true;
}

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u;   // not a number
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // rounds to infinity
  if (magnitude < 0x38800000u) {                        // subnormal: let float addition round to a multiple of 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3F000000u);
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

namespace {

template <typename T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

}  // namespace

float LoadF32(const std::byte* p, DType dtype) {
  switch (dtype) {
    case DType::kF32: return Load<float>(p);
    case DType::kF16: return HalfToFloat(Load<uint16_t>(p));
    case DType::kBF16: return std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(p)) << 16);
    case DType::kF64: return static_cast<float>(Load<double>(p));
    case DType::kI8: return Load<int8_t>(p);
    case DType::kU8:
    case DType::kBool: return Load<uint8_t>(p);
    case DType::kI16: return Load<int16_t>(p);
    case DType::kI32: return static_cast<float>(Load<int32_t>(p));
    case DType::kI64: return static_cast<float>(Load<int64_t>(p));
  }
  return 0.0f;
}

namespace {

// In parts, from the file and not from where it is mapped, so that nobody who cuts it short meanwhile can hurt. What
// can't be read any more is not a number, which whoever looks at the result notices.
void ReadFile(const HostTensor& tensor, float* out) {
  constexpr int64_t kPart = 4096;
  const int64_t n = tensor.shape.elements();
  const size_t size = SizeOf(tensor.dtype);
  if (tensor.dtype == DType::kF32) {
    if (!ReadMapped(tensor.data, tensor.bytes(), reinterpret_cast<std::byte*>(out)))
      std::fill_n(out, n, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  std::array<std::byte, kPart * sizeof(double)> part;
  for (int64_t begin = 0; begin < n; begin += kPart) {
    const int64_t count = std::min(kPart, n - begin);
    const std::shared_ptr<const std::byte> at(tensor.data, tensor.data.get() + static_cast<size_t>(begin) * size);
    if (!ReadMapped(at, static_cast<size_t>(count) * size, part.data())) {
      std::fill(out + begin, out + n, std::numeric_limits<float>::quiet_NaN());
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      out[begin + i] = LoadF32(part.data() + static_cast<size_t>(i) * size, tensor.dtype);
    }
  }
}

}  // namespace

void HostTensor::ReadF32(float* out) const {
  const int64_t n = shape.elements();
  if (make) return (*make)(out);
  if (mapped) return ReadFile(*this, out);
  if (dtype == DType::kF32) {
    if (n > 0) std::memcpy(out, data.get(), static_cast<size_t>(n) * 4);
    return;
  }
  const size_t size = SizeOf(dtype);
  for (int64_t i = 0; i < n; ++i) out[i] = LoadF32(data.get() + static_cast<size_t>(i) * size, dtype);
}

std::vector<float> HostTensor::ToF32() const {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  ReadF32(values.data());
  return values;
}

const float* HostTensor::F32InPlace(size_t alignment) const {
  const bool here = data && !mapped && dtype == DType::kF32 && reinterpret_cast<uintptr_t>(data.get()) % alignment == 0;
  return here ? reinterpret_cast<const float*>(data.get()) : nullptr;
}

void HostTensor::Rest() const {
  if (mapped) DropMappedPages(data, bytes());
}

HostTensor HostTensor::Half(const HostTensor& tensor) {
  const std::vector<float> values = tensor.ToF32();
  auto bits = std::make_shared<std::vector<uint16_t>>(values.size());
  for (size_t i = 0; i < values.size(); ++i) (*bits)[i] = FloatToHalf(values[i]);
  HostTensor half;
  half.shape = tensor.shape;
  half.dtype = DType::kF16;
  half.data = std::shared_ptr<const std::byte>(bits, reinterpret_cast<const std::byte*>(bits->data()));
  return half;
}

HostTensor HostTensor::Made(Shape shape, std::function<void(float* out)> make) {
  HostTensor tensor;
  tensor.shape = shape;
  tensor.make = std::make_shared<const std::function<void(float* out)>>(std::move(make));
  return tensor;
}

HostTensor HostTensor::FromF32(Shape shape, std::span<const float> values) {
  HostTensor tensor;
  tensor.shape = shape;
  tensor.dtype = DType::kF32;
  auto copy = std::make_shared<std::vector<float>>(values.begin(), values.end());
  tensor.data = std::shared_ptr<const std::byte>(copy, reinterpret_cast<const std::byte*>(copy->data()));
  return tensor;
}

}  // namespace timbre
