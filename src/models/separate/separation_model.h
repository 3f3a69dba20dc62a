// What pipelines see of a separation model: data about it, the plan of its tiles, and how one tile is computed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "dsp/tile_plan.h"
#include "graph/graph.h"

namespace timbre {

struct SeparationInfo {
  std::string architecture;  // "htdemucs", "mdx23c", "larsnet", "hpss"
  int sample_rate = 44100;
  int channels = 2;
  std::vector<std::string> stems;
  double segment = 0;      // seconds of a tile, as the model wants it
  double max_segment = 0;  // the longest tile that may be asked for; 0: any
  bool normalise =
      false;            // the track is brought to zero mean and unit deviation (of its mono mix) before, and back after
  bool shifts = false;  // whether shifting means anything to it
  // By whose rules it can cut a track into tiles, its own first: "msst" (its trainers' program), "uvr" (UVR's and
  // audio-separator's). Empty: it has rules of its own alone.
  std::vector<std::string> pipelines;
};

// What a user may change about tiling.
struct TilingOptions {
  double segment = 0;           // seconds; 0: the model's own
  double overlap = -1;          // fraction of a tile; negative: the model's own
  double transition_power = 1;  // of the weights, where the model's plan has such
  std::vector<int64_t> shifts;  // in samples; empty: none
  std::string pipeline;         // of SeparationInfo::pipelines; empty: the first
};

// Computes tiles without a graph, for what is an algorithm rather than a network. Not thread-safe.
class TileProcessor {
 public:
  virtual ~TileProcessor() = default;
  // mix [tile, channels] -> stems [tile, stems * channels], stem s and channel c at feature s * channels + c.
  virtual Status Process(const float* mix, float* stems, ThreadPool& pool) = 0;
};

// Immutable after it was made.
class SeparationModel {
 public:
  virtual ~SeparationModel() = default;

  virtual const SeparationInfo& info() const = 0;

  // Where the tiles of a track of `length` samples (at the model's rate) lie. Every plan of the same options has the
  // same tile size, whatever the length.
  virtual Result<TilePlan> Plan(int64_t length, const TilingOptions& options) const = 0;

  // The network for `batch` tiles of `tile` samples: input "mix" [batch, tile, channels], output "stems"
  // [batch, tile, stems * channels], stem s and channel c at feature s * channels + c. Further inputs, if any, are
  // filled by FillInput. Weights are taken from the checkpoint anew with each call.
  virtual Result<Graph> BuildTile(int64_t tile, int batch) const = 0;

  // For a graph's inputs other than "mix": the values of one tile of the batch.
  virtual void FillInput(std::string_view name, const TilePlan& plan, const Tile& tile, std::span<float> out) const {
    (void)name, (void)plan, (void)tile, (void)out;
  }

  // Instead of BuildTile, for a model that is no network; null where there is a graph.
  virtual std::unique_ptr<TileProcessor> MakeProcessor(int64_t tile) const {
    (void)tile;
    return nullptr;
  }
};

// One model, or several whose results are averaged, each stem with its own weights.
struct LoadedModel {
  std::string name;                                             // what it was asked for by, for file names and reports
  std::string path;                                             // of the checkpoint; empty where there is none
  std::vector<std::shared_ptr<const SeparationModel>> members;  // the same sample rate, channels and stems
  std::vector<std::vector<float>> weights;                      // [member][stem]
  double segment = 0;                                           // seconds; overrides the members' own where it is not 0

  const SeparationInfo& info() const { return members.front()->info(); }
};

}  // namespace timbre
