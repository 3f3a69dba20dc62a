// The networks of language models: a pass over some ids, after whatever passes came before it.
#pragma once

#include "graph/graph.h"
#include "graph/weights.h"
#include "models/language/language_model.h"

namespace timbre {

// The graphs' scalars: ids that were read before this pass, and those together with its own.
inline constexpr const char* kPositionScalar = "position";
inline constexpr const char* kLengthScalar = "length";

// What a graph is made for.
struct LanguagePass {
  int64_t rows = 1;        // ids; those beyond length - position may be any, and what is made of them is to be ignored
  int64_t capacity = 256;  // positions of the states "k.N" and "v.N", [1, capacity, kv_heads * head]
  bool all = false;        // scores after each id, else after one
  bool taps = false;       // outputs "tap.layer.N.in" and "tap.norm"
};

// Inputs "ids", int32 [1, rows]; where positions are learned, "positions", int32 [1, rows]; of several rows without
// `all`, "row", int32 [1, 1]: which one counts. Output "logits" [1, rows or 1, vocabulary].
Result<Graph> BuildLanguageModel(const LanguageModelConfig& config, Weights& weights, const LanguagePass& pass);

// The frequencies by which positions turn, [rotary / 2]: in float32 from end to end, as the references compute them.
std::vector<float> RotaryFrequencies(const LanguageModelConfig& config);

// Shapes that were released, for measurements without a download: "smollm2-135m", "qwen3-0.6b"; none: kNotFound.
Result<LanguageModelConfig> ReleasedLanguageModel(std::string_view name);

}  // namespace timbre
