// config.json and generation_config.json of Hugging Face's layout, in the keys of both of its generations.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "models/language/language_model.h"
#include "models/song/json_config.h"

namespace timbre {
namespace {

constexpr int64_t kMostFeatures = 1 << 16, kMostLayers = 1024, kMostHeads = 1024, kMostVocabulary = 1 << 21;
constexpr int64_t kMostContext = 1 << 24;
constexpr size_t kMostEndIds = 64;
constexpr double kMost = 1e12;

constexpr std::array<std::pair<LanguageFamily, std::string_view>, 5> kFamilies = {{
    {LanguageFamily::kPhi, "phi"},
    {LanguageFamily::kLlama, "llama"},
    {LanguageFamily::kQwen2, "qwen2"},
    {LanguageFamily::kQwen3, "qwen3"},
    {LanguageFamily::kGpt2, "gpt2"},
}};

tl::unexpected<Error> NotComputed(const std::string& what, const std::string& remedy = "") {
  return Fail(ErrorCode::kUnsupported, "the model has " + what + ", which is not computed here" + remedy);
}

int Size(JsonConfig& json, const char* key, int64_t most, std::optional<int64_t> otherwise = {}) {
  return static_cast<int>(json.Int(key, 1, most, otherwise));
}

// What would make another network of it.
Status RefuseOthers(JsonConfig& json, LanguageFamily family) {
  if (json.Has("quantization_config")) {
    JsonConfig inner = json.Object("quantization_config");
    return NotComputed("weights quantised by '" + Printable(inner.Text("quant_method", "an unnamed method")) + "'",
                       "; take its original weights, or a GGUF file");
  }
  const bool old = family == LanguageFamily::kPhi || family == LanguageFamily::kGpt2;
  const std::string wanted = old ? "gelu_new" : "silu";
  const std::string act = json.Text(family == LanguageFamily::kGpt2 ? "activation_function" : "hidden_act", wanted);
  if (act != wanted) return NotComputed("the activation '" + Printable(act) + "' (this type's is " + wanted + ")");
  for (const char* key :
       {"use_sliding_window", "qk_layernorm", "scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (json.Bool(key, false)) return NotComputed("'" + std::string(key) + "'");
  }
  if (!json.Bool("scale_attn_weights", true)) return NotComputed("attention without a scale ('scale_attn_weights')");
  return {};
}

// Where the newer generation keeps what positions are made of, and where the older one does.
Status ReadRotary(JsonConfig& json, double partial, LanguageModelConfig& config) {
  const bool newer = json.Has("rope_parameters");
  JsonConfig rope = json.Object(newer ? "rope_parameters" : "rope_scaling");
  JsonConfig& base = newer && rope.Has("rope_theta") ? rope : json;
  config.rotary_base = base.Number("rope_theta", 1, kMost, 10000);
  JsonConfig& part = newer && rope.Has("partial_rotary_factor") ? rope : json;
  const double share = part.Number("partial_rotary_factor", 0, 1, partial);
  config.rotary = static_cast<int>(config.head * share);
  if (config.rotary < 2 || config.rotary % 2 != 0) {
    json.Complain("'partial_rotary_factor' turns " + std::to_string(config.rotary) + " of a head's " +
                  std::to_string(config.head) + " features, which must be an even number");
  }
  const std::string type = rope.Text("rope_type", rope.Text("type", "default"));
  if (type == "default") return {};
  if (type != "llama3") return NotComputed("positions of the rope type '" + Printable(type) + "'");
  config.scaling = RotaryScaling{
      .factor = static_cast<float>(rope.Number("factor", 1, kMost)),
      .low = static_cast<float>(rope.Number("low_freq_factor", 1e-6, kMost)),
      .high = static_cast<float>(rope.Number("high_freq_factor", 1e-6, kMost)),
      .context = static_cast<float>(rope.Number("original_max_position_embeddings", 1, kMostContext)),
  };
  if (config.scaling->high <= config.scaling->low) json.Complain("'high_freq_factor' is not above 'low_freq_factor'");
  return {};
}

void ReadIds(JsonConfig& json, LanguageModelConfig& config) {
  const int64_t most = config.vocabulary - 1;
  if (json.Has("eos_token_id")) {
    const std::vector<int> ids = json.IntOrInts("eos_token_id", 0, most, kMostEndIds);
    config.end_ids.assign(ids.begin(), ids.end());
  }
  if (json.Has("bos_token_id")) config.start_id = static_cast<int32_t>(json.Int("bos_token_id", 0, most, 0));
}

void ReadSampling(JsonConfig& json, SamplingDefaults& sampling) {
  const auto number = [&](const char* key, double least, double most, std::optional<double>& to) {
    if (json.Has(key)) to = json.Number(key, least, most);
  };
  if (json.Has("do_sample")) sampling.sample = json.Bool("do_sample");
  number("temperature", 0, 1000, sampling.temperature);
  number("top_p", 0, 1, sampling.top_p);
  number("min_p", 0, 1, sampling.min_p);
  number("repetition_penalty", 1e-3, 1000, sampling.repetition_penalty);
  if (json.Has("top_k")) {
    sampling.top_k = static_cast<int>(json.Int("top_k", 0, std::numeric_limits<int32_t>::max()));
  }
}

}  // namespace

std::string_view NameOf(LanguageFamily family) {
  for (const auto& [value, name] : kFamilies) {
    if (value == family) return name;
  }
  return "";
}

Result<LanguageModelConfig> ParseLanguageConfig(std::string_view text, std::string_view generation) {
  TIMBRE_TRY(JsonConfig json, JsonConfig::Parse(text));
  const std::string type = json.Text("model_type");
  TIMBRE_CHECK(json.Finish());
  const auto* row = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const auto& f) { return f.second == type; });
  if (row == kFamilies.end()) {
    return Fail(ErrorCode::kUnsupported, "the configuration is of a model of type '" + Printable(type) +
                                             "'; phi, llama, qwen2, qwen3 and gpt2 are computed here");
  }
  LanguageModelConfig config;
  config.family = row->first;
  TIMBRE_CHECK(RefuseOthers(json, config.family));
  const bool gpt2 = config.family == LanguageFamily::kGpt2, phi = config.family == LanguageFamily::kPhi;
  config.vocabulary = Size(json, "vocab_size", kMostVocabulary);
  config.features = Size(json, gpt2 ? "n_embd" : "hidden_size", kMostFeatures);
  config.layers = Size(json, gpt2 ? "n_layer" : "num_hidden_layers", kMostLayers);
  config.heads = Size(json, gpt2 ? "n_head" : "num_attention_heads", kMostHeads);
  config.kv_heads = gpt2 ? config.heads : Size(json, "num_key_value_heads", kMostHeads, config.heads);
  config.hidden = gpt2 ? Size(json, "n_inner", kMostFeatures * 4, int64_t{4} * config.features)
                       : Size(json, "intermediate_size", kMostFeatures * 4);
  config.context = json.Int(gpt2 ? "n_positions" : "max_position_embeddings", 1, kMostContext, gpt2 ? 1024 : 2048);
  const char* const eps = gpt2 ? "layer_norm_epsilon" : phi ? "layer_norm_eps" : "rms_norm_eps";
  config.eps = static_cast<float>(json.Number(eps, 0, 1, gpt2 || phi ? 1e-5 : 1e-6));
  TIMBRE_CHECK(json.Finish());
  if (!json.Has("head_dim") && config.features % config.heads != 0) json.Complain("heads do not divide its features");
  config.head = Size(json, "head_dim", kMostFeatures, std::max(1, config.features / config.heads));
  if (config.heads % config.kv_heads != 0) json.Complain("'num_key_value_heads' does not divide the heads");
  if (int64_t{config.heads} * config.head > kMostFeatures) json.Complain("heads are too large together");
  config.tied = json.Bool("tie_word_embeddings", gpt2);
  const bool biases = json.Bool("attention_bias", false);
  config.attention_bias = gpt2 || phi || config.family == LanguageFamily::kQwen2 || biases;
  config.output_bias = gpt2 || phi || (config.family != LanguageFamily::kQwen2 && biases);
  config.feed_forward_bias = gpt2 || phi || json.Bool("mlp_bias", false);
  if (!gpt2) TIMBRE_CHECK(ReadRotary(json, phi ? 0.5 : 1, config));
  ReadIds(json, config);
  TIMBRE_CHECK(json.Finish());
  if (generation.empty()) return config;
  TIMBRE_TRY(JsonConfig more, JsonConfig::Parse(generation));
  ReadIds(more, config);
  ReadSampling(more, config.sampling);
  TIMBRE_CHECK(more.Finish());
  return config;
}

}  // namespace timbre
