// Shapes, element types and tensors that live in host memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre {

// The last ones are numbers of 4 to 8 bits in blocks with scales of their own: see graph/blocks.h.
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kI32,
  kI64,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kCount
};

// Bytes of an element; of a block, where elements come in those.
size_t SizeOf(DType dtype);
// Elements that are stored together: 1, or those of a block. A tensor's rows are whole blocks.
int64_t BlockOf(DType dtype);
inline bool InBlocks(DType dtype) { return BlockOf(dtype) > 1; }
// Bytes of so many elements, a multiple of BlockOf.
inline size_t BytesOf(DType dtype, int64_t elements) {
  return static_cast<size_t>(elements / BlockOf(dtype)) * SizeOf(dtype);
}
std::string_view NameOf(DType dtype);

// Up to six dimensions, row-major, features last.
class Shape {
 public:
  static constexpr int kMaxRank = 6;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);  // more than kMaxRank dims: the rest is folded into the last

  int rank() const { return rank_; }
  // A negative index counts from the end.
  int64_t operator[](int i) const { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t& operator[](int i) { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t back() const { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  int64_t elements() const { return Product(0, rank_); }
  // The product of dims [begin, end).
  int64_t Product(int begin, int end) const;
  // Elements between neighbours along axis i.
  int64_t stride(int i) const { return Product((i < 0 ? i + rank_ : i) + 1, rank_); }
  void push_back(int64_t d) { dims_[rank_++] = d; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  std::string ToString() const;  // "[1, 2, 3]"
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// A tensor in host memory: contiguous, row-major, shared, never written after it was made. The bytes may lie in a
// mapped file; or there are none, and the values are made whenever they are wanted.
struct HostTensor {
  Shape shape;
  DType dtype = DType::kF32;
  std::shared_ptr<const std::byte> data;
  bool mapped = false;  // data lies in a mapped file
  // Without data: writes all elements as float32, the same ones every time, from whatever thread.
  std::shared_ptr<const std::function<void(float* out)>> make;
  // What `make` computes the values from, held for as long as this is: of equal sources come equal values, so that two
  // graphs can tell that they have the same weight. Empty: values of its own.
  std::vector<std::shared_ptr<const void>> sources;

  size_t bytes() const { return BytesOf(dtype, shape.elements()); }
  // Writes shape.elements() values, converted, to `out`.
  void ReadF32(float* out) const;
  std::vector<float> ToF32() const;
  // Copies bytes [begin, begin + size) as they are stored. kCorrupt where they lie in a file that was cut short.
  Status ReadStored(size_t begin, size_t size, std::byte* out) const;
  // The values as they lie in memory, or null where they lie in another type, with another alignment (in bytes), or
  // not at all.
  const float* F32InPlace(size_t alignment = alignof(float)) const;
  // Gives the memory of values in a mapped file back to the system; they are read again when they are wanted.
  void ReleasePages() const;
  // kCorrupt, naming the file, where the values lie in one that was cut short or changed since it was opened.
  Status CheckFile() const;

  static HostTensor FromF32(Shape shape, std::span<const float> values);
  static HostTensor FromI32(Shape shape, std::span<const int32_t> values);
  static HostTensor FromBytes(Shape shape, DType dtype, std::vector<std::byte> bytes);
  static HostTensor Half(const HostTensor& tensor);  // its values in half precision, rounded to nearest even
  // Values that take no memory: see `make`.
  static HostTensor Made(Shape shape, std::function<void(float* out)> make);
};

// One value of any dtype that is not in blocks, converted. `p` need not be aligned.
float LoadF32(const std::byte* p, DType dtype);
// `count` values, whole blocks of them. `p` need not be aligned.
void LoadF32(const std::byte* p, DType dtype, int64_t count, float* out);
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);  // round to nearest even

}  // namespace timbre
