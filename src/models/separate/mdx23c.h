// MDX23C, the "TFC-TDF v3" network of the Sound Demixing Challenge 2023 (Kim, Lee, Jung, "Sound Demixing Challenge
// 2023: Music Demixing Track Technical Report", 2023), as the community's training programs store it: a state dict and
// a YAML file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"
#include "models/separate/trainer_config.h"

namespace timbre {

// Under the names of the YAML file's sections `audio`, `model`, `training` and `inference`.
struct Mdx23cOptions {
  int dim_f = 0, hop_length = 0, n_fft = 0, audio_channels = 2;

  std::string act = "gelu";  // gelu, relu or elu followed by its alpha
  std::string norm =
      "InstanceNorm";  // InstanceNorm, BatchNorm, GroupNorm followed by its groups, or anything else for none
  int bottleneck_factor = 4, growth = 0, num_blocks_per_scale = 2, num_channels = 0, num_scales = 0, num_subbands = 4;
  std::array<int, 2> scale{2, 2};  // along time, along frequency

  TrainerTiling tiling;
};

// Reads the YAML text. Everything is bounded; errors name the entry.
Result<Mdx23cOptions> ParseMdx23cConfig(const std::string& yaml);

// Options fit together and are bounded.
Status CheckMdx23c(const Mdx23cOptions& options);

// The graph of `batch` tiles of `tile` samples (a whole number of hops): "mix" [batch, tile, channels] -> "stems"
// [batch, tile, stems * channels]. Weights have the names and layouts of the reference's state dict.
Result<Graph> BuildMdx23c(const Mdx23cOptions& options, Weights& weights, int64_t tile, int batch);

Result<std::shared_ptr<const SeparationModel>> MakeMdx23c(Mdx23cOptions options,
                                                          std::shared_ptr<const TensorMap> weights);

}  // namespace timbre
