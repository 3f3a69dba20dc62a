// Running models over a track of any length: samples in, outputs out, memory bounded by the tiles.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "dsp/tile_plan.h"
#include "pipelines/tile_runner.h"

namespace timbre {

// One of the models whose results are added up.
struct TileMember {
  TileRunner* runner = nullptr;
  const TilePlan* plan = nullptr;  // every member's has the same length
  std::vector<float> gains;        // [outputs, stems]: what each of its stems adds to each output
};

// Appends some more samples [n, channels] of the track. None at its end.
using SampleSource = std::function<Status(std::vector<float>* samples)>;
// Takes the next `frames` samples [frames, outputs * channels].
using SampleSink = std::function<Status(const float* samples, int64_t frames)>;
// Called after each tile; its error ends the run.
using TileDone = std::function<Status()>;

// Fails with kInternal where the source ends before the plan does, and with kKernelFailed where a result is not finite.
Status RunTiles(std::span<const TileMember> members, const SampleSource& source, const SampleSink& sink,
                const TileDone& tile_done);

}  // namespace timbre
