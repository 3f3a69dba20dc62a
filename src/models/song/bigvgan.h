// BigVGAN, which makes a waveform of latents or of a mel spectrogram: S. Lee, W. Ping, B. Ginsburg, B. Catanzaro,
// S. Yoon, "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", ICLR 2023. Version 2, whose Snake has a
// gain of its own, with resblocks of kind 1.
#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

// As its JSON states it, in the JSON's names.
struct BigvganConfig {
  int in_channels = 64;
  int upsample_initial_channel = 1536;
  std::vector<int> upsample_rates, upsample_kernel_sizes;  // of each stage
  std::vector<int> resblock_kernel_sizes;
  std::vector<std::vector<int>> resblock_dilation_sizes;  // for each kernel size
  bool snake_beta = true;                                 // "snakebeta"; false: "snake", whose gain is 1 / alpha
  bool snake_logscale = true;
  bool use_tanh_at_final = true;  // false: clamped to [-1, 1]
  bool use_bias_at_final = true;
  int sampling_rate = 48000;

  int hop() const;  // samples of a frame
  // Whether so many frames are exactly so many hops: where every kernel exceeds its rate by an even number.
  bool whole_hops() const;
};

// Errors say which number makes no sense, or what kind of network is not computed.
Result<BigvganConfig> ParseBigvganConfig(std::string_view json);

// Input "latent" [1, frames, in_channels], output "audio" [1, frames * hop, 1], or a few samples more where the hops
// are not whole. The filters of the activations are read from the checkpoint; where it lacks them they are made as the
// network's definition says. With `taps` every stage's and residual block's result is an output too, by its name in the
// checkpoint.
Result<Graph> BuildBigvgan(const BigvganConfig& config, Weights& weights, int64_t frames, bool taps = false);

}  // namespace timbre
