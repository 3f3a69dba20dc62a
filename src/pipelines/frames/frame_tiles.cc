#include "pipelines/frames/frame_tiles.h"

#include <algorithm>
#include <string>
#include <vector>

#include "models/frames/hunyuan_vae.h"

namespace timbre {
namespace {

// Tiles that are no whole latents would lie beside each other's results.
Status CheckSteps(const char* size_name, const char* stride_name, int size, int stride, int64_t multiple) {
  if (size % multiple != 0 || stride % multiple != 0) {
    return Fail(ErrorCode::kInvalidArgument, std::string(size_name) + " and " + stride_name + " are multiples of " +
                                                 std::to_string(multiple) + ", unlike " + std::to_string(size) +
                                                 " and " + std::to_string(stride));
  }
  if (stride < multiple || stride > size) {
    return Fail(ErrorCode::kInvalidArgument, std::string(stride_name) + " is from " + std::to_string(multiple) +
                                                 " to the tile's size, which is " + std::to_string(size));
  }
  return {};
}

Status CheckSizes(const FrameTileSizes& sizes) {
  TIMBRE_CHECK(CheckSteps("--tile", "--tile-stride", sizes.side, sizes.side_stride, kFrameScale));
  return CheckSteps("--tile-frames", "--tile-frames-stride", sizes.frames, sizes.frames_stride, kFrameSteps);
}

FrameTiling TilingOf(FrameMode mode) {
  return {.in_time = mode != FrameMode::kWhole, .in_space = mode == FrameMode::kTiled};
}

int64_t StepsOf(int64_t size, int64_t stride) { return (size + stride - 1) / stride; }

bool Cuts(const TileSteps& steps, const VolumeSize& size) {
  return size.height > steps.size || size.width > steps.size;
}

// Tiles over a picture's area, all results blended with their neighbours' to the left and above, which were blended
// before them.
Result<Volume> RunInSpace(const TiledWork& work, const Volume& input, const TileFunction& network) {
  const TileSteps& steps = work.tiling.space;
  const int64_t rows = StepsOf(input.height, steps.stride), columns = StepsOf(input.width, steps.stride);
  std::vector<Volume> results(static_cast<size_t>(rows * columns));
  const auto height_of = [&](int64_t tile) {
    return std::min(steps.size, input.height - tile / columns * steps.stride);
  };
  const auto width_of = [&](int64_t tile) { return std::min(steps.size, input.width - tile % columns * steps.stride); };
  // Tiles of one shape together: each shape is a plan, and not all of those fit into memory.
  std::vector<int64_t> order(results.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::pair(height_of(a), width_of(a)) > std::pair(height_of(b), width_of(b));
  });
  for (const int64_t tile : order) {
    const int64_t y = tile / columns * steps.stride, x = tile % columns * steps.stride;
    TIMBRE_TRY(results[tile], network(input.Part(0, input.frames, y, y + steps.size, x, x + steps.size)));
  }
  Volume whole(results[0].frames, work.output.height, work.output.width, results[0].channels);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      Volume& tile = results[i * columns + j];
      if (i > 0) BlendInto(results[(i - 1) * columns + j], tile, VolumeAxis::kHeight, steps.blend);
      if (j > 0) BlendInto(results[i * columns + j - 1], tile, VolumeAxis::kWidth, steps.blend);
      whole.Paste(tile.Part(0, tile.frames, 0, steps.keep, 0, steps.keep), 0, i * steps.keep, j * steps.keep);
    }
  }
  return whole;
}

}  // namespace

Result<FrameTiling> DecoderTiling(FrameMode mode, const FrameTileSizes& sizes) {
  TIMBRE_CHECK(CheckSizes(sizes));
  FrameTiling tiling = TilingOf(mode);
  tiling.time = {sizes.frames / kFrameSteps, sizes.frames_stride / kFrameSteps, sizes.frames - sizes.frames_stride,
                 sizes.frames_stride};
  tiling.space = {sizes.side / kFrameScale, sizes.side_stride / kFrameScale, sizes.side - sizes.side_stride,
                  sizes.side_stride};
  return tiling;
}

Result<FrameTiling> EncoderTiling(FrameMode mode, const FrameTileSizes& sizes) {
  TIMBRE_CHECK(CheckSizes(sizes));
  FrameTiling tiling = TilingOf(mode);
  const int64_t kept = sizes.frames_stride / kFrameSteps, side = sizes.side_stride / kFrameScale;
  tiling.time = {sizes.frames, sizes.frames_stride, sizes.frames / kFrameSteps - kept, kept};
  tiling.space = {sizes.side, sizes.side_stride, sizes.side / kFrameScale - side, side};
  return tiling;
}

int64_t TiledWork::tiles() const {
  int64_t tiles = 1;
  if (tiling.in_time && input.frames > tiling.time.size) {
    // A last stretch of one frame would only repeat what the one before ends with.
    tiles = StepsOf(input.frames - 1, tiling.time.stride);
  }
  if (!tiling.in_space || !Cuts(tiling.space, input)) return tiles;
  return tiles * StepsOf(input.height, tiling.space.stride) * StepsOf(input.width, tiling.space.stride);
}

Status RunTiled(const TiledWork& work, const VolumeSource& source, const TileFunction& network,
                const VolumeSink& sink) {
  const TileSteps& steps = work.tiling.time;
  const bool in_space = work.tiling.in_space && Cuts(work.tiling.space, work.input);
  const auto run = [&](const Volume& input) { return in_space ? RunInSpace(work, input, network) : network(input); };
  if (!work.tiling.in_time || work.input.frames <= steps.size) {
    TIMBRE_TRY(const Volume input, source(0, work.input.frames));
    TIMBRE_TRY(const Volume result, run(input));
    return sink(result);
  }
  Volume before;
  int64_t written = 0;
  // Each stretch begins with the last frame that the one before is judged by, and drops it from its result.
  for (int64_t i = 0; i + 1 < work.input.frames; i += steps.stride) {
    TIMBRE_TRY(const Volume input, source(i, std::min(i + steps.size + 1, work.input.frames)));
    TIMBRE_TRY(Volume result, run(input));
    if (i > 0) {
      result = result.Frames(1, result.frames);
      BlendInto(before, result, VolumeAxis::kTime, steps.blend);
    }
    const int64_t kept = std::min({steps.keep + (i == 0 ? 1 : 0), result.frames, work.output.frames - written});
    if (kept > 0) TIMBRE_CHECK(sink(result.Frames(0, kept)));
    written += kept;
    before = std::move(result);
  }
  return {};
}

}  // namespace timbre
