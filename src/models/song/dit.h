// The network of DiffRhythm 2: a transformer of Llama's layers that makes a song's latents block by block, by flow
// matching (Y. Jiang et al., "DiffRhythm 2: Efficient and High Fidelity Song Generation via Block Flow Matching").
//
// Text and audio are kept as keys and values of every layer. Branch 0 is conditioned, branch 1, where there is one, is
// the null branch that guidance needs: both are rows of the same products.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

inline constexpr int kStyleFeatures = 512;  // of a style, and of everything before the transformer
inline constexpr int kTimeFeatures = 256;

// As its JSON states it, in the JSON's names.
struct DitConfig {
  int dim = 2048, depth = 16, heads = 16, ff_mult = 4;
  int mel_dim = 64;            // features of a latent
  int text_num_embeds = 1000;  // tokens there are, but the filler
  int block_size = 10;         // latents of a block

  int head() const { return dim / heads; }
};

// Errors say which number makes no sense, or what is not computed.
Result<DitConfig> ParseDitConfig(std::string_view json);

// The names of weights that only training uses begin with this.
inline constexpr std::string_view kDitTrainingOnly = "transformer.projectors.";

// What both graphs are made for.
struct DitShape {
  int branches = 2;
  int64_t rows = 10;  // of the pass: a block, or the text
  int64_t past = 0;   // keys that may come before
};

// One pass over a block of latents. Inputs "latent" [1, rows, mel_dim]; "time" [1, 1, kTimeFeatures] (TimeFeatures);
// "style" [branches, 1, kStyleFeatures]; "cos" and "sin" [1, rows, 1, head / 2] (RotaryTables). With a past: "mask" [1,
// 1, 1, past], 0 where a key is there and kMasked where none is, and for every layer L "past.k.L" and "past.v.L"
// [branches, heads, past, head]. Outputs "velocity" [branches, rows, mel_dim], and for every layer "k.L" and "v.L"
// [branches, heads, rows, head], of this pass alone. With `taps`, intermediate activations too.
Result<Graph> BuildDitStep(const DitConfig& config, Weights& weights, const DitShape& shape, bool taps = false);

// The pass over the text that comes before all blocks: "text" [branches, rows, kStyleFeatures] (EmbedText) for
// "latent", "time" as above; only keys and values come out.
Result<Graph> BuildDitText(const DitConfig& config, Weights& weights, const DitShape& shape);

// A score that leaves nothing of a key.
inline constexpr float kMasked = -1e30f;

// The rows of the embedding for `tokens`. Errors: a token that the model has not.
Result<std::vector<float>> EmbedText(const DitConfig& config, Weights& weights, std::span<const int32_t> tokens);

// ---- Tables, in float32 as the reference computes them: with finer ones latents would be 15 dB further from it ----

std::vector<float> TimeFeatures(float time);  // [kTimeFeatures]
struct RotaryTables {
  std::vector<float> cosine, sine;  // [positions, head / 2]
};
RotaryTables MakeRotaryTables(int head, int64_t first, int64_t positions);
std::vector<float> Linspace(int points);  // from 0 to 1

}  // namespace timbre
