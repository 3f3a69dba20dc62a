// Language models in GGUF files: the file's keys and names, turned into those of Hugging Face's layout.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "models/language/language_model.h"

namespace timbre {
namespace {

constexpr int64_t kMostFeatures = 1 << 16, kMostLayers = 1024, kMostHeads = 1024, kMostVocabulary = 1 << 21;
constexpr int64_t kMostContext = 1 << 24;

const std::map<std::string, LanguageFamily, std::less<>> kArchitectures = {{"llama", LanguageFamily::kLlama},
                                                                           {"qwen2", LanguageFamily::kQwen2},
                                                                           {"qwen3", LanguageFamily::kQwen3},
                                                                           {"phi2", LanguageFamily::kPhi},
                                                                           {"gpt2", LanguageFamily::kGpt2}};

using Names = std::map<std::string, std::string, std::less<>>;

// What tensors outside of layers, and what those of a layer, are called there.
struct NameTable {
  Names outer, inner;
  std::string layers;  // before a layer's number
};

const NameTable& TableOf(LanguageFamily family) {
  static const NameTable llama = {
      {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}},
      {{"attn_norm", "input_layernorm"},
       {"attn_q", "self_attn.q_proj"},
       {"attn_k", "self_attn.k_proj"},
       {"attn_v", "self_attn.v_proj"},
       {"attn_output", "self_attn.o_proj"},
       {"attn_q_norm", "self_attn.q_norm"},
       {"attn_k_norm", "self_attn.k_norm"},
       {"ffn_norm", "post_attention_layernorm"},
       {"ffn_gate", "mlp.gate_proj"},
       {"ffn_up", "mlp.up_proj"},
       {"ffn_down", "mlp.down_proj"}},
      "model.layers."};
  static const NameTable phi = {
      {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.final_layernorm"}, {"output", "lm_head"}},
      {{"attn_norm", "input_layernorm"},
       {"attn_q", "self_attn.q_proj"},
       {"attn_k", "self_attn.k_proj"},
       {"attn_v", "self_attn.v_proj"},
       {"attn_output", "self_attn.dense"},
       {"ffn_up", "mlp.fc1"},
       {"ffn_down", "mlp.fc2"}},
      "model.layers."};
  static const NameTable gpt2 = {
      {{"token_embd", "wte"}, {"position_embd", "wpe"}, {"output_norm", "ln_f"}, {"output", "lm_head"}},
      {{"attn_norm", "ln_1"},
       {"attn_qkv", "attn.c_attn"},
       {"attn_output", "attn.c_proj"},
       {"ffn_norm", "ln_2"},
       {"ffn_up", "mlp.c_fc"},
       {"ffn_down", "mlp.c_proj"}},
      "h."};
  return family == LanguageFamily::kPhi ? phi : family == LanguageFamily::kGpt2 ? gpt2 : llama;
}

// "blk.3.attn_q.weight" as the other layout has it; as it is where it has none such.
std::string Renamed(const std::string& name, const NameTable& table) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return name;
  const std::string stem = name.substr(0, dot), kind = name.substr(dot);
  if (const auto found = table.outer.find(stem); found != table.outer.end()) return found->second + kind;
  if (!stem.starts_with("blk.")) return name;
  const size_t next = stem.find('.', 4);
  if (next == std::string::npos) return name;
  const auto found = table.inner.find(stem.substr(next + 1));
  return found == table.inner.end() ? name : table.layers + stem.substr(4, next - 3) + found->second + kind;
}

// Rows [from, from + rows) of a tensor, as a view.
HostTensor RowsOf(const HostTensor& tensor, int64_t from, int64_t rows) {
  HostTensor part = tensor;
  part.shape[0] = rows;
  const size_t at = BytesOf(tensor.dtype, tensor.shape.stride(0) * from);
  part.data = std::shared_ptr<const std::byte>(tensor.data, tensor.data.get() + at);
  return part;
}

class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file) {}

  Result<LanguageModelConfig> Config() {
    TIMBRE_TRY(const std::string architecture, file_.Text("general.architecture"));
    const auto family = kArchitectures.find(architecture);
    if (family == kArchitectures.end()) {
      return Fail(ErrorCode::kUnsupported, "the GGUF file is of the architecture '" + Printable(architecture) +
                                               "'; llama, qwen2, qwen3, phi2 and gpt2 are computed here");
    }
    prefix_ = architecture + ".";
    config_.family = family->second;
    TIMBRE_CHECK(Sizes());
    if (config_.family != LanguageFamily::kGpt2) TIMBRE_CHECK(Positions());
    config_.tied = !file_.tensors->contains("output.weight");
    config_.attention_bias = Biased("attn_q") || Biased("attn_qkv");
    config_.output_bias = Biased("attn_output");
    config_.feed_forward_bias = Biased("ffn_up");
    TIMBRE_CHECK(EndIds());
    return config_;
  }

 private:
  std::string Key(const char* name) const { return prefix_ + name; }
  bool Biased(const std::string& name) const { return file_.tensors->contains("blk.0." + name + ".bias"); }

  Result<int> Size(const char* name, int64_t most) const {
    TIMBRE_TRY(const int64_t size, file_.Int(Key(name), 1, most));
    return static_cast<int>(size);
  }
  Result<int> SizeOr(const char* name, int64_t most, int otherwise) const {
    return file_.Has(Key(name)) ? Size(name, most) : Result<int>(otherwise);
  }

  Status Sizes() {
    if (file_.Has(Key("expert_count"))) {
      TIMBRE_TRY(const int64_t experts, file_.Int(Key("expert_count"), 0, kMostFeatures));
      if (experts > 0) {
        return Fail(ErrorCode::kUnsupported,
                    "the model has " + std::to_string(experts) + " experts, which is not computed here");
      }
    }
    const auto embedding = file_.tensors->find("token_embd.weight");
    if (embedding == file_.tensors->end() || embedding->second.shape.rank() != 2 ||
        embedding->second.shape[0] > kMostVocabulary || embedding->second.shape[0] < 1) {
      return Fail(ErrorCode::kCorrupt, "the GGUF file has no 'token_embd.weight' that could be an embedding");
    }
    config_.vocabulary = static_cast<int>(embedding->second.shape[0]);
    TIMBRE_TRY(config_.features, Size("embedding_length", kMostFeatures));
    TIMBRE_TRY(config_.layers, Size("block_count", kMostLayers));
    TIMBRE_TRY(config_.hidden, Size("feed_forward_length", kMostFeatures * 4));
    TIMBRE_TRY(config_.heads, Size("attention.head_count", kMostHeads));
    TIMBRE_TRY(config_.kv_heads, SizeOr("attention.head_count_kv", kMostHeads, config_.heads));
    TIMBRE_TRY(config_.context, file_.Int(Key("context_length"), 1, kMostContext));
    TIMBRE_TRY(config_.head,
               SizeOr("attention.key_length", kMostFeatures, std::max(1, config_.features / config_.heads)));
    TIMBRE_TRY(const int value_head, SizeOr("attention.value_length", kMostFeatures, config_.head));
    if (config_.heads % config_.kv_heads != 0 || int64_t{config_.heads} * config_.head > kMostFeatures ||
        value_head != config_.head) {
      return Fail(ErrorCode::kUnsupported, "the GGUF file's heads (" + std::to_string(config_.heads) + ", " +
                                               std::to_string(config_.kv_heads) + " of keys) don't fit each other");
    }
    const bool means = config_.family == LanguageFamily::kPhi || config_.family == LanguageFamily::kGpt2;
    TIMBRE_TRY(const double eps,
               file_.Number(Key(means ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"), 0, 1));
    config_.eps = static_cast<float>(eps);
    return {};
  }

  Status Positions() {
    if (file_.Has(Key("rope.freq_base"))) {
      TIMBRE_TRY(config_.rotary_base, file_.Number(Key("rope.freq_base"), 1, 1e12));
    }
    TIMBRE_TRY(config_.rotary, SizeOr("rope.dimension_count", config_.head, config_.head));
    if (config_.rotary % 2 != 0) {
      return Fail(ErrorCode::kCorrupt, "the GGUF file's 'rope.dimension_count' is odd");
    }
    config_.interleaved = config_.family == LanguageFamily::kLlama;
    if (file_.Has(Key("rope.scaling.type"))) {
      TIMBRE_TRY(const std::string type, file_.Text(Key("rope.scaling.type")));
      if (type != "none") {
        return Fail(ErrorCode::kUnsupported,
                    "the model has positions of the rope type '" + Printable(type) + "', which is not computed here");
      }
    }
    const auto factors = file_.tensors->find("rope_freqs.weight");
    if (factors == file_.tensors->end()) return {};
    if (factors->second.shape.elements() != config_.rotary / 2) {
      return Fail(ErrorCode::kCorrupt, "the GGUF file's 'rope_freqs.weight' is of shape " +
                                           factors->second.shape.ToString() + ", which its heads don't fit");
    }
    config_.rotary_factors = factors->second.ToF32();
    return {};
  }

  Status EndIds() {
    // The end of a text, and the end of a turn where that is another.
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
      if (!file_.Has(key)) continue;
      TIMBRE_TRY(const int64_t id, file_.Int(key, 0, config_.vocabulary - 1));
      config_.end_ids.push_back(static_cast<int32_t>(id));
    }
    if (file_.Has("tokenizer.ggml.bos_token_id")) {
      TIMBRE_TRY(const int64_t id, file_.Int("tokenizer.ggml.bos_token_id", 0, config_.vocabulary - 1));
      config_.start_id = static_cast<int32_t>(id);
    }
    return {};
  }

  const GgufFile& file_;
  std::string prefix_;
  LanguageModelConfig config_;
};

// phi's fused queries, keys and values, apart.
Status Split(const std::string& name, const HostTensor& tensor, const LanguageModelConfig& config, TensorMap& weights) {
  const int64_t wide = int64_t{config.heads} * config.head, narrow = int64_t{config.kv_heads} * config.head;
  if (tensor.shape.rank() < 1 || tensor.shape[0] != wide + 2 * narrow) {
    return Fail(ErrorCode::kCorrupt, "the GGUF file's '" + Printable(name) + "' of shape " + tensor.shape.ToString() +
                                         " is not queries, keys and values of its heads");
  }
  const size_t middle = name.find("attn_qkv");
  int64_t from = 0;
  for (const auto& [part, rows] : {std::pair{"attn_q", wide}, {"attn_k", narrow}, {"attn_v", narrow}}) {
    std::string renamed = name;
    renamed.replace(middle, 8, part);
    weights.insert_or_assign(Renamed(renamed, TableOf(config.family)), RowsOf(tensor, from, rows));
    from += rows;
  }
  return {};
}

}  // namespace

Result<LanguageModel> LanguageModelOf(std::shared_ptr<const GgufFile> file) {
  LanguageModel model;
  TIMBRE_TRY(model.config, Reader(*file).Config());
  TensorMap weights;
  for (const auto& [name, tensor] : *file->tensors) {
    if (name == "rope_freqs.weight") continue;
    if (model.config.family == LanguageFamily::kPhi && name.find(".attn_qkv.") != std::string::npos) {
      TIMBRE_CHECK(Split(name, tensor, model.config, weights));
    } else {
      weights.insert_or_assign(Renamed(name, TableOf(model.config.family)), tensor);
    }
  }
  model.weights = std::make_shared<const TensorMap>(std::move(weights));
  model.gguf = std::move(file);
  return model;
}

}  // namespace timbre
