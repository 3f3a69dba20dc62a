// Products that pass through shared memory in tiles: what the kernels that record them share.
#pragma once

#include <optional>

#include "kernels/vulkan/record_helpers.h"

namespace timbre {

inline constexpr int64_t kWidestGrid = 65535;  // workgroups along a dimension that every device has
inline constexpr int64_t kFilled = 96;         // tiles that keep a device busy
inline constexpr int64_t kNarrowest = 4;       // columns or depth under which a tile is mostly padding

// What finish.glsl applies to a result before it is stored.
struct Finish {
  bool gated = false, slope_per_channel = false;
  uint32_t steps = 0;
  UnaryAttrs unary{UnaryFn::kIdentity};
  int scale = -1, residual = -1, slope = -1;  // inputs of the node
  int64_t Flags(bool bias) const {
    return (bias ? 1 : 0) | (gated ? 2 : 0) | (slope_per_channel ? 4 : 0) | static_cast<int64_t>(unary.fn) << 8;
  }
};
// False where the shader can't apply it: a gate that is not first, or a kind of step twice.
bool ReadFinish(const NodeRef& ref, Finish& finish);

// How a product is cut among threads, and what it is made of.
struct Variant {
  bool wide = false;         // 8 x 8 elements a thread, not 4 x 4
  bool halves = false;       // factors are rounded to halves in shared memory; sums are not
  bool cooperative = false;  // products are made by subgroups, on cooperative matrices
};

inline constexpr Variant kPlainTiles{}, kWideTiles{.wide = true}, kHalfTiles{.halves = true},
    kCooperativeTiles{.halves = true, .cooperative = true};

// What one workgroup computes.
struct Tile {
  int64_t rows = 0, columns = 0;
  int64_t lanes = 1;  // of a gated layer's packed columns, so many values lie before their gates
  std::vector<uint32_t> constants;
  // At most, of a thread's loops.
  int64_t Turns(int64_t depth) const {
    const int64_t slice = constants[3], slices = (depth + slice - 1) / slice;
    return slices * (9 + slice + (rows + columns) * slice / kThreads);
  }
  int64_t Down(int64_t count) const { return (count + rows - 1) / rows; }
  int64_t Across(int64_t count) const { return (count + columns - 1) / columns; }
};
// The tiles of tile.glsl: 64 x 64, 128 x 32 or 256 x 16, whichever pads the columns least; wide ones 128 x 128 or 256 x
// 64.
inline Tile TileFor(int64_t columns, const DeviceCaps& caps, bool wide = false) {
  constexpr uint64_t kRoomy = 32768;  // of shared memory, for longer slices of wide tiles
  const auto tile = [](uint32_t lanes, uint32_t each, uint32_t slice) {
    return Tile{256 / lanes * each, each * lanes, lanes, {lanes, each, each, slice}};
  };
  if (wide) return tile(columns <= 64 ? 8 : 16, 8, caps.max_workgroup_memory >= kRoomy ? 16 : 8);
  return tile(columns <= 16 ? 4 : columns <= 32 ? 8 : 16, 4, columns <= 16 ? 8 : 16);
}
// The tiles of cooperative.glsl: 64 or 128 rows, and 16, 32, 64 or 128 columns. Nothing where the device's matrices or
// memory don't allow any.
std::optional<Tile> CooperativeTile(int64_t rows, int64_t columns, const DeviceCaps& caps);
// Whether a product fills at least one of a device's matrices.
inline bool WorthCooperative(int64_t rows, int64_t depth, int64_t columns, const DeviceCaps& caps) {
  const CooperativeMatrix& matrix = caps.cooperative_matrix;
  return rows >= matrix.rows && depth >= matrix.depth && columns >= matrix.columns;
}
// Whether a product fills a device with wide tiles, of which each does four times a plain one's work.
inline bool WorthWide(int64_t rows, int64_t columns, const DeviceCaps& caps) {
  const Tile tile = TileFor(columns, caps, true);
  return columns > 32 && tile.Down(rows) * tile.Across(columns) >= kFilled;
}

// y [rows, columns] = x [rows, depth] weight [depth, columns] + bias, in one dispatch. At most kWidestGrid tiles.
Status RecordPlainProduct(const VulkanCall& call, const BufferRange& x, const BufferRange& weight,
                          const BufferRange& bias, const BufferRange& y, int64_t rows, int64_t depth, int64_t columns);

}  // namespace timbre
