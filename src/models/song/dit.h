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
  int64_t rows = 10;   // of the pass: a block, or the text
  int64_t places = 0;  // keys that there is room for: the text's and all blocks'
};

// One pass over a block of latents. Inputs "latent" [1, rows, mel_dim]; "time" [1, 1, kTimeFeatures] (TimeFeatures);
// "style" [branches, 1, kStyleFeatures]. Output "velocity" [branches, rows, mel_dim]. Every layer L keeps its keys and
// values in the states "k.L" and "v.L" [branches, places, dim]. The scalar "place" says where the pass writes its own,
// over what a pass before has left there; "length" how many places are seen, its own included (all, unless it is set);
// "position" where in the song the first row is. With `taps`, intermediate activations are outputs too.
Result<Graph> BuildDitStep(const DitConfig& config, Weights& weights, const DitShape& shape, bool taps = false);

// The pass over the text that comes before all blocks, over the same states: "text" [branches, rows, kStyleFeatures]
// (EmbedText) for "latent", and no output.
Result<Graph> BuildDitText(const DitConfig& config, Weights& weights, const DitShape& shape);

// The rows of the embedding for `tokens`. Errors: a token that the model has not.
Result<std::vector<float>> EmbedText(const DitConfig& config, Weights& weights, std::span<const int32_t> tokens);

// ---- Tables, in float32 as the reference computes them: with finer ones latents would be 15 dB further from it ----

std::vector<float> TimeFeatures(float time);     // [kTimeFeatures]
std::vector<float> RotaryFrequencies(int head);  // [head / 2]; the angle is the float32 product with the position
std::vector<float> Linspace(int points);         // from 0 to 1

}  // namespace timbre
