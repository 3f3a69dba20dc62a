#include "pipelines/frames/frame_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/quantities.h"
#include "base/text.h"
#include "runtime/session/cpu_needs.h"

namespace timbre {
namespace {

// Lengths of the tiles along an axis of so many places, in its own units.
std::map<int64_t, int64_t> Lengths(const TileSteps& steps, int64_t places, bool cut) {
  std::map<int64_t, int64_t> lengths;
  if (!cut) return {{places, 1}};
  for (int64_t at = 0; at < places; at += steps.stride) ++lengths[std::min(steps.size, places - at)];
  return lengths;
}

}  // namespace

void CountTiles(const TiledWork& work, FramesHalf half, TileCounts& counts) {
  const FrameTiling& tiling = work.tiling;
  const VolumeSize& input = work.input;
  const bool in_space = tiling.in_space && (input.height > tiling.space.size || input.width > tiling.space.size);
  std::map<int64_t, int64_t> times;
  if (tiling.in_time && input.frames > tiling.time.size) {
    for (int64_t at = 0; at + 1 < input.frames; at += tiling.time.stride) {
      ++times[std::min(tiling.time.size + 1, input.frames - at)];
    }
  } else {
    times[input.frames] = 1;
  }
  const bool decoder = half == FramesHalf::kDecoder;
  for (const auto& [frames, stretches] : times) {
    for (const auto& [height, rows] : Lengths(tiling.space, input.height, in_space)) {
      for (const auto& [width, columns] : Lengths(tiling.space, input.width, in_space)) {
        const LatentShape shape =
            decoder ? LatentShape{frames, height, width}
                    : LatentShape{(frames - 1) / kFrameSteps + 1, height / kFrameScale, width / kFrameScale};
        counts[shape] += stretches * rows * columns;
      }
    }
  }
}

Result<FramePlan> PlanFrames(const FramesModel& model, FramesHalf half, const TileCounts& counts,
                             const BandLimits& limits) {
  FramePlan plan;
  for (const auto& [shape, count] : counts) {
    const std::unique_ptr<Weights> weights = WeightsFromMap(model.weights);
    TIMBRE_TRY(Graph graph, half == FramesHalf::kDecoder ? BuildHunyuanDecoder(model.config, *weights, shape)
                                                         : BuildHunyuanEncoder(model.config, *weights, shape));
    if (plan.weights == 0) {
      for (const TensorInfo& tensor : graph.tensors) {
        if (tensor.kind == TensorKind::kConstant) {
          plan.weights += tensor.shape.elements() * static_cast<int64_t>(sizeof(float));
        }
      }
    }
    FramePlan::Tile tile{.shape = shape, .count = count, .flops = FlopsOf(graph)};
    for (const std::vector<GraphPort>* ports : {&graph.inputs, &graph.outputs}) {
      for (const GraphPort& port : *ports) tile.bytes += graph.bytes(port.tensor);
    }
    tile.bytes += CpuNeedsOf(std::move(graph), limits.caps).total() + kProgramBytes;
    if (half == FramesHalf::kDecoder && tile.bytes > limits.memory) {
      TIMBRE_TRY(const BandPlan bands, PlanBands(model, shape, limits));
      tile.in_bands = true;
      tile.bytes = bands.memory(limits);
      tile.in_files = bands.in_files(limits);
      tile.flops = bands.flops;
    }
    plan.flops += tile.flops * static_cast<double>(count);
    plan.tiles.push_back(tile);
  }
  std::sort(plan.tiles.begin(), plan.tiles.end(),
            [](const FramePlan::Tile& a, const FramePlan::Tile& b) { return a.bytes > b.bytes; });
  return plan;
}

Result<int64_t> ParseMemory(const std::string& option, const std::string& text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string unit(rest, end);
  std::erase(unit, ' ');
  constexpr std::pair<const char*, double> kUnits[] = {{"", 1},
                                                       {"B", 1},
                                                       {"k", 1024},
                                                       {"M", 1048576.0},
                                                       {"G", 1073741824.0},
                                                       {"kB", 1e3},
                                                       {"MB", 1e6},
                                                       {"GB", 1e9},
                                                       {"KiB", 1024},
                                                       {"kiB", 1024},
                                                       {"MiB", 1048576.0},
                                                       {"GiB", 1073741824.0},
                                                       {"T", 1099511627776.0},
                                                       {"TB", 1e12},
                                                       {"TiB", 1099511627776.0}};
  for (const auto& [name, bytes] : kUnits) {
    if (error != std::errc() || unit != name || !(number > 0 && number * bytes < std::ldexp(1, 60))) continue;
    return static_cast<int64_t>(number * bytes);
  }
  return Fail(ErrorCode::kInvalidArgument, option + " takes a size as 8GiB or 800MB, not '" + Printable(text) + "'");
}

Status CheckMemory(const FramePlan& plan, int64_t memory) {
  if (plan.bytes() <= memory) return {};
  const FramePlan::Tile& tile = plan.tiles.front();
  return Fail(
      ErrorCode::kOutOfMemory,
      fmt::format("a tile of {} latents of {}x{} takes about {} with the weights{}, and --memory allows {}; cut "
                  "it smaller by --mode tiled, --tile or --tile-frames",
                  tile.shape.frames, tile.shape.width, tile.shape.height, BytesText(static_cast<double>(tile.bytes)),
                  tile.in_bands ? ", even in bands" : "", BytesText(static_cast<double>(memory))));
}

}  // namespace timbre
