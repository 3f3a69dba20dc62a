#include "graph/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "base/aligned.h"
#include "base/mapped_file.h"
#include "graph/blocks.h"

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
    case DType::kQ4_0: return sizeof(BlockQ4_0);
    case DType::kQ4_1: return sizeof(BlockQ4_1);
    case DType::kQ5_0: return sizeof(BlockQ5_0);
    case DType::kQ5_1: return sizeof(BlockQ5_1);
    case DType::kQ8_0: return sizeof(BlockQ8_0);
    case DType::kQ4_K: return sizeof(BlockQ4_K);
    case DType::kQ5_K: return sizeof(BlockQ5_K);
    case DType::kQ6_K: return sizeof(BlockQ6_K);
    case DType::kCount: break;
  }
  return 0;
}

int64_t BlockOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0: return kSmallBlock;
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K: return kSuperBlock;
    default: return 1;
  }
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
    case DType::kQ4_0: return "Q4_0";
    case DType::kQ4_1: return "Q4_1";
    case DType::kQ5_0: return "Q5_0";
    case DType::kQ5_1: return "Q5_1";
    case DType::kQ8_0: return "Q8_0";
    case DType::kQ4_K: return "Q4_K";
    case DType::kQ5_K: return "Q5_K";
    case DType::kQ6_K: return "Q6_K";
    case DType::kCount: break;
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
    default: return 0.0f;
  }
}

void LoadF32(const std::byte* p, DType dtype, int64_t count, float* out) {
  if (dtype == DType::kF32) {
    if (count > 0) std::memcpy(out, p, static_cast<size_t>(count) * 4);
  } else if (InBlocks(dtype)) {
    ReadBlocks(p, dtype, count, out);
  } else {
    const size_t size = SizeOf(dtype);
    for (int64_t i = 0; i < count; ++i) out[i] = LoadF32(p + static_cast<size_t>(i) * size, dtype);
  }
}

namespace {

// In parts, from the file and not from where it is mapped, so that nobody who cuts it short meanwhile can hurt. What
// can't be read any more is not a number, which whoever looks at the result notices.
void ReadFile(const HostTensor& tensor, float* out) {
  constexpr int64_t kPart = 4096;  // whole blocks
  const int64_t n = tensor.shape.elements();
  if (tensor.dtype == DType::kF32) {
    if (!ReadMapped(tensor.data, tensor.bytes(), reinterpret_cast<std::byte*>(out)))
      std::fill_n(out, n, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  std::array<std::byte, kPart * sizeof(double)> part;
  for (int64_t begin = 0; begin < n; begin += kPart) {
    const int64_t count = std::min(kPart, n - begin);
    if (!tensor.ReadStored(BytesOf(tensor.dtype, begin), BytesOf(tensor.dtype, count), part.data())) {
      std::fill(out + begin, out + n, std::numeric_limits<float>::quiet_NaN());
      return;
    }
    LoadF32(part.data(), tensor.dtype, count, out + begin);
  }
}

}  // namespace

void HostTensor::ReadF32(float* out) const {
  if (make) return (*make)(out);
  if (mapped) return ReadFile(*this, out);
  LoadF32(data.get(), dtype, shape.elements(), out);
}

Status HostTensor::ReadStored(size_t begin, size_t size, std::byte* out) const {
  if (!mapped) {
    if (size > 0) std::memcpy(out, data.get() + begin, size);
    return {};
  }
  const std::shared_ptr<const std::byte> at(data, data.get() + begin);
  if (ReadMapped(at, size, out)) return {};
  return Fail(ErrorCode::kCorrupt,
              "a weight of shape " + shape.ToString() + " can't be read any more; its file was cut short.");
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

void HostTensor::ReleasePages() const {
  if (mapped) DropMappedPages(data, bytes());
}

Status HostTensor::CheckFile() const { return mapped ? CheckMapped(data) : Status(); }

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

// So that kernels can read it where it lies: as the heap happens to give memory, some constants would be copied once
// more and others not.
static std::shared_ptr<const std::byte> AlignedCopy(std::span<const std::byte> bytes) {
  constexpr std::align_val_t kAligned{kAlignment};
  auto* const copy = static_cast<std::byte*>(::operator new(std::max<size_t>(1, bytes.size()), kAligned));
  if (!bytes.empty()) std::memcpy(copy, bytes.data(), bytes.size());
  return {copy, [](const std::byte* p) { ::operator delete(const_cast<std::byte*>(p), kAligned); }};
}

HostTensor HostTensor::FromF32(Shape shape, std::span<const float> values) {
  HostTensor tensor;
  tensor.shape = shape;
  tensor.dtype = DType::kF32;
  tensor.data = AlignedCopy(std::as_bytes(values));
  return tensor;
}

HostTensor HostTensor::FromI32(Shape shape, std::span<const int32_t> values) {
  const auto* first = reinterpret_cast<const std::byte*>(values.data());
  return FromBytes(shape, DType::kI32, {first, first + values.size_bytes()});
}

HostTensor HostTensor::FromBytes(Shape shape, DType dtype, std::vector<std::byte> bytes) {
  HostTensor tensor;
  tensor.shape = shape;
  tensor.dtype = dtype;
  // What is large is packed, and read once: a copy of it would only cost time.
  constexpr size_t kSmall = size_t{1} << 20;
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment == 0;
  if (dtype == DType::kF32 && !aligned && bytes.size() < kSmall) {
    tensor.data = AlignedCopy(bytes);
    return tensor;
  }
  auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  tensor.data = std::shared_ptr<const std::byte>(kept, kept->data());
  return tensor;
}

}  // namespace timbre
