// Products that pass through shared memory in tiles: what the kernels that record them share.
#pragma once

#include "kernels/vulkan/record_helpers.h"

namespace timbre {

inline constexpr int64_t kWidestGrid = 65535;  // workgroups along a dimension that every device has
inline constexpr int64_t kNarrowest = 4;       // columns or depth under which a tile is mostly padding

// The tiles of tile.glsl: 64 x 64, 128 x 32 or 256 x 16, whichever pads the columns least.
struct Tile {
  int64_t lanes = 16;
  int64_t rows() const { return 1024 / lanes; }
  int64_t columns() const { return 4 * lanes; }
  int64_t Down(int64_t count) const { return (count + rows() - 1) / rows(); }
  int64_t Across(int64_t count) const { return (count + columns() - 1) / columns(); }
};
inline Tile TileFor(int64_t columns) { return {columns <= 16 ? 4 : columns <= 32 ? 8 : 16}; }

// y [rows, columns] = x [rows, depth] weight [depth, columns] + bias, in one dispatch. At most kWidestGrid tiles.
Status RecordPlainProduct(VulkanRecorder& recorder, const BufferRange& x, const BufferRange& weight,
                          const BufferRange& bias, const BufferRange& y, int64_t rows, int64_t depth, int64_t columns);

}  // namespace timbre
