// Products that pass through shared memory in tiles: what the kernels that record them share.
#pragma once

#include "kernels/vulkan/record_helpers.h"

namespace timbre {

inline constexpr int64_t kWidestGrid = 65535;  // workgroups along a dimension that every device has
inline constexpr int64_t kNarrowest = 4;       // columns or depth under which a tile is mostly padding

// How a product is cut among threads, and what it is made of.
struct Variant {
  bool wide = false;    // 8 x 8 elements a thread, not 4 x 4
  bool halves = false;  // factors are rounded to halves in shared memory; sums are not
};

inline constexpr Variant kPlainTiles{}, kWideTiles{.wide = true}, kHalfTiles{.halves = true};

// The tiles of tile.glsl: 64 x 64, 128 x 32 or 256 x 16, whichever pads the columns least; wide ones 128 x 128 or 256 x
// 64.
struct Tile {
  int64_t lanes = 16, each = 4, slice = 16;
  int64_t rows() const { return 256 / lanes * each; }
  int64_t columns() const { return each * lanes; }
  int64_t Down(int64_t count) const { return (count + rows() - 1) / rows(); }
  int64_t Across(int64_t count) const { return (count + columns() - 1) / columns(); }
  std::vector<uint32_t> constants() const {
    return {static_cast<uint32_t>(lanes), static_cast<uint32_t>(each), static_cast<uint32_t>(each),
            static_cast<uint32_t>(slice)};
  }
};
inline Tile TileFor(int64_t columns, const DeviceCaps& caps, bool wide = false) {
  constexpr uint64_t kRoomy = 32768;  // of shared memory, for longer slices of wide tiles
  if (wide) return {columns <= 64 ? 8 : 16, 8, caps.max_workgroup_memory >= kRoomy ? 16 : 8};
  return {columns <= 16 ? 4 : columns <= 32 ? 8 : 16, 4, columns <= 16 ? 8 : 16};
}
// Whether a product fills a device with wide tiles, of which each does four times a plain one's work.
inline bool WorthWide(int64_t rows, int64_t columns, const DeviceCaps& caps) {
  constexpr int64_t kFilled = 96;
  const Tile tile = TileFor(columns, caps, true);
  return columns > 32 && tile.Down(rows) * tile.Across(columns) >= kFilled;
}

// y [rows, columns] = x [rows, depth] weight [depth, columns] + bias, in one dispatch. At most kWidestGrid tiles.
Status RecordPlainProduct(const VulkanCall& call, const BufferRange& x, const BufferRange& weight,
                          const BufferRange& bias, const BufferRange& y, int64_t rows, int64_t depth, int64_t columns);

}  // namespace timbre
