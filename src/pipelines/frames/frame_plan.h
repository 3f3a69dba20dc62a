// What a piece of work will take, before anything of it is computed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/frames/frames_model.h"
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
    int64_t bytes = 0;  // of activations
    double flops = 0;   // of one
  };
  std::vector<Tile> tiles;
  int64_t activations = 0;  // bytes of the tile that takes most
  int64_t weights = 0;      // bytes in float32
  double flops = 0;         // of all tiles

  int64_t bytes() const { return activations + weights; }
};

// By the graphs of all shapes; nothing is packed and no device is asked, so that memory is known to about a fifth.
Result<FramePlan> PlanFrames(const FramesModel& model, FramesHalf half, const TileCounts& counts);

// "8GiB", "800 MB", "2.5G" (of 1024 MiB), or bytes.
Result<int64_t> ParseMemory(const std::string& text);

// An error, which says what would take less, where the plan does not fit.
Status CheckMemory(const FramePlan& plan, int64_t memory);

}  // namespace timbre
