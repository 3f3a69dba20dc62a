// SCNet, the sparse compression network (Tong, Zhu, Chen, Kang, Jiang, Li, Wu, Meng, "SCNet: Sparse Compression Network
// for Music Source Separation", 2024), and its masked relative, as the community's training programs store them: a
// state dict and a YAML file.
//
// The spectrum is cut into three bands, the higher the more it is compressed along frequency, level by level. Recurrent
// layers go along frequency and along time in turn, every other time over the transform of the features along time.
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

// Under the names of the YAML file's section `model`.
struct ScnetOptions {
  bool masked = false;  // gives a complex mask; with a Hann window, and features of each frequency's place
  int channels = 2;
  std::vector<int> dims{4, 32, 64, 128};  // features of the spectrum, and of each level
  int nfft = 4096, hop_size = 1024, win_size = 4096;
  bool normalized = true;
  std::array<double, 3> band_sr{0.175, 0.392, 0.433};  // shares of the frequencies
  std::array<int, 3> band_stride{1, 4, 16}, band_kernel{3, 4, 16}, conv_depths{3, 2, 1};
  int compress = 4, conv_kernel = 3, num_dplayer = 6, expand = 1;
  // Steps of all sequences that go through a recurrent layer together, as far as whole sequences allow.
  int64_t steps_at_once = 8192;

  TrainerTiling tiling;
};

// Whether these are weights of an SCNet, of whichever kind.
bool IsScnet(const TensorMap& weights);

// Reads the YAML text that belongs to `weights`, which tell the kind. Everything is bounded; errors name the entry.
Result<ScnetOptions> ReadScnetOptions(const std::string& yaml, const TensorMap& weights);

// Options fit together and are bounded.
Status CheckScnet(const ScnetOptions& options);

// The graph of `batch` tiles of `tile` samples: "mix" [batch, tile, channels] -> "stems"
// [batch, tile, stems * channels]. Weights have the names and layouts of the reference's state dict.
Result<Graph> BuildScnet(const ScnetOptions& options, Weights& weights, int64_t tile, int batch);

Result<std::shared_ptr<const SeparationModel>> MakeScnet(ScnetOptions options,
                                                         std::shared_ptr<const TensorMap> weights);

}  // namespace timbre
