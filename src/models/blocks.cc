#include "models/blocks.h"

#include <cstring>

namespace timbre {

HostTensor SwapKernelAxes(const HostTensor& weight) {
  const int64_t h = weight.shape[2], w = weight.shape[3], kernels = weight.shape[0] * weight.shape[1];
  const size_t size = SizeOf(weight.dtype);
  std::shared_ptr<std::byte> bytes(new std::byte[weight.bytes()], std::default_delete<std::byte[]>());
  for (int64_t k = 0; k < kernels; ++k) {
    for (int64_t i = 0; i < h; ++i) {
      for (int64_t j = 0; j < w; ++j) {
        std::memcpy(bytes.get() + ((k * w + j) * h + i) * size, weight.data.get() + ((k * h + i) * w + j) * size, size);
      }
    }
  }
  return {{weight.shape[0], weight.shape[1], w, h}, weight.dtype, std::move(bytes)};
}

}  // namespace timbre
