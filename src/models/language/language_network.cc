#include "models/language/language_network.h"

#include <cmath>
#include <numbers>
#include <string>

#include "graph/net.h"

namespace timbre {
namespace {

// What the families share: ids in, attention over what was read, scores out.
class Decoder {
 public:
  Decoder(const LanguageModelConfig& config, GraphBuilder& graph, const LanguagePass& pass)
      : c_(config),
        pass_(pass),
        graph_(graph),
        position_(graph.IntScalar(kPositionScalar)),
        length_(graph.IntScalar(kLengthScalar, 1)),
        ids_(graph.Input("ids", {1, pass.rows}, DType::kI32)) {
    if (c_.rotary > 0) frequencies_ = graph.Constant("frequencies", {c_.rotary / 2}, RotaryFrequencies(config));
  }

  Value Tap(const std::string& name, Value x) {
    if (pass_.taps) graph_.Output("tap." + name, x);
    return x;
  }

  Value Rotate(Value x, int heads) {
    if (!frequencies_.valid()) return x;
    return Rotary(x, frequencies_, Value(),
                  {.heads = heads, .dims = c_.rotary, .interleaved = c_.interleaved, .at = position_});
  }

  // Keys and values go into the cache, and queries see all that is there up to their own.
  Value Attend(int layer, Value q, Value k, Value v) {
    const int64_t width = int64_t{c_.kv_heads} * c_.head;
    const auto keep = [&](const char* kind, Value x) {
      const Value state = graph_.State(kind + std::to_string(layer), {1, pass_.capacity, width});
      return WriteState(state, x, 1, position_);
    };
    const Value keys = keep("k.", Rotate(k, c_.kv_heads)), values = keep("v.", v);
    return Attention(Rotate(q, c_.heads), keys, values,
                     {.heads = c_.heads,
                      .scale = 1 / std::sqrt(static_cast<float>(c_.head)),
                      .causal = true,
                      .kv_heads = c_.kv_heads,
                      .valid = length_,
                      .older = position_});
  }

  // RMS norm of each head by itself.
  Value HeadNorm(const Net& n, const char* name, Value x, int heads) {
    if (!x.valid()) return {};
    const int64_t rows = x.dim(1);
    const Value split = Reshape(x, {1, rows, heads, c_.head});
    return Reshape(n.RmsNorm(name, split, c_.eps), {1, rows, int64_t{heads} * c_.head});
  }

  Value AttentionPart(const Net& n, int layer, Value x, const char* out) {
    const int width = c_.heads * c_.head, narrow = c_.kv_heads * c_.head;
    Value q = n.Linear("q_proj", x, width, c_.attention_bias);
    Value k = n.Linear("k_proj", x, narrow, c_.attention_bias);
    const Value v = n.Linear("v_proj", x, narrow, c_.attention_bias);
    if (c_.family == LanguageFamily::kQwen3) {
      q = HeadNorm(n, "q_norm", q, c_.heads);
      k = HeadNorm(n, "k_norm", k, c_.kv_heads);
    }
    return n.Linear(out, Attend(layer, q, k, v), c_.features, c_.output_bias);
  }

  // llama, qwen2, qwen3
  Value Llama() {
    const Net model = Net(graph_) / "model";
    Value x = model.Embedding("embed_tokens", ids_, c_.vocabulary, c_.features);
    for (int i = 0; i < c_.layers; ++i) {
      const Net n = model / "layers" / i, mlp = n / "mlp";
      x = Tap("layer." + std::to_string(i) + ".in", x);
      x = x + AttentionPart(n / "self_attn", i, n.RmsNorm("input_layernorm", x, c_.eps), "o_proj");
      const Value y = n.RmsNorm("post_attention_layernorm", x, c_.eps);
      const Value gate = Silu(mlp.Linear("gate_proj", y, c_.hidden, c_.feed_forward_bias));
      x = x + mlp.Linear("down_proj", gate * mlp.Linear("up_proj", y, c_.hidden, c_.feed_forward_bias), c_.features,
                         c_.feed_forward_bias);
    }
    return Head(Tap("norm", model.RmsNorm("norm", Counted(x), c_.eps)), "model.embed_tokens.weight");
  }

  // Attention and feed-forward side by side, after one norm.
  Value Phi() {
    const Net model = Net(graph_) / "model";
    Value x = model.Embedding("embed_tokens", ids_, c_.vocabulary, c_.features);
    for (int i = 0; i < c_.layers; ++i) {
      const Net n = model / "layers" / i, mlp = n / "mlp";
      x = Tap("layer." + std::to_string(i) + ".in", x);
      const Value y = n.LayerNorm("input_layernorm", x, c_.eps);
      const Value attention = AttentionPart(n / "self_attn", i, y, "dense");
      x = x + attention + mlp.Linear("fc2", GeluTanh(mlp.Linear("fc1", y, c_.hidden)), c_.features);
    }
    return Head(Tap("norm", model.LayerNorm("final_layernorm", Counted(x), c_.eps)), "model.embed_tokens.weight");
  }

  Value Gpt2() {
    const Net model(graph_);
    const Value positions = graph_.Input("positions", {1, pass_.rows}, DType::kI32);
    Value x = model.Embedding("wte", ids_, c_.vocabulary, c_.features) +
              model.Embedding("wpe", positions, static_cast<int>(c_.context), c_.features);
    for (int i = 0; i < c_.layers; ++i) {
      const Net n = model / "h" / i, attn = n / "attn", mlp = n / "mlp";
      x = Tap("layer." + std::to_string(i) + ".in", x);
      const Value qkv = attn.Linear("c_attn", n.LayerNorm("ln_1", x, c_.eps), 3 * c_.features);
      const auto third = [&](int64_t part) { return Slice(qkv, 2, part * c_.features, (part + 1) * c_.features); };
      x = x + attn.Linear("c_proj", Attend(i, third(0), third(1), third(2)), c_.features);
      const Value y = n.LayerNorm("ln_2", x, c_.eps);
      x = x + mlp.Linear("c_proj", GeluTanh(mlp.Linear("c_fc", y, c_.hidden)), c_.features);
    }
    return Head(Tap("norm", model.LayerNorm("ln_f", Counted(x), c_.eps)), "wte.weight");
  }

 private:
  // The row that is asked for, or all of them: the head is large.
  Value Counted(Value x) {
    if (pass_.all || pass_.rows == 1 || !x.valid()) return x;
    return Embedding(graph_.Input("row", {1, 1}, DType::kI32), Reshape(x, {pass_.rows, c_.features}));
  }

  Value Head(Value x, const char* embedding) {
    const Shape shape{c_.vocabulary, c_.features};
    const Value weight = graph_.Weight(c_.tied ? embedding : "lm_head.weight", shape);
    const bool biased = c_.family == LanguageFamily::kPhi && !c_.tied;
    const Value bias = biased ? graph_.Weight("lm_head.bias", {c_.vocabulary}) : Value();
    return x.valid() ? graph_.Add1(Op::kLinear, LinearAttrs{}, {x, weight, bias}, "lm_head") : Value();
  }

  const LanguageModelConfig& c_;
  const LanguagePass& pass_;
  GraphBuilder& graph_;
  const ScalarId position_, length_;
  const Value ids_;
  Value frequencies_;
};

}  // namespace

Result<Graph> BuildLanguageModel(const LanguageModelConfig& config, Weights& weights, const LanguagePass& pass) {
  GraphBuilder graph(std::string(NameOf(config.family)), weights);
  Decoder decoder(config, graph, pass);
  const Value logits = config.family == LanguageFamily::kPhi    ? decoder.Phi()
                       : config.family == LanguageFamily::kGpt2 ? decoder.Gpt2()
                                                                : decoder.Llama();
  graph.Output("logits", logits);
  return graph.Finish();
}

std::vector<float> RotaryFrequencies(const LanguageModelConfig& config) {
  std::vector<float> frequencies;
  for (int i = 0; i < config.rotary / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.rotary);
    const auto turn = static_cast<float>(std::pow(config.rotary_base, static_cast<double>(exponent)));
    float frequency = 1.0f / turn;
    if (config.scaling) {
      const RotaryScaling& s = *config.scaling;
      const float wave = static_cast<float>(2 * std::numbers::pi) / frequency;
      if (wave > s.context / s.low) {
        frequency = frequency / s.factor;
      } else if (wave >= s.context / s.high) {
        const float smooth = (s.context / wave - s.low) / (s.high - s.low);
        frequency = (1 - smooth) * frequency / s.factor + smooth * frequency;
      }
    }
    if (static_cast<size_t>(i) < config.rotary_factors.size()) frequency /= config.rotary_factors[i];
    frequencies.push_back(frequency);
  }
  return frequencies;
}

Result<LanguageModelConfig> ReleasedLanguageModel(std::string_view name) {
  LanguageModelConfig config;
  config.tied = true;
  if (name == "smollm2-135m") {
    config.vocabulary = 49152;
    config.features = 576;
    config.layers = 30;
    config.heads = 9;
    config.kv_heads = 3;
    config.head = config.rotary = 64;
    config.hidden = 1536;
    config.context = 8192;
    config.rotary_base = 1e5;
    return config;
  }
  if (name == "qwen3-0.6b") {
    config.family = LanguageFamily::kQwen3;
    config.vocabulary = 151936;
    config.features = 1024;
    config.layers = 28;
    config.heads = 16;
    config.kv_heads = 8;
    config.head = config.rotary = 128;
    config.hidden = 3072;
    config.context = 40960;
    config.eps = 1e-6f;
    config.rotary_base = 1e6;
    return config;
  }
  return Fail(ErrorCode::kNotFound, "there is no language model of the shape '" + std::string(name) + "'");
}

}  // namespace timbre
