#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace timbre {
namespace {

// kTables[k][b]: what byte b adds to the remainder with k more bytes behind it, so that eight bytes are taken at once.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t r = b;
    for (int bit = 0; bit < 8; ++bit) r = (r >> 1) ^ ((r & 1) != 0 ? 0x82F63B78u : 0);
    tables[0][b] = r;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (uint32_t b = 0; b < 256; ++b) {
      const uint32_t r = tables[k - 1][b];
      tables[k][b] = (r >> 8) ^ tables[0][r & 255];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  uint32_t r = ~uint32_t{0};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, bytes.data() + at, 8);
    eight ^= r;
    r = 0;
    for (size_t k = 0; k < 8; ++k) r ^= kTables[7 - k][(eight >> (8 * k)) & 255];
  }
  for (; at < bytes.size(); ++at) r = (r >> 8) ^ kTables[0][(r ^ static_cast<uint8_t>(bytes[at])) & 255];
  return ~r;
}

}  // namespace timbre
