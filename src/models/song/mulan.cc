#include "models/song/mulan.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "dsp/window.h"
#include "graph/net.h"
#include "models/song/json_config.h"
#include "models/song/table_rows.h"

namespace timbre {
namespace {

constexpr int kFft = 2048;
constexpr int kBins = kFft / 2 + 1;
constexpr float kLeastPower = 1e-10f;  // of a mel band, before its logarithm
constexpr float kLatentScale = 8;      // of the products of unit vectors in the last transformers' attention

// Triangles on the mel scale of O'Shaughnessy ("HTK"), each of height 1: [mels, bins].
std::vector<float> MelFilters(int mels, double rate) {
  const auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const auto to_hertz = [](double mel) { return 700 * (std::pow(10, mel / 2595) - 1); };
  std::vector<double> corner(static_cast<size_t>(mels) + 2);
  for (int i = 0; i < mels + 2; ++i) corner[i] = to_hertz(to_mel(rate / 2) * i / (mels + 1));
  std::vector<float> filters(static_cast<size_t>(mels) * kBins);
  for (int m = 0; m < mels; ++m) {
    for (int f = 0; f < kBins; ++f) {
      const double hertz = rate / 2 * f / (kBins - 1);
      const double rise = (hertz - corner[m]) / (corner[m + 1] - corner[m]);
      const double fall = (corner[m + 2] - hertz) / (corner[m + 2] - corner[m + 1]);
      filters[m * kBins + f] = static_cast<float>(std::max(0.0, std::min(rise, fall)));
    }
  }
  return filters;
}

class Tower {
 public:
  Tower(const MulanConfig& config, GraphBuilder& graph, Weights& weights, bool taps)
      : config_(config), graph_(graph), weights_(weights), taps_(taps) {}

  Value Tap(const std::string& name, Value x) {
    if (taps_) graph_.Output("tap." + name, x);
    return x;
  }

  // ---- Sound ----

  // [1, samples, 1] -> [1, frames, mels], in decibels, brought to mean 0 and deviation 1.
  Value MelSpectrogram(Value wav) {
    const Value window = graph_.Constant("window", {kFft}, MakeWindow(WindowKind::kHann, kFft));
    Value x = Stft(Pad(wav, 1, kFft / 2, kFft / 2, PadMode::kReflect), window, {.n_fft = kFft, .hop = config_.hop});
    if (!x.valid()) return {};
    const int64_t frames = x.dim(1) - 1;  // the last one is left out
    x = Reduce(ReduceFn::kSum, Unary(UnaryFn::kSquare, Slice(x, 1, 0, frames)), {3});
    const std::vector<float> filters = MelFilters(config_.mels, config_.sample_rate);
    const Value mel = graph_.Add1(
        Op::kLinear, LinearAttrs{},
        {Reshape(x, {1, frames, kBins}), graph_.Constant("mel", {config_.mels, kBins}, filters), Value()}, "mel");
    const auto decibels = static_cast<float>(10 / std::numbers::ln10 / config_.mel_deviation);
    const auto mean = static_cast<float>(-config_.mel_mean / config_.mel_deviation);
    const Value bounded = Unary(UnaryFn::kClamp, mel, kLeastPower, std::numeric_limits<float>::max());
    return Tap("mel", Scale(Unary(UnaryFn::kLog, bounded), decibels, mean));
  }

  Value ConvNorm(const Net& n, const std::string& index, Value x, int stride) {
    return n.BatchNorm("bn" + index,
                       n.Conv("conv" + index, x, {.out = config_.conv, .kernel = 3, .stride = stride, .pad = 1}),
                       kNormEps);
  }

  // Halves frequency and time.
  Value ResidualConv(const Net& n, Value x) {
    const Value y = ConvNorm(n, "2", Relu(ConvNorm(n, "1", x, 2)), 1);
    return Relu(y + ConvNorm(n, "3", x, 2));
  }

  // Planes [1, mels, frames, 1] -> [1, frames / 4, dim].
  Value ConvStem(const Net& n, Value mel) {
    if (!mel.valid()) return {};
    Value x = Reshape(Transpose(mel, {0, 2, 1}), {1, mel.dim(2), mel.dim(1), 1});
    for (int i = 0; i < 2; ++i) x = Tap("conv." + std::to_string(i), ResidualConv(n / "conv" / i, x));
    if (!x.valid()) return {};
    const int64_t bands = x.dim(1), frames = x.dim(2);
    x = Reshape(Transpose(x, {0, 2, 3, 1}), {1, frames, config_.conv * bands});
    return Tap("conv", n.Linear("linear", x, config_.dim));
  }

  Value FeedForward(const Net& n, Value x) {
    return n.Linear("output_dense", Silu(n.Linear("intermediate_dense", x, config_.feed_forward)), config_.dim);
  }

  // The positions turn what queries and keys are made of, not what they are.
  Value Rotate(Value x) {
    if (!x.valid()) return {};
    const int64_t rows = x.dim(1), head = config_.dim / config_.heads, half = head / 2;
    std::vector<float> cosine, sine;
    for (int64_t p = 0; p < rows; ++p) {
      for (int64_t i = 0; i < half; ++i) {
        const auto inverse = static_cast<float>(
            1 / std::pow(config_.rotary_base, static_cast<double>(2 * i) / static_cast<double>(head)));
        const float angle = static_cast<float>(p) * inverse;
        cosine.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
        sine.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
      }
    }
    if (!cosine_.valid()) {
      cosine_ = graph_.Constant("rotary.cos", {1, rows, 1, half}, cosine);
      sine_ = graph_.Constant("rotary.sin", {1, rows, 1, half}, sine);
    }
    const Value heads = Reshape(x, {1, rows, config_.heads, head});
    const Value a = Slice(heads, 3, 0, half), b = Slice(heads, 3, half, head);
    return Reshape(Concat({a * cosine_ - b * sine_, b * cosine_ + a * sine_}, 3), {1, rows, config_.dim});
  }

  Value SelfAttention(const Net& n, Value x) {
    const Value turned = Rotate(x);
    const float scale = 1 / std::sqrt(static_cast<float>(config_.dim / config_.heads));
    const Value y = Attention(n.Linear("linear_q", turned, config_.dim), n.Linear("linear_k", turned, config_.dim),
                              n.Linear("linear_v", x, config_.dim), {.heads = config_.heads, .scale = scale});
    return n.Linear("linear_out", y, config_.dim);
  }

  Value ConvModule(const Net& n, Value x) {
    x = n.LayerNorm("layer_norm", x, Eps());
    x = Glu(n.Conv("pointwise_conv1", x, {.out = 2 * config_.dim, .bias = false}));
    x = n.Conv("depthwise_conv", x,
               {.out = config_.dim,
                .kernel = config_.kernel,
                .pad = config_.kernel / 2,
                .groups = config_.dim,
                .bias = false});
    x = Silu(n.BatchNorm("batch_norm", x, kNormEps));
    return n.Conv("pointwise_conv2", x, {.out = config_.dim, .bias = false});
  }

  Value ConformerLayer(const Net& n, Value h, const std::string& tap) {
    h = h + Scale(Tap(tap + ".ffn1", FeedForward(n / "ffn1", n.LayerNorm("ffn1_layer_norm", h, Eps()))), 0.5f);
    h = h + Tap(tap + ".self_attn", SelfAttention(n / "self_attn", n.LayerNorm("self_attn_layer_norm", h, Eps())));
    h = h + Tap(tap + ".conv_module", ConvModule(n / "conv_module", h));
    h = h + Scale(FeedForward(n / "ffn2", n.LayerNorm("ffn2_layer_norm", h, Eps())), 0.5f);
    return Tap(tap, n.LayerNorm("final_layer_norm", h, Eps()));
  }

  void Audio(int64_t samples) {
    const Net mulan = Net(graph_) / "mulan";
    const Net muq = mulan / "audio" / "model" / "model";
    Value x = ConvStem(muq / "conv", MelSpectrogram(graph_.Input("wav", {1, samples, 1})));
    for (int i = 0; i < config_.depth; ++i) {
      x = ConformerLayer(muq / "conformer" / "layers" / i, x, "layer" + std::to_string(i));
    }
    x = Tap("conformer", (muq / "conformer").LayerNorm("layer_norm", x, Eps()));
    x = Tap("audio.proj", (mulan / "audio").Linear("proj", x, config_.audio.dim));
    Latent(mulan, "audio_to_latents", Transformer(mulan / "audio" / "transformer", config_.audio, x, "audio."));
  }

  // ---- Words ----

  Value TextLayer(const Net& n, Value x) {
    const float scale = 1 / std::sqrt(static_cast<float>(config_.text_dim / config_.text_heads));
    const Net self = n / "attention" / "self", out = n / "attention" / "output";
    const int dim = config_.text_dim;
    const Value y = Attention(self.Linear("query", x, dim), self.Linear("key", x, dim), self.Linear("value", x, dim),
                              {.heads = config_.text_heads, .scale = scale});
    const auto eps = static_cast<float>(config_.text_eps);
    x = out.LayerNorm("LayerNorm", x + out.Linear("dense", y, dim), eps);
    const Value hidden = Gelu((n / "intermediate").Linear("dense", x, config_.text_feed_forward));
    return (n / "output").LayerNorm("LayerNorm", x + (n / "output").Linear("dense", hidden, dim), eps);
  }

  void Text(int64_t tokens) {
    const Net mulan = Net(graph_) / "mulan";
    const Net model = mulan / "text" / "model";
    Value x = graph_.Input("embedding", {1, tokens, config_.text_dim});
    x = Tap("text.embeddings", (model / "embeddings").LayerNorm("LayerNorm", x, static_cast<float>(config_.text_eps)));
    for (int i = 0; i < config_.text_depth; ++i) x = TextLayer(model / "encoder" / "layer" / i, x);
    Tap("text.xlmr", x);
    Latent(mulan, "text_to_latents", Transformer(mulan / "text" / "transformer", config_.text, x, "text."));
  }

  // ---- Behind both ----

  Value GainNorm(const Net& n, const char* name, Value x) {
    if (!x.valid()) return {};
    return graph_.Add1(Op::kNorm, NormAttrs{.groups = 1, .keep = 1u << 1, .eps = kNormEps},
                       {x, n.Weight(name, {x.dim(2)}), Value()}, n.Name(name));
  }

  // Every head brought to length 1 and scaled: [1, rows, heads * head].
  Value UnitHeads(const Net& n, const char* name, Value x, const MulanTransformer& t) {
    if (!x.valid()) return {};
    auto stored = weights_.Get(n.Name(name), {t.head});
    if (!stored) {
      graph_.SetError(stored.error());
      return {};
    }
    // The root of the mean of squares is the length over the root of how many there are.
    std::vector<float> gain = stored->ToF32();
    for (float& g : gain) g /= std::sqrt(static_cast<float>(t.head));
    const NormAttrs attrs{
        .groups = 1, .keep = 0b110, .eps = 1e-24f / static_cast<float>(t.head), .subtract_mean = false};
    const Value heads = graph_.Add1(
        Op::kNorm, attrs,
        {Reshape(x, {1, x.dim(1), t.heads, t.head}), graph_.Constant(n.Name(name), {t.head}, gain), Value()},
        n.Name(name));
    return Reshape(heads, x.shape());
  }

  Value Transformer(const Net& n, const MulanTransformer& t, Value x, const std::string& tap) {
    const int inner = t.heads * t.head, hidden = t.dim * t.ff_mult * 2 / 3;
    for (int i = 0; i < t.depth; ++i) {
      const Net attend = n / "layers" / i / 0, feed = n / "layers" / i / 1;
      const Value y = GainNorm(attend / "norm", "learned_gamma", x);
      const Value kv = attend.Linear("to_kv", y, 2 * inner, false);
      const Value q = UnitHeads(attend, "q_scale", attend.Linear("to_q", y, inner, false), t);
      const Value k = UnitHeads(attend, "k_scale", Slice(kv, 2, 0, inner), t);
      const Value mixed = Attention(q, k, Slice(kv, 2, inner, 2 * inner), {.heads = t.heads, .scale = kLatentScale});
      Value out = attend.Linear("to_out.0", mixed, t.dim, false);
      if (i == 0) Tap(tap + "attn0", out);
      x = x + out;
      const Value both = feed.Linear("1", GainNorm(feed / 0, "learned_gamma", x), 2 * hidden, false);
      out = feed.Linear("4", Gelu(Slice(both, 2, hidden, 2 * hidden)) * Slice(both, 2, 0, hidden), t.dim, false);
      if (i == 0) Tap(tap + "ff0", out);
      x = x + out;
    }
    return x;
  }

  // [1, rows, dim] -> [1, latent], of length 1.
  void Latent(const Net& mulan, const char* name, Value x) {
    if (!x.valid()) return;
    const Value mean = Reshape(Reduce(ReduceFn::kMean, x, {1}), {1, x.dim(2)});
    const Value y = mulan.Linear(name, mean, config_.latent);
    const Value length = Sqrt(Reduce(ReduceFn::kSum, Unary(UnaryFn::kSquare, y), {1}));
    graph_.Output("latent", y / Unary(UnaryFn::kClamp, length, 1e-12f, std::numeric_limits<float>::max()));
  }

 private:
  static constexpr float kNormEps = 1e-5f;
  float Eps() const { return static_cast<float>(config_.eps); }

  const MulanConfig& config_;
  GraphBuilder& graph_;
  Weights& weights_;
  bool taps_;
  Value cosine_, sine_;
};

// Weights of which each tower needs some, of a file that holds what only training needs besides: no excess is an error.
class Part : public Weights {
 public:
  explicit Part(Weights& inner) : inner_(inner) {}
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override { return inner_.Get(name, shape); }
  bool Has(const std::string& name) const override { return inner_.Has(name); }

 private:
  Weights& inner_;
};

MulanTransformer ReadTransformer(JsonConfig file) {
  MulanTransformer t;
  t.dim = static_cast<int>(file.Int("dim", 1, 1 << 14));
  t.depth = static_cast<int>(file.Int("tf_depth", 1, 128));
  t.heads = static_cast<int>(file.Int("heads", 1, 256, 8));
  t.head = static_cast<int>(file.Int("dim_head", 1, 1024, 64));
  t.ff_mult = static_cast<int>(file.Int("ff_mult", 1, 16, 4));
  return t;
}

}  // namespace

Result<MulanConfig> ParseMulanConfig(std::string_view mulan, std::string_view muq, std::string_view xlm_roberta) {
  MulanConfig c;
  const auto whole = [](int64_t n) { return static_cast<int>(n); };
  TIMBRE_TRY(JsonConfig towers, JsonConfig::Parse(mulan));
  JsonConfig common = towers.Object("mulan"), audio = towers.Object("audio_model");
  c.sample_rate = whole(common.Int("sr", 8000, 192000, 24000));
  c.clip_seconds = whole(common.Int("clip_secs", 1, 60, 10));
  c.latent = whole(common.Int("dim_latent", 1, 1 << 14, 512));
  c.audio = ReadTransformer(towers.Object("audio_transformer"));
  c.text = ReadTransformer(towers.Object("text_transformer"));
  const int64_t layer = audio.Int("use_layer_idx", -128, 128, -1);
  TIMBRE_CHECK(towers.Finish());
  if (layer != -1) {
    return Fail(ErrorCode::kUnsupported, "the configuration's 'use_layer_idx' is another than -1");
  }

  TIMBRE_TRY(JsonConfig sound, JsonConfig::Parse(muq));
  c.hop = whole(sound.Int("hop_length", 1, kFft, 240));
  c.mels = whole(sound.Int("n_mels", 4, 1024, 128));
  c.conv = whole(sound.Int("conv_dim", 1, 1 << 12, 512));
  c.dim = whole(sound.Int("encoder_dim", 2, 1 << 14, 1024));
  c.depth = whole(sound.Int("encoder_depth", 1, 128, 12));
  JsonConfig stat = sound.Object("stat"), conformer = sound.Object("w2v2_config");
  c.mel_mean = stat.Number("melspec_2048_mean", -1000, 1000);
  c.mel_deviation = stat.Number("melspec_2048_std", 1e-3, 1000);
  c.heads = whole(conformer.Int("num_attention_heads", 1, 256, 16));
  c.feed_forward = whole(conformer.Int("intermediate_size", 1, 1 << 16, 4096));
  c.kernel = whole(conformer.Int("conv_depthwise_kernel_size", 1, 127, 31));
  c.rotary_base = conformer.Number("rotary_embedding_base", 1, 1e9, 10000);
  c.eps = conformer.Number("layer_norm_eps", 0, 1, 1e-5);
  const std::string positions = conformer.Text("position_embeddings_type", "rotary");
  TIMBRE_CHECK(sound.Finish());
  if (positions != "rotary" || c.dim % c.heads != 0 || c.dim / c.heads % 2 != 0 || c.kernel % 2 == 0 ||
      c.mels % 4 != 0) {
    return Fail(ErrorCode::kUnsupported, "the configuration is of another MuQ than those with rotary positions");
  }

  TIMBRE_TRY(JsonConfig words, JsonConfig::Parse(xlm_roberta));
  c.vocabulary = whole(words.Int("vocab_size", 4, 1 << 22));
  c.text_dim = whole(words.Int("hidden_size", 1, 1 << 14));
  c.text_depth = whole(words.Int("num_hidden_layers", 1, 128));
  c.text_heads = whole(words.Int("num_attention_heads", 1, 256));
  c.text_feed_forward = whole(words.Int("intermediate_size", 1, 1 << 16));
  c.positions = whole(words.Int("max_position_embeddings", 5, 1 << 16));
  c.types = whole(words.Int("type_vocab_size", 1, 64, 1));
  c.text_eps = words.Number("layer_norm_eps", 0, 1, 1e-5);
  TIMBRE_CHECK(words.Finish());
  if (c.text_dim % c.text_heads != 0 || c.text_dim != c.text.dim) {
    return Fail(ErrorCode::kUnsupported, "the configuration's text tower and its transformer do not fit together");
  }
  return c;
}

Result<Graph> BuildMulanAudio(const MulanConfig& config, Weights& weights, int64_t samples, bool taps) {
  // Padded by reflection, which takes more samples than it makes.
  if (samples <= kFft / 2) return Fail(ErrorCode::kInvalidArgument, "a style's sound is too short");
  Part part(weights);
  GraphBuilder graph("muq-mulan.audio", part);
  Tower(config, graph, part, taps).Audio(samples);
  return graph.Finish();
}

Result<Graph> BuildMulanText(const MulanConfig& config, Weights& weights, int64_t tokens, bool taps) {
  Part part(weights);
  GraphBuilder graph("muq-mulan.text", part);
  Tower(config, graph, part, taps).Text(tokens);
  return graph.Finish();
}

Result<std::vector<float>> EmbedMulanText(const MulanConfig& config, Weights& weights,
                                          std::span<const int32_t> tokens) {
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > config.most_tokens()) {
    return Fail(ErrorCode::kInvalidArgument, "a style's words are " + std::to_string(tokens.size()) +
                                                 " tokens where 1 to " + std::to_string(config.most_tokens()) +
                                                 " can be read");
  }
  const std::string scope = "mulan.text.model.embeddings.";
  TIMBRE_TRY(const HostTensor words,
             weights.Get(scope + "word_embeddings.weight", {config.vocabulary, config.text_dim}));
  TIMBRE_TRY(const HostTensor places,
             weights.Get(scope + "position_embeddings.weight", {config.positions, config.text_dim}));
  TIMBRE_TRY(const HostTensor types,
             weights.Get(scope + "token_type_embeddings.weight", {config.types, config.text_dim}));
  // The first two rows of positions stand for padding.
  std::vector<int32_t> positions;
  for (size_t i = 0; i < tokens.size(); ++i) positions.push_back(static_cast<int32_t>(i) + 2);
  TIMBRE_TRY(std::vector<float> sum, RowsOf(words, tokens));
  TIMBRE_TRY(const std::vector<float> place, RowsOf(places, positions));
  TIMBRE_TRY(const std::vector<float> type, RowsOf(types, std::vector<int32_t>(tokens.size())));
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = sum[i] + type[i] + place[i];
  return sum;
}

}  // namespace timbre
