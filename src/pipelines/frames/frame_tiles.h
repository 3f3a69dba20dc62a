// How pictures of a stretch of time are cut into tiles and put together again, as the reference does it: that is part
// of the result, since every tile has edges and statistics of its own.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "pipelines/frames/volume.h"

namespace timbre {

enum class FrameMode : uint8_t {
  kTiled,      // in time, and in space where a side is longer than a tile's
  kFramewise,  // in time alone
  kWhole,      // everything at once
};

// In pixels and frames.
struct FrameTileSizes {
  int side = 256, side_stride = 192;
  int frames = 16, frames_stride = 12;
};

// Along one axis. A tile of `size` begins every `stride` places of the input; its result is blended over `blend` places
// with the one before, and `keep` of it stand before the next.
struct TileSteps {
  int64_t size = 0, stride = 0, blend = 0, keep = 0;
};

struct FrameTiling {
  bool in_time = false, in_space = false;
  TileSteps time, space;
};

// Of latents into frames, and of frames into latents. Errors: sizes that are no whole latents, strides that are longer
// than tiles.
Result<FrameTiling> DecoderTiling(FrameMode mode, const FrameTileSizes& sizes);
Result<FrameTiling> EncoderTiling(FrameMode mode, const FrameTileSizes& sizes);

struct VolumeSize {
  int64_t frames = 0, height = 0, width = 0;
};

// A piece of work that was cut: shapes of its input and of its result.
struct TiledWork {
  FrameTiling tiling;
  VolumeSize input, output;

  // How many tiles there are.
  int64_t tiles() const;
};

// Gives frames [begin, end) of the input; what lies before an earlier `begin` is never asked for again.
using VolumeSource = std::function<Result<Volume>(int64_t begin, int64_t end)>;
// The network: the result of one tile.
using TileFunction = std::function<Result<Volume>(const Volume& tile)>;
// Takes the result in order, some frames at a time.
using VolumeSink = std::function<Status(const Volume& frames)>;

// Memory holds one stretch of time.
Status RunTiled(const TiledWork& work, const VolumeSource& source, const TileFunction& network, const VolumeSink& sink);

}  // namespace timbre
