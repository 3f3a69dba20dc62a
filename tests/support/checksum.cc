#include "tests/support/checksum.h"

#include <zlib.h>

namespace timbre::testing {

uint32_t Checksum(const TensorMap& tensors) {
  uLong crc = 0;
  for (const auto& [name, tensor] : tensors) {
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(name.data()), name.size());
    const std::vector<float> values = tensor.ToF32();
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(values.data()), values.size() * sizeof(float));
  }
  return static_cast<uint32_t>(crc);
}

}  // namespace timbre::testing
