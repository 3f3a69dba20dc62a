// The YAML files of trainers that say how a separation network is built.
#include "models/released_networks.h"
#include "models/separate/htdemucs.h"
#include "models/separate/mdx23c.h"
#include "models/separate/roformer.h"
#include "models/separate/scnet.h"
#include "tests/e2e/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/places.h"
#include "tests/support/small_htdemucs.h"

namespace {

std::vector<std::string> Seeds() {
  return {
      timbre::testing::kSmallHtdemucsYaml,
      timbre::testing::ReadAll(timbre::testing::SourceDir() + "/tests/data/official/mdx23c-tiny.yaml"),
      "audio: {chunk_size: 1024, sample_rate: 8000}\n"
      "model: {dim: 8, depth: 1, stereo: true, heads: 2, dim_head: 4, stft_n_fft: 64, stft_hop_length: 16,\n"
      "  stft_win_length: 64, freqs_per_bands: !!python/tuple [3, 10, 20], num_bands: 3, sample_rate: 8000}\n"
      "training: {instruments: [a, b], target_instrument: a}\ninference: {num_overlap: 2}\n",
      "audio: {chunk_size: 2000}\n"
      "model: {sources: &s [a, b], dims: [4, 4, 8], nfft: 256, hop_size: 64, win_size: 256, band_SR: [0.2, 0.4, 0.4],\n"
      "  band_stride: [1, 4, 16], band_kernel: [3, 4, 16], conv_depths: [3, 2, 1], compress: 4, num_dplayer: 2}\n"
      "training: {instruments: *s}\n"};
}

// Weights of a RoFormer of one stem, over the bands that its seed has.
timbre::TensorMap RoformerWeights(bool mel) {
  timbre::RoformerOptions o;
  o.mel = mel;
  o.dim = 8;
  o.depth = 1;
  o.heads = 2;
  o.dim_head = 4;
  o.n_fft = o.win = 64;
  o.hop = 16;
  o.mask_layers = mel ? 2 : 1;
  o.bands = {{0, 3}, {3, 13}, {13, 33}};
  if (mel) o.bands = timbre::MelBands(8000, 64, 3).value_or(o.bands);
  o.tiling = {.chunk_size = 1024, .stems = {"a"}};
  return timbre::RandomTensors(1, false,
                               [&](timbre::Weights& weights) {
                                 return timbre::BuildRoformer(o, weights, 1024, 1).map([](const timbre::Graph&) {});
                               })
      .value_or(timbre::TensorMap());
}

}  // namespace

TIMBRE_FUZZ_TARGET(SeparatorConfig, Seeds, 2000) {
  const timbre::TensorMap none;
  const std::string text(bytes);
  if (const auto config = timbre::ParseHtdemucsConfig(text, none)) {
    if (!timbre::CheckHtdemucs(config->network)) __builtin_trap();
  }
  if (const auto options = timbre::ParseMdx23cConfig(text)) {
    if (!timbre::CheckMdx23c(*options)) __builtin_trap();
  }
  static const timbre::TensorMap roformers[] = {RoformerWeights(false), RoformerWeights(true)};
  for (const timbre::TensorMap& weights : roformers) {
    if (const auto options = timbre::ReadRoformerOptions(text, weights)) {
      if (!timbre::CheckRoformer(*options)) __builtin_trap();
    }
  }
  if (const auto options = timbre::ReadScnetOptions(text, none)) {
    if (!timbre::CheckScnet(*options)) __builtin_trap();
  }
}
