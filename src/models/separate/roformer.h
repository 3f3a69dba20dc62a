// BS-RoFormer and Mel-Band RoFormer (Lu, Wang, Kong, Hung, "Music Source Separation with Band-Split RoPE Transformer",
// 2023; Wang, Lu, Won, "Mel-Band RoFormer for Music Source Separation", 2023), as the community's training programs
// store them: a state dict and a YAML file.
//
// The spectrum is cut into bands, each of which is a token of `dim` features in every frame. Transformers go along time
// and along the bands in turn, and small networks make a complex mask of each band, which the spectrum is multiplied
// by.
#pragma once

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

// Bins [begin, end) of a spectrum.
struct BandRange {
  int64_t begin = 0, end = 0;
  int64_t width() const { return end - begin; }
  bool operator==(const BandRange&) const = default;
};

// The 62 bands of the paper's network, for the 1025 bins of a transform of 2048 samples.
std::vector<BandRange> PublishedBands();

// The bins under each of `bands` triangles of a mel filter bank (Slaney's scale, from 0 to half the rate): neighbours
// overlap. The first bin belongs to the first band and the last bin to the last one. kUnsupported where a band would
// have no bin, or a bin no band.
Result<std::vector<BandRange>> MelBands(int sample_rate, int n_fft, int bands);

// Biases that all layers of some checkpoints share, under the names that the first of these came with.
inline constexpr char kSharedQkvBias[] = "linear_62_bias_0", kSharedOutBias[] = "linear_64_bias_0";

struct RoformerOptions {
  bool mel = false;  // Mel-Band RoFormer: a norm at the end of each transformer, one more layer in the masks
  int dim = 0, depth = 0, heads = 8, dim_head = 64;
  int linear_depth = 0, time_depth = 1, band_depth = 1;  // layers of each transformer of a block
  int channels = 2;
  int n_fft = 2048, hop = 512, win = 2048;
  bool normalised = false;  // the spectrum, by the root of n_fft
  std::vector<BandRange> bands;
  int mask_layers = 2;     // linear layers of a band's mask
  int mask_expansion = 4;  // features between them, in multiples of `dim`
  bool skip_connection = false;
  bool zero_dc = true;
  bool pope = false;  // polar positions instead of rotary ones
  // What some checkpoints have and others do not.
  bool stored_positions = false;  // frequencies of positions, perhaps rounded
  bool qkv_bias = false, out_bias = false;
  std::string value_mix;  // the layer that mixes values with those of the first block; empty: none does
  // Tokens that go through a transformer together, as far as whole sequences allow: so many that products of matrices
  // are at their best, few enough that what lies between them stays small beside the tokens themselves.
  int64_t tokens_at_once = 4096;

  TrainerTiling tiling;
};

// Whether these are weights of a RoFormer, of whichever kind.
bool IsRoformer(const TensorMap& weights);

// What the network is like follows from its weights; the YAML text says what they can't, and must agree where it says
// the same. Everything is bounded; errors name the entry or the weight.
Result<RoformerOptions> ReadRoformerOptions(const std::string& yaml, const TensorMap& weights);

// Options fit together and are bounded.
Status CheckRoformer(const RoformerOptions& options);

// The graph of `batch` tiles of `tile` samples: "mix" [batch, tile, channels] -> "stems"
// [batch, tile, stems * channels]. Weights have the names and layouts of the reference's state dict.
Result<Graph> BuildRoformer(const RoformerOptions& options, Weights& weights, int64_t tile, int batch);

Result<std::shared_ptr<const SeparationModel>> MakeRoformer(RoformerOptions options,
                                                            std::shared_ptr<const TensorMap> weights);

}  // namespace timbre
