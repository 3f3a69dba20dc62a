#pragma once

#include <cstdint>

#include "graph/weights.h"

namespace timbre::testing {

// The CRC-32 of all names and float32 values in the order of the names.
uint32_t Checksum(const TensorMap& tensors);

}  // namespace timbre::testing
