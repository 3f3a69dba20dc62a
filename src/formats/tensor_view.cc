#include "formats/tensor_view.h"

#include <array>
#include <cstring>

#include "base/aligned.h"

namespace timbre {
namespace {

HostTensor Make(const SharedBytes& bytes, DType dtype, const Shape& shape) {
  HostTensor tensor;
  tensor.shape = shape;
  tensor.dtype = dtype;
  tensor.data = bytes.shared();
  tensor.mapped = bytes.mapped();
  return tensor;
}

}  // namespace

bool IsRowMajor(const Shape& shape, const Shape& strides) {
  int64_t wanted = 1;
  for (int i = shape.rank(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != wanted) return false;  // the stride of an axis of one element is never used
    wanted *= shape[i];
  }
  return true;
}

Result<SharedBytes> AlignBytes(const SharedBytes& bytes) {
  if (bytes.size() == 0 || reinterpret_cast<uintptr_t>(bytes.data()) % sizeof(double) == 0) return bytes;
  TIMBRE_TRY(AlignedBytes copy, AlignedBytes::Allocate(bytes.size()));
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return SharedBytes::Own(std::move(copy));
}

Result<HostTensor> ViewTensor(const SharedBytes& bytes, DType dtype, const Shape& shape) {
  const size_t size = static_cast<size_t>(shape.elements()) * SizeOf(dtype);
  if (size > bytes.size()) return Fail(ErrorCode::kInternal, "a tensor was made over too few bytes.");
  if (reinterpret_cast<uintptr_t>(bytes.data()) % SizeOf(dtype) == 0) return Make(bytes, dtype, shape);
  TIMBRE_TRY(const SharedBytes aligned, AlignBytes(bytes.Slice(0, size)));
  return Make(aligned, dtype, shape);
}

Result<HostTensor> GatherTensor(const SharedBytes& bytes, DType dtype, const Shape& shape, const Shape& strides) {
  if (IsRowMajor(shape, strides)) return ViewTensor(bytes, dtype, shape);
  const size_t width = SizeOf(dtype);
  TIMBRE_TRY(AlignedBytes copy, AlignedBytes::Allocate(static_cast<size_t>(shape.elements()) * width));
  const int last = shape.rank() - 1;
  std::array<int64_t, Shape::kMaxRank> index{};
  std::byte* to = copy.data();
  for (int64_t row = shape.Product(0, last); row-- > 0;) {
    int64_t from = 0;
    for (int i = 0; i < last; ++i) from += index[i] * strides[i];
    for (int64_t k = 0; k < shape[last]; ++k, to += width) {
      std::memcpy(to, bytes.data() + static_cast<size_t>(from + k * strides[last]) * width, width);
    }
    for (int i = last; i-- > 0;) {
      if (++index[i] < shape[i]) break;
      index[i] = 0;
    }
  }
  return Make(SharedBytes::Own(std::move(copy)), dtype, shape);
}

}  // namespace timbre
