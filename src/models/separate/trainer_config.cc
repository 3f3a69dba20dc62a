#include "models/separate/trainer_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/text.h"

namespace timbre {

Result<TrainerConfig> TrainerConfig::Parse(const std::string& text) {
  constexpr size_t kLongest = 1 << 20;
  if (text.size() > kLongest) {
    return Fail(ErrorCode::kCorrupt,
                "the configuration is longer than 1 MiB; give the YAML file that belongs to the checkpoint");
  }
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsMap()) return TrainerConfig(root);
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kCorrupt, "the configuration is not valid YAML: " + Printable(e.what()));
  }
  return Fail(ErrorCode::kCorrupt, "the configuration has no sections audio, model, training and inference");
}

YAML::Node TrainerConfig::Entry(const char* section, const char* name) const {
  const YAML::Node part = root_[section];
  return part.IsDefined() && part.IsMap() ? part[name] : YAML::Node(YAML::NodeType::Undefined);
}

void TrainerConfig::Fault(const char* before, const char* section, const char* name, const char* after) {
  if (status_) status_ = Fail(ErrorCode::kCorrupt, std::string(before) + section + "." + name + after);
}

std::string RestOfTarget(const std::string& target, const std::vector<std::string>& instruments) {
  const std::string folded = LowerCase(target);
  const bool capital = folded != target;
  if (folded == "vocals") return capital ? "Instrumental" : "instrumental";
  if (folded == "instrumental") return capital ? "Vocals" : "vocals";
  if (instruments.size() == 2 && instruments[0] == target && instruments[1] != target) return instruments[1];
  if (instruments.size() == 2 && instruments[1] == target && instruments[0] != target) return instruments[0];
  return "no_" + target;
}

std::vector<std::string> StemsOf(const TrainerTiling& tiling) {
  std::vector<std::string> stems = tiling.stems;
  if (!tiling.rest.empty()) stems.push_back(tiling.rest);
  return stems;
}

Result<TrainerTiling> ReadTrainerTiling(TrainerConfig& config) {
  TrainerTiling t;
  if (!config.Read("inference", "chunk_size", t.chunk_size)) config.Read("audio", "chunk_size", t.chunk_size, true);
  config.Read("audio", "sample_rate", t.sample_rate);
  config.Read("inference", "num_overlap", t.num_overlap);
  config.Read("inference", "batch_size", t.batch_size);
  config.Read("inference", "dim_t", t.dim_t);
  config.Read("inference", "normalize", t.normalise);
  std::string target;
  config.Read("training", "target_instrument", target);
  config.Read("training", "instruments", t.stems, target.empty());
  if (!target.empty()) {
    t.rest = RestOfTarget(target, t.stems);
    t.stems = {target};
  }
  if (!config.status()) return tl::unexpected<Error>(config.status().error());
  TIMBRE_CHECK(CheckBounds({
      {"chunk_size", t.chunk_size, 1024, 1 << 24},
      {"audio.sample_rate", t.sample_rate, 1000, 384000},
      {"training.instruments (their number)", static_cast<int64_t>(t.stems.size()), 1, 64},
      {"inference.num_overlap", t.num_overlap, 1, 64},
      {"inference.batch_size", t.batch_size, 1, 256},
      {"inference.dim_t", t.dim_t, 0, 1 << 20},
  }));
  return t;
}

Result<TilePlan> PlanTrainerTiles(const TrainerTiling& tiling, int hop, int n_fft, int64_t length,
                                  const TilingOptions& options) {
  const bool uvr = options.pipeline == "uvr";
  int64_t tile = tiling.chunk_size;
  if (const int64_t frames = int64_t{hop} * (tiling.dim_t - 1); uvr && frames >= n_fft) tile = frames;
  if (options.segment > 0) {
    tile = std::llround(std::min(options.segment * tiling.sample_rate / hop, 1e6)) * hop;
    if (tile < n_fft) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a segment of " + std::to_string(options.segment) + " s is too short for this model; its own is " +
                      std::to_string(static_cast<double>(tiling.chunk_size) / tiling.sample_rate) + " s");
    }
  }
  int64_t step = uvr ? std::min<int64_t>(tile, int64_t{8} * tiling.sample_rate) : tile / tiling.num_overlap;
  if (options.overlap >= 0) step = std::llround(static_cast<double>(tile) * (1 - options.overlap));
  if (step < 1) {
    return Fail(ErrorCode::kInvalidArgument,
                "an overlap of " + std::to_string(options.overlap) + " leaves no step; give less than 1");
  }
  if (uvr) return PlanHamming(length, tile, step);
  return PlanFaded(length, tile, step, tile / 10, tiling.batch_size);
}

Status CheckBounds(const std::vector<ConfigBound>& bounds) {
  for (const ConfigBound& b : bounds) {
    if (b.value >= b.lo && b.value <= b.hi) continue;
    return Fail(ErrorCode::kUnsupported, std::string("the configuration's ") + b.name + " is " +
                                             std::to_string(b.value) + ", which is not within [" +
                                             std::to_string(b.lo) + ", " + std::to_string(b.hi) + "]");
  }
  return {};
}

}  // namespace timbre
