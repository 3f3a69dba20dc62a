#include "models/song/dit.h"

#include <cmath>
#include <numbers>

#include "graph/net.h"
#include "models/song/json_config.h"
#include "models/song/table_rows.h"

namespace timbre {
namespace {

constexpr float kEps = 1e-6f;

class Pass {
 public:
  Pass(const DitConfig& config, GraphBuilder& graph, const DitShape& shape, bool taps)
      : config_(config), graph_(graph), shape_(shape), taps_(taps) {}

  Value Tap(const std::string& name, Value x) {
    if (taps_) graph_.Output("tap." + name, x);
    return x;
  }

  // Queries or keys: every head brought to one size and turned by the row's position.
  Value Turned(const Net& n, const char* name, Value x) {
    const Shape rows = x.valid() ? x.shape() : Shape();
    const Value heads =
        n.RmsNorm(name, Reshape(x, {shape_.branches, shape_.rows, config_.heads, config_.head()}), kEps);
    return Rotary(Reshape(heads, rows), frequencies_, Value(),
                  {.heads = config_.heads, .dims = config_.head(), .at = position_});
  }

  // Keys or values of one layer: those that are kept, and the pass's own among them.
  Value Kept(const std::string& name, Value own) {
    return WriteState(graph_.State(name, {shape_.branches, shape_.places, config_.dim}), own, 1, place_);
  }

  Value Attend(const Net& n, Value x, int layer) {
    const std::string suffix = "." + std::to_string(layer);
    const Value q = Turned(n, "q_norm", n.Linear("q_proj", x, config_.dim, false));
    const Value k = Kept("k" + suffix, Turned(n, "k_norm", n.Linear("k_proj", x, config_.dim, false)));
    const Value v = Kept("v" + suffix, n.Linear("v_proj", x, config_.dim, false));
    const float scale = 1 / std::sqrt(static_cast<float>(config_.head()));
    return n.Linear("o_proj", Attention(q, k, v, {.heads = config_.heads, .scale = scale, .valid = length_}),
                    config_.dim, false);
  }

  Value FeedForward(const Net& n, Value x) {
    const int hidden = config_.dim * config_.ff_mult;
    return n.Linear("down_proj", Silu(n.Linear("gate_proj", x, hidden, false)) * n.Linear("up_proj", x, hidden, false),
                    config_.dim, false);
  }

  // x [1 or branches, rows, kStyleFeatures] -> [branches, rows, dim] and the features of the time.
  struct Hidden {
    Value h, time;
  };
  Hidden Layers(const Net& n, Value x) {
    const Value time_features = graph_.Input("time", {1, 1, kTimeFeatures});
    const Value style = graph_.Input("style", {shape_.branches, 1, kStyleFeatures});
    const std::vector<float> frequencies = RotaryFrequencies(config_.head());
    frequencies_ = graph_.Constant("rotary", {config_.head() / 2}, frequencies);
    place_ = graph_.IntScalar("place");
    length_ = graph_.IntScalar("length", static_cast<int32_t>(shape_.places));
    position_ = graph_.IntScalar("position");
    const Net mlp = n / "time_embed" / "time_mlp";
    const Value time = mlp.Linear("2", Silu(mlp.Linear("0", time_features, kStyleFeatures)), kStyleFeatures);
    Tap("time_embed", time);
    const Net in = n / "input_embed";
    Value h = in.Linear("proj", x + (style + time), kStyleFeatures) + x;
    h = Tap("input_embed", in.Linear("proj_2", h, config_.dim));
    for (int layer = 0; layer < config_.depth; ++layer) {
      const Net block = n / "transformer_blocks" / layer;
      const std::string tap = "block." + std::to_string(layer);
      h = h + Tap(tap + ".attn", Attend(block / "self_attn", block.RmsNorm("input_layernorm", h, kEps), layer));
      h = h + Tap(tap + ".mlp", FeedForward(block / "mlp", block.RmsNorm("post_attention_layernorm", h, kEps)));
      Tap(tap, h);
    }
    return {h, time};
  }

  void Step() {
    const Net n = Net(graph_) / "transformer";
    const Value latent = graph_.Input("latent", {1, shape_.rows, config_.mel_dim});
    const Net embed = n / "latent_embed";
    const Value x = Tap("latent_embed", embed.Linear("1", embed.Linear("0", latent, kStyleFeatures), kStyleFeatures));
    const Hidden hidden = Layers(n, x);
    if (!hidden.h.valid()) return;
    const Value gain = (n / "norm_out").Linear("linear", Silu(hidden.time), 2 * config_.dim);
    const Value plain = graph_.Add1(Op::kNorm, NormAttrs{.groups = 1, .keep = 1u << 1, .eps = kEps},
                                    {hidden.h, Value(), Value()}, n.Name("norm_out"));
    const Value y = plain * Scale(Slice(gain, 2, 0, config_.dim), 1, 1) + Slice(gain, 2, config_.dim, 2 * config_.dim);
    graph_.Output("velocity", n.Linear("proj_out", Tap("norm_out", y), config_.mel_dim));
  }

  void Text() {
    const Net n = Net(graph_) / "transformer";
    Layers(n, graph_.Input("text", {shape_.branches, shape_.rows, kStyleFeatures}));
  }

 private:
  const DitConfig& config_;
  GraphBuilder& graph_;
  const DitShape& shape_;
  bool taps_;
  Value frequencies_;
  ScalarId place_ = kNoScalar, length_ = kNoScalar, position_ = kNoScalar;
};

// Weights of which each graph needs some: what one leaves to the other is no error.
class Part : public Weights {
 public:
  explicit Part(Weights& inner) : inner_(inner) {}
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override { return inner_.Get(name, shape); }
  bool Has(const std::string& name) const override { return inner_.Has(name); }

 private:
  Weights& inner_;
};

constexpr const char* kEmbedding = "transformer.text_embed.text_embed.weight";

}  // namespace

Result<DitConfig> ParseDitConfig(std::string_view json) {
  TIMBRE_TRY(JsonConfig file, JsonConfig::Parse(json));
  DitConfig c;
  c.dim = static_cast<int>(file.Int("dim", 2, 1 << 14));
  c.depth = static_cast<int>(file.Int("depth", 1, 128));
  c.heads = static_cast<int>(file.Int("heads", 1, 256));
  c.ff_mult = static_cast<int>(file.Int("ff_mult", 1, 16, 4));
  c.mel_dim = static_cast<int>(file.Int("mel_dim", 1, 4096));
  c.text_num_embeds = static_cast<int>(file.Int("text_num_embeds", 1, 1 << 20));
  c.block_size = static_cast<int>(file.Int("block_size", 1, 256));
  const int64_t conv_layers = file.Int("conv_layers", 0, 1 << 10, 0);
  const bool skip = file.Bool("long_skip_connection", false), history = file.Has("num_history_block");
  TIMBRE_CHECK(file.Finish());
  if (c.dim % c.heads != 0 || c.head() % 2 != 0) {
    return Fail(ErrorCode::kCorrupt, "the configuration's 'dim' is not a multiple of twice its 'heads'");
  }
  const char* const unknown = skip               ? "long_skip_connection"
                              : conv_layers != 0 ? "conv_layers"
                              : history          ? "num_history_block"
                                                 : nullptr;
  if (unknown != nullptr) {
    return Fail(ErrorCode::kUnsupported,
                std::string("the configuration's '") + unknown + "' asks for a network that is not computed");
  }
  return c;
}

Result<Graph> BuildDitStep(const DitConfig& config, Weights& weights, const DitShape& shape, bool taps) {
  Part part(weights);
  GraphBuilder graph("diffrhythm2", part);
  Pass(config, graph, shape, taps).Step();
  return graph.Finish();
}

Result<Graph> BuildDitText(const DitConfig& config, Weights& weights, const DitShape& shape) {
  Part part(weights);
  GraphBuilder graph("diffrhythm2.text", part);
  Pass(config, graph, shape, false).Text();
  return graph.Finish();
}

Result<std::vector<float>> EmbedText(const DitConfig& config, Weights& weights, std::span<const int32_t> tokens) {
  const int32_t rows = config.text_num_embeds + 1;
  TIMBRE_TRY(const HostTensor table, weights.Get(kEmbedding, {rows, kStyleFeatures}));
  return RowsOf(table, tokens);
}

std::vector<float> TimeFeatures(float time) {
  constexpr int kHalf = kTimeFeatures / 2;
  std::vector<float> features(kTimeFeatures);
  const auto step = static_cast<float>(-std::log(10000.0) / (kHalf - 1));
  const float scaled = 1000.0f * time;
  for (int k = 0; k < kHalf; ++k) {
    const float exponent = static_cast<float>(k) * step;
    const auto frequency = static_cast<float>(std::exp(static_cast<double>(exponent)));
    const float angle = scaled * frequency;
    features[k] = static_cast<float>(std::sin(static_cast<double>(angle)));
    features[kHalf + k] = static_cast<float>(std::cos(static_cast<double>(angle)));
  }
  return features;
}

std::vector<float> RotaryFrequencies(int head) {
  std::vector<float> frequencies;
  for (int i = 0; i < head / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head);
    frequencies.push_back(1.0f / static_cast<float>(std::pow(10000.0, static_cast<double>(exponent))));
  }
  return frequencies;
}

std::vector<float> Linspace(int points) {
  std::vector<float> values(static_cast<size_t>(points));
  // The second half counts from 1 back, in one rounding: the reference's compiler fuses product and difference.
  const double step = 1.0f / static_cast<float>(points - 1);
  for (int i = 0; i < points; ++i) {
    values[i] = static_cast<float>(i < points / 2 ? i * step : 1 - (points - 1 - i) * step);
  }
  return values;
}

}  // namespace timbre
