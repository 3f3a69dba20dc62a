#include "models/language/language_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/safetensors.h"
#include "models/language/language_network.h"
#include "tests/e2e/program.h"
#include "tests/support/gguf_writer.h"

namespace timbre {
namespace {

using nlohmann::json;

json Llama() {
  return {{"model_type", "llama"},       {"vocab_size", 64},
          {"hidden_size", 32},           {"num_hidden_layers", 1},
          {"num_attention_heads", 4},    {"num_key_value_heads", 2},
          {"intermediate_size", 48},     {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},       {"max_position_embeddings", 64},
          {"tie_word_embeddings", true}, {"eos_token_id", 2}};
}

std::string ErrorOf(const json& config) {
  const auto parsed = ParseLanguageConfig(config.dump());
  return parsed ? "" : parsed.error().message;
}

json With(const char* key, json value) {
  json config = Llama();
  config[key] = std::move(value);
  return config;
}

TEST(LanguageConfig, BothGenerationsOfKeysSayTheSame) {
  json newer = Llama();
  newer.erase("rope_theta");
  newer["rope_parameters"] = {{"rope_theta", 500000.0},  {"rope_type", "llama3"},
                              {"factor", 8.0},           {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  json older = With("rope_theta", 500000.0);
  older["rope_scaling"] = {{"type", "llama3"},
                           {"factor", 8.0},
                           {"low_freq_factor", 1.0},
                           {"high_freq_factor", 4.0},
                           {"original_max_position_embeddings", 8192}};
  const auto a = ParseLanguageConfig(newer.dump()), b = ParseLanguageConfig(older.dump());
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->rotary_base, 500000.0);
  EXPECT_EQ(RotaryFrequencies(*a), RotaryFrequencies(*b));
  ASSERT_TRUE(a->scaling && b->scaling);
  EXPECT_EQ(b->scaling->factor, 8);
}

TEST(LanguageConfig, WhatIsMissingHasItsDefault) {
  json config = Llama();
  for (const char* key : {"num_key_value_heads", "tie_word_embeddings", "eos_token_id"}) config.erase(key);
  config["head_dim"] = nullptr;
  const auto parsed = ParseLanguageConfig(config.dump());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->kv_heads, 4);
  EXPECT_EQ(parsed->head, 8);
  EXPECT_FALSE(parsed->tied);
  EXPECT_TRUE(parsed->end_ids.empty());
  const auto gpt2 = ParseLanguageConfig(
      R"({"model_type": "gpt2", "vocab_size": 64, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16})");
  ASSERT_TRUE(gpt2) << gpt2.error().message;
  EXPECT_TRUE(gpt2->tied);
  EXPECT_EQ(gpt2->hidden, 128);
  EXPECT_EQ(gpt2->rotary, 0);
}

TEST(LanguageConfig, AGenerationConfigCountsMore) {
  const auto parsed = ParseLanguageConfig(
      Llama().dump(), R"({"eos_token_id": [5, 7], "temperature": 0.6, "top_k": 20, "do_sample": true, "min_p": null})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->end_ids, (std::vector<int32_t>{5, 7}));
  EXPECT_EQ(parsed->sampling.temperature, 0.6);
  EXPECT_EQ(parsed->sampling.top_k, 20);
  EXPECT_EQ(parsed->sampling.sample, true);
  EXPECT_FALSE(parsed->sampling.min_p || parsed->sampling.top_p);
}

TEST(LanguageConfig, NamesWhatIsNotComputed) {
  for (const std::string type : {"phi3", "qwen3_moe", "qwen3_5", "gemma", "smollm3", "mistral"}) {
    EXPECT_NE(ErrorOf(With("model_type", type)).find("'" + type + "'"), std::string::npos) << type;
  }
  EXPECT_NE(ErrorOf(With("rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}})).find("'yarn'"), std::string::npos);
  EXPECT_NE(ErrorOf(With("rope_parameters", {{"rope_type", "linear"}})).find("'linear'"), std::string::npos);
  EXPECT_NE(ErrorOf(With("hidden_act", "gelu")).find("'gelu'"), std::string::npos);
  EXPECT_NE(ErrorOf(With("use_sliding_window", true)).find("use_sliding_window"), std::string::npos);
  EXPECT_NE(
      ErrorOf(With("quantization_config", {{"quant_method", "gptq"}})).find("'gptq', which is not computed here; take"),
      std::string::npos);
  json phi = Llama();
  phi["model_type"] = "phi";
  phi["qk_layernorm"] = true;
  EXPECT_NE(ErrorOf(phi).find("qk_layernorm"), std::string::npos);
}

TEST(LanguageConfig, NamesWhatMakesNoSense) {
  EXPECT_NE(ErrorOf(With("vocab_size", 1'000'000'000)).find("vocab_size"), std::string::npos);
  EXPECT_NE(ErrorOf(With("hidden_size", -1)).find("hidden_size"), std::string::npos);
  EXPECT_NE(ErrorOf(With("num_attention_heads", 5)).find("heads"), std::string::npos);
  EXPECT_NE(ErrorOf(With("num_key_value_heads", 3)).find("num_key_value_heads"), std::string::npos);
  EXPECT_NE(ErrorOf(With("eos_token_id", 64)).find("eos_token_id"), std::string::npos);
  EXPECT_NE(ErrorOf(With("eos_token_id", json::array({1, -1}))).find("eos_token_id"), std::string::npos);
  EXPECT_NE(ErrorOf(With("head_dim", 7)).find("even"), std::string::npos);
  EXPECT_FALSE(ParseLanguageConfig("[]"));
}

class LanguageFolder : public ::testing::Test {
 protected:
  // A folder whose network is `config`'s, with random weights.
  void Write(const json& config) {
    testing::WriteAll(folder_ / "config.json", config.dump());
    const auto parsed = ParseLanguageConfig(config.dump());
    ASSERT_TRUE(parsed) << parsed.error().message;
    class Recorder : public Weights {
     public:
      explicit Recorder(TensorMap& to) : to_(to) {}
      Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
        TIMBRE_TRY(const HostTensor made, random_->Get(name, shape));
        to_[name] = HostTensor::FromF32(shape, made.ToF32());
        return made;
      }
      bool Has(const std::string& name) const override { return random_->Has(name); }

     private:
      TensorMap& to_;
      std::unique_ptr<Weights> random_ = RandomWeights(1);
    } recorder(weights_);
    ASSERT_TRUE(BuildLanguageModel(*parsed, recorder, {}));
    ASSERT_TRUE(WriteSafetensors((folder_ / "model.safetensors").string(), weights_));
  }
  std::string Error() {
    const auto model = OpenLanguageModel(folder_.path().string());
    return model ? "" : model.error().message;
  }

  testing::TempFolder folder_;
  TensorMap weights_;
};

TEST_F(LanguageFolder, LacksAre) {
  EXPECT_NE(Error().find("config.json"), std::string::npos);
  Write(Llama());
  EXPECT_EQ(Error(), "");
  std::filesystem::remove(folder_ / "model.safetensors");
  EXPECT_NE(Error().find("model.safetensors"), std::string::npos);
  EXPECT_NE(OpenLanguageModel((folder_ / "no").string()).error().message.find("no file or folder"), std::string::npos);
  EXPECT_NE(OpenLanguageModel((folder_ / "config.json").string()).error().message.find("GGUF"), std::string::npos);
}

TEST_F(LanguageFolder, ReadsShards) {
  Write(Llama());
  std::filesystem::remove(folder_ / "model.safetensors");
  TensorMap parts[2];
  json index{{"weight_map", json::object()}};
  int at = 0;
  for (const auto& [name, tensor] : weights_) {
    const int part = at++ % 2;
    parts[part][name] = tensor;
    index["weight_map"][name] = part == 0 ? "a.safetensors" : "b.safetensors";
  }
  ASSERT_TRUE(WriteSafetensors((folder_ / "a.safetensors").string(), parts[0]));
  const std::string index_path = folder_ / "model.safetensors.index.json";
  testing::WriteAll(index_path, index.dump());
  EXPECT_NE(Error().find("'b.safetensors'"), std::string::npos) << Error();
  ASSERT_TRUE(WriteSafetensors((folder_ / "b.safetensors").string(), parts[1]));
  const auto model = OpenLanguageModel(folder_.path().string());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->weights->size(), weights_.size());
  for (const auto& [name, tensor] : weights_) EXPECT_EQ(model->weights->at(name).ToF32(), tensor.ToF32()) << name;

  index["weight_map"]["model.norm.weight"] = "../a.safetensors";
  testing::WriteAll(index_path, index.dump());
  EXPECT_NE(Error().find("beside it"), std::string::npos) << Error();
  index["weight_map"]["model.norm.weight"] = "a.safetensors";
  index["weight_map"]["another"] = "a.safetensors";
  testing::WriteAll(index_path, index.dump());
  EXPECT_NE(Error().find("'another'"), std::string::npos) << Error();
  testing::WriteAll(index_path, "{}");
  EXPECT_NE(Error().find("weight_map"), std::string::npos) << Error();
}

// ---- GGUF ----

testing::GgufWriter SmallGguf(const std::string& architecture) {
  testing::GgufWriter writer;
  writer.Text("general.architecture", architecture);
  const std::string p = architecture + ".";
  writer.U32(p + "embedding_length", 8)
      .U32(p + "block_count", 1)
      .U32(p + "feed_forward_length", 16)
      .U32(p + "attention.head_count", 2)
      .U32(p + "context_length", 32)
      .F32(p + "attention.layer_norm_epsilon", 1e-5f)
      .F32(p + "attention.layer_norm_rms_epsilon", 1e-5f)
      .Tensor("token_embd.weight", {8, 4}, 0, std::string(4 * 32, '\0'));
  return writer;
}

Result<LanguageModel> Open(const testing::GgufWriter& writer) {
  TIMBRE_TRY(GgufFile file, ReadGguf(SharedBytes::Own(writer.Build())));
  return LanguageModelOf(std::make_shared<const GgufFile>(std::move(file)));
}

TEST(LanguageGguf, FusedPartsComeApart) {
  std::vector<float> values(24 * 8);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  auto writer = SmallGguf("phi2");
  writer.Tensor("blk.0.attn_qkv.weight", {8, 24}, 0, testing::GgufWriter::Floats(values));
  const auto model = Open(writer);
  ASSERT_TRUE(model) << model.error().message;
  for (const auto& [name, first] : {std::pair{"q_proj", 0}, {"k_proj", 64}, {"v_proj", 128}}) {
    const HostTensor& part = model->weights->at("model.layers.0.self_attn." + std::string(name) + ".weight");
    EXPECT_EQ(part.shape, (Shape{8, 8}));
    EXPECT_EQ(part.ToF32(), std::vector<float>(values.begin() + first, values.begin() + first + 64));
  }
}

TEST(LanguageGguf, NamesAreThoseOfTheOtherLayout) {
  auto writer = SmallGguf("qwen3");
  writer.Tensor("blk.0.attn_q_norm.weight", {4}, 0, std::string(16, '\0'))
      .Tensor("output.weight", {8, 4}, 0, std::string(128, '\0'))
      .Tensor("blk.11.ffn_gate.weight", {8, 4}, 0, std::string(128, '\0'));
  const auto model = Open(writer);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(model->weights->contains("model.layers.0.self_attn.q_norm.weight"));
  EXPECT_TRUE(model->weights->contains("model.layers.11.mlp.gate_proj.weight"));
  EXPECT_TRUE(model->weights->contains("lm_head.weight"));
  EXPECT_FALSE(model->config.tied);
  EXPECT_FALSE(model->config.interleaved);
  EXPECT_TRUE(Open(SmallGguf("llama"))->config.interleaved);
}

TEST(LanguageGguf, NamesWhatIsNotComputed) {
  const auto error = [](const testing::GgufWriter& writer) {
    const auto model = Open(writer);
    return model ? std::string() : model.error().message;
  };
  EXPECT_NE(error(SmallGguf("gemma2")).find("'gemma2'"), std::string::npos);
  EXPECT_NE(error(SmallGguf("llama").Text("llama.rope.scaling.type", "yarn")).find("'yarn'"), std::string::npos);
  EXPECT_NE(error(SmallGguf("llama").U32("llama.expert_count", 8)).find("experts"), std::string::npos);
  EXPECT_NE(error(SmallGguf("llama").U32("llama.attention.head_count_kv", 3)).find("heads"), std::string::npos);
  EXPECT_NE(error(SmallGguf("llama").U32("tokenizer.ggml.eos_token_id", 4)).find("eos_token_id"), std::string::npos);
  EXPECT_NE(error(SmallGguf("llama").Tensor("rope_freqs.weight", {3}, 0, std::string(12, '\0'))).find("rope_freqs"),
            std::string::npos);
  EXPECT_NE(error(testing::GgufWriter()).find("general.architecture"), std::string::npos);
}

}  // namespace
}  // namespace timbre
