// A constant's values as float32, copied only where they are stored otherwise.
#pragma once

#include <new>

#include "base/aligned.h"
#include "graph/tensor.h"

namespace timbre {

class FloatView {
 public:
  explicit FloatView(const HostTensor& tensor) {
    data_ = tensor.F32InPlace();
    if (data_ != nullptr) return;
    auto copy = AlignedBytes::Allocate(static_cast<size_t>(tensor.shape.elements()) * sizeof(float));
    if (!copy) throw std::bad_alloc();  // as a vector does
    copy_ = *std::move(copy);
    tensor.ReadF32(copy_.f32());
    data_ = copy_.f32();
  }
  FloatView(const FloatView&) = delete;
  FloatView& operator=(const FloatView&) = delete;

  const float* data() const { return data_; }
  float operator[](int64_t i) const { return data_[i]; }

 private:
  AlignedBytes copy_;  // goes back to the system at once where it is large
  const float* data_;
};

}  // namespace timbre
