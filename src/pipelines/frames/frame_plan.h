// What a piece of work will take, before anything of it is computed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/frames/frames_model.h"
#include "pipelines/frames/frame_bands.h"
#include "pipelines/frames/frame_tiles.h"

namespace timbre {

// How many tiles there are of each shape, in latents.
using TileCounts = std::map<LatentShape, int64_t>;

// Adds those of `work`, which is the decoder's or the encoder's.
void CountTiles(const TiledWork& work, FramesHalf half, TileCounts& counts);

struct FramePlan {
  struct Tile {
    LatentShape shape;
    int64_t count = 0;
    int64_t bytes = 0;  // of memory, weights and the program included
    double flops = 0;   // of one
    bool in_bands = false;
    int64_t in_files = 0;  // bytes that memory has no room for, in bands
  };
  std::vector<Tile> tiles;  // that which takes most memory first
  int64_t weights = 0;      // bytes in float32
  double flops = 0;         // of all tiles

  int64_t bytes() const { return tiles.empty() ? 0 : tiles.front().bytes; }
};

// By the graphs of all shapes; nothing is packed: memory is what sessions on the CPU take, whatever the device. What
// would take more than `limits` allow at once is decoded in bands; there are none of encoding.
Result<FramePlan> PlanFrames(const FramesModel& model, FramesHalf half, const TileCounts& counts,
                             const BandLimits& limits);

// "8GiB", "800 MB", "2.5G" (of 1024 MiB), or bytes, as `option` was given.
Result<int64_t> ParseMemory(const std::string& option, const std::string& text);

// An error, which says what would take less, where the plan does not fit.
Status CheckMemory(const FramePlan& plan, int64_t memory);

}  // namespace timbre
