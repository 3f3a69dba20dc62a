// The configuration beside a language model's weights: whatever it says, it is refused or describes a network within
// bounds.
#include <cstdlib>

#include "models/language/language_model.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  return {R"({"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1,
              "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, "eos_token_id": [1, 2]})",
          R"({"model_type": "qwen3", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "head_dim": 16,
              "num_attention_heads": 4, "intermediate_size": 48, "rope_parameters": {"rope_theta": 1e6,
              "rope_type": "default"}, "do_sample": true, "top_p": 0.9, "top_k": 20, "temperature": 0.7})",
          R"({"model_type": "phi", "vocab_size": 64, "hidden_size": 80, "num_hidden_layers": 2,
              "num_attention_heads": 4, "intermediate_size": 48, "partial_rotary_factor": 0.4})",
          R"({"model_type": "gpt2", "vocab_size": 64, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16})"};
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

TIMBRE_FUZZ_TARGET(LanguageConfig, Seeds, 5000) {
  const auto config = ParseLanguageConfig(bytes, bytes);
  if (!config) return Require(!config.error().message.empty());
  Require(config->vocabulary > 0 && config->vocabulary <= 1 << 21 && config->layers > 0 && config->layers <= 1024);
  Require(config->heads % config->kv_heads == 0 && config->heads * config->head <= 1 << 16);
  Require(config->rotary % 2 == 0 && config->rotary <= config->head);
  for (const int32_t id : config->end_ids) Require(id >= 0 && id < config->vocabulary);
}
