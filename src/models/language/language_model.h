// Causal language models as they are published: a folder of Hugging Face's layout, or a GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "graph/weights.h"

namespace timbre {

enum class LanguageFamily : uint8_t { kPhi, kLlama, kQwen2, kQwen3, kGpt2 };
std::string_view NameOf(LanguageFamily family);  // as "model_type" in config.json: "phi", "llama", …

// Llama 3's way to make positions reach further: slow turns are slowed by `factor`, fast ones stay.
struct RotaryScaling {
  float factor = 1, low = 1, high = 4;
  float context = 8192;  // positions before
};

// What a model's authors say about drawing from it; absent where they say nothing.
struct SamplingDefaults {
  std::optional<bool> sample;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
};

struct LanguageModelConfig {
  LanguageFamily family = LanguageFamily::kLlama;
  int vocabulary = 0;  // rows of the embedding: may be more than a tokenizer's ids
  int features = 0, layers = 0, heads = 0, kv_heads = 0;
  int head = 0;         // features of one; heads * head need not be `features`
  int hidden = 0;       // features between the two halves of a feed-forward part
  int64_t context = 0;  // positions there are
  float eps = 1e-5f;
  double rotary_base = 10000;
  int rotary = 0;  // features of a head that are turned; 0: positions are learned
  std::optional<RotaryScaling> scaling;
  std::vector<float> rotary_factors;  // [rotary / 2], what frequencies are divided by; empty: nothing
  bool interleaved = false;           // pairs that are turned are neighbours: a GGUF file's "llama"
  bool tied = false;                  // the head's weights are the embedding's
  bool attention_bias = false;        // of queries, keys and values
  bool output_bias = false;           // of attention's output
  bool feed_forward_bias = false;
  std::vector<int32_t> end_ids;  // each ends a text
  std::optional<int32_t> start_id;
  SamplingDefaults sampling;
};

struct LanguageModel {
  std::string name, path;  // path: the folder or the file
  LanguageModelConfig config;
  // By the names of Hugging Face's layout, Linear weights [out, in] (gpt2's too), buffers left out.
  std::shared_ptr<const TensorMap> weights;
  // Where the tokenizer and the chat template are: the file's metadata ("tokenizer.ggml.…", "tokenizer.chat_template"),
  // or, where null, the files of the folder `path`.
  std::shared_ptr<const GgufFile> gguf;
};

// `name`: a folder with config.json and model.safetensors (or its shards and their index), a .gguf file, or the name of
// a model of the catalogue that is installed. Errors
// (kUnsupported) name the model type, rope type, activation or quantisation that is not computed here.
Result<LanguageModel> OpenLanguageModel(const std::string& name);

// The parts of it, for whoever has texts in place of files. `generation` (generation_config.json) may be empty.
Result<LanguageModelConfig> ParseLanguageConfig(std::string_view config, std::string_view generation = {});
Result<LanguageModel> LanguageModelOf(std::shared_ptr<const GgufFile> file);

}  // namespace timbre
