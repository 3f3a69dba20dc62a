// A constant's values as float32, copied only where they are stored otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/tensor.h"

namespace timbre {

class FloatView {
 public:
  explicit FloatView(const HostTensor& tensor) {
    const bool aligned = reinterpret_cast<uintptr_t>(tensor.data.get()) % alignof(float) == 0;
    if (tensor.dtype == DType::kF32 && aligned) {
      data_ = reinterpret_cast<const float*>(tensor.data.get());
    } else {
      copy_ = tensor.ToF32();
      data_ = copy_.data();
    }
  }
  FloatView(const FloatView&) = delete;
  FloatView& operator=(const FloatView&) = delete;

  const float* data() const { return data_; }
  float operator[](int64_t i) const { return data_[i]; }

 private:
  std::vector<float> copy_;
  const float* data_;
};

}  // namespace timbre
