#include "models/common_layers.h"

#include <algorithm>
#include <vector>

namespace timbre {

HostTensor SwapKernelAxes(const HostTensor& weight) {
  const Shape swapped{weight.shape[0], weight.shape[1], weight.shape[3], weight.shape[2]};
  if (weight.shape[2] == 1 || weight.shape[3] == 1) {  // the same numbers in the same order
    HostTensor same = weight;
    same.shape = swapped;
    return same;
  }
  HostTensor made = HostTensor::Made(swapped, [weight](float* out) {
    const int64_t h = weight.shape[2], w = weight.shape[3], kernels = weight.shape[0] * weight.shape[1];
    const std::vector<float> stored = weight.ToF32();
    weight.ReleasePages();
    for (int64_t k = 0; k < kernels; ++k) {
      for (int64_t i = 0; i < h; ++i) {
        for (int64_t j = 0; j < w; ++j) out[(k * w + j) * h + i] = stored[(k * h + i) * w + j];
      }
    }
  });
  // Nothing is computed: what is made are numbers of the type that they are stored in, and can be kept in it.
  if (weight.dtype == DType::kF16 || weight.dtype == DType::kBF16) made.dtype = weight.dtype;
  return made;
}

HostTensor PartOfRows(const HostTensor& weight, int index, int parts) {
  Shape shape = weight.shape;
  shape[0] /= parts;
  if (!weight.data) {
    return HostTensor::Made(shape, [weight, shape, index](float* out) {
      const std::vector<float> all = weight.ToF32();
      std::copy_n(all.begin() + index * shape.elements(), shape.elements(), out);
    });
  }
  HostTensor part = weight;
  part.shape = shape;
  part.data = {weight.data, weight.data.get() + static_cast<size_t>(index) * part.bytes()};
  return part;
}

}  // namespace timbre
