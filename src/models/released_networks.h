// The networks of the catalogue in the shapes they were released in, built with whatever weights: for benchmarks, plans
// and tests that need no checkpoint.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"
#include "models/speech/deepfilternet.h"

namespace timbre {

struct NetworkRow {
  std::string_view name;
  double seconds;  // of audio that a tile adds to a track: its length less the overlap
  Result<Graph> (*build)(Weights& weights, int batch);
  // The same network over a checkpoint's weights; null for those that clean speech.
  Result<std::shared_ptr<const SeparationModel>> (*make)(std::shared_ptr<const TensorMap> weights) = nullptr;
  bool half = false;  // its checkpoints hold half precision
  // Writes a model's folder of random weights, where its files are several; null where they are one.
  Status (*write_folder)(uint64_t seed, const std::string& folder) = nullptr;
  int64_t tokens = 0;  // that a run reads: of a language model, for which `seconds` says nothing
};

std::span<const NetworkRow> Networks();

// Fails with kNotFound and the nearest name.
Result<const NetworkRow*> FindNetwork(std::string_view name);

// The configuration that DeepFilterNet3 was released with.
DeepFilterNetConfig ReleasedDeepFilterNet3();

// Writes a .safetensors file of a network's shapes and names with random weights, that commands take as a model: for
// measurements of whole commands without a download. What it makes of sound is noise. `kNetworkKey` of its metadata is
// the network's name.
inline constexpr std::string_view kNetworkKey = "timbre.network";
Status WriteRandomModel(const NetworkRow& network, uint64_t seed, const std::string& path);

// Every weight that `build` asks for, random and of the shape wanted; but none whose name ends in "filter", which
// networks compute for themselves.
Result<TensorMap> RandomTensors(uint64_t seed, bool half, const std::function<Status(Weights&)>& build);

}  // namespace timbre
