// The YAML file that ZFTurbo's Music-Source-Separation-Training keeps beside a checkpoint, in the sections `audio`,
// `model`, `training` and `inference`. Tags such as !!python/tuple are read as the plain value they stand before;
// nothing is evaluated.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "dsp/tile_plan.h"
#include "models/separate/separation_model.h"

namespace timbre {

class TrainerConfig {
 public:
  // Bounded; errors say that it is no YAML, or has no sections.
  static Result<TrainerConfig> Parse(const std::string& text);

  // Whether the entry is there and no null; `out` is then its value. The first entry that is of another kind, or that
  // was required and is not there, is what status() says.
  template <typename T>
  bool Read(const char* section, const char* name, T& out, bool required = false) {
    try {
      const YAML::Node node = Entry(section, name);
      if (!node.IsDefined() || node.IsNull()) {
        if (required) Fault("the configuration has no entry ", section, name, "");
        return false;
      }
      out = node.as<T>();
      return true;
    } catch (const YAML::Exception&) {
      Fault("the configuration's ", section, name, " is not what it should be");
      return false;
    }
  }

  const Status& status() const { return status_; }

 private:
  explicit TrainerConfig(const YAML::Node& root) : root_(root) {}
  YAML::Node Entry(const char* section, const char* name) const;
  void Fault(const char* before, const char* section, const char* name, const char* after);

  YAML::Node root_;
  Status status_;
};

// What every network of that program says of itself outside its own section.
struct TrainerTiling {
  int64_t chunk_size = 0;  // samples: of `inference`, else of `audio`
  int num_overlap = 4, batch_size = 1;
  int dim_t = 0;  // frames of a tile for other programs; 0: none are stated
  int sample_rate = 44100;
  bool normalise = false;
  std::vector<std::string> stems;  // that the network gives: the target instrument alone, where there is one
  std::string rest;                // the mixture without that; empty where there is no target
};
// What the mixture without `target` is called: the instrumental of a voice and the other way round, else the other one
// of two instruments.
std::string RestOfTarget(const std::string& target, const std::vector<std::string>& instruments);
// `stems` and the rest.
std::vector<std::string> StemsOf(const TrainerTiling& tiling);
// Reads and bounds all of it; what is amiss is in the configuration's status, or is the error.
Result<TrainerTiling> ReadTrainerTiling(TrainerConfig& config);

// The tiles of that program: of chunk_size samples, or of as many whole hops as a segment is asked for. By the pipeline
// "uvr", those of dim_t frames, every 8 seconds unless an overlap is asked for.
Result<TilePlan> PlanTrainerTiles(const TrainerTiling& tiling, int hop, int n_fft, int64_t length,
                                  const TilingOptions& options);

// A number that must lie within [lo, hi], under the name of its entry.
struct ConfigBound {
  const char* name;
  int64_t value, lo, hi;
};
Status CheckBounds(const std::vector<ConfigBound>& bounds);

}  // namespace timbre
