// MuQ-MuLan: sound and words as vectors of one space, which DiffRhythm 2 takes for a style (H. Zhu et al., "MuQ:
// Self-Supervised Music Representation Learning with Mel Residual Vector Quantization"). Sound passes a mel
// spectrogram, convolutions and a conformer, words XLM-RoBERTa; then each a transformer of its own.
#pragma once

#include <span>
#include <string_view>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

// Behind a tower.
struct MulanTransformer {
  int dim = 768, depth = 8, heads = 8, head = 64, ff_mult = 4;
};

// As three JSON files state it: of MuQ-MuLan, of MuQ and of XLM-RoBERTa.
struct MulanConfig {
  int sample_rate = 24000, clip_seconds = 10, latent = 512;
  MulanTransformer audio, text;
  // MuQ
  int hop = 240, mels = 128, conv = 512, dim = 1024, depth = 12, heads = 16, feed_forward = 4096, kernel = 31;
  double mel_mean = 0, mel_deviation = 1, rotary_base = 10000, eps = 1e-5;
  // XLM-RoBERTa
  int vocabulary = 250002, text_dim = 768, text_depth = 12, text_heads = 12, text_feed_forward = 3072, positions = 514,
      types = 1;
  double text_eps = 1e-5;

  int64_t clip_samples() const { return int64_t{sample_rate} * clip_seconds; }
  // Of words with their beginning and end.
  int64_t most_tokens() const { return positions - 2; }
};

Result<MulanConfig> ParseMulanConfig(std::string_view mulan, std::string_view muq, std::string_view xlm_roberta);

// Input "wav" [1, samples, 1] at the configuration's rate, output "latent" [1, latent], of length 1. With `taps`,
// intermediate activations are outputs too. Errors: a clip too short for a frame.
Result<Graph> BuildMulanAudio(const MulanConfig& config, Weights& weights, int64_t samples, bool taps = false);

// Input "embedding" [1, tokens, text_dim] (EmbedMulanText), output "latent" as above.
Result<Graph> BuildMulanText(const MulanConfig& config, Weights& weights, int64_t tokens, bool taps = false);

// The sum of each token's, its position's and its type's row. Errors: tokens that there aren't, none, or too many.
Result<std::vector<float>> EmbedMulanText(const MulanConfig& config, Weights& weights, std::span<const int32_t> tokens);

}  // namespace timbre
