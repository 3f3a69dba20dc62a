// CRC-32C (Castagnoli's polynomial), as LevelDB's tables and TensorFlow's checkpoints guard their blocks with.
#pragma once

#include <cstdint>
#include <string_view>

namespace timbre {

uint32_t Crc32c(std::string_view bytes);

}  // namespace timbre
