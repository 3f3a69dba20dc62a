#include "models/separate/roformer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dsp/window.h"
#include "graph/net.h"
#include "models/common_layers.h"

namespace timbre {
namespace {

using O = RoformerOptions;

// The reference's state dict in the names that the graph below asks for: queries, keys and values are one matrix there,
// and biases may be stored once for all layers.
class RoformerWeights : public Weights {
 public:
  explicit RoformerWeights(Weights& inner) : inner_(inner) {}
  bool Has(const std::string& name) const override { return inner_.Has(name); }
  Status CheckAllUsed() const override { return inner_.CheckAllUsed(); }
  void Ignore(const std::string& name) override { inner_.Ignore(name); }

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    for (int part = 0; part < 3; ++part) {
      const std::string layer = std::string(".to_") + "qkv"[part] + ".";
      const size_t at = name.find(layer);
      if (at == std::string::npos) continue;
      const std::string all = name.substr(0, at) + ".to_qkv." + name.substr(at + layer.size());
      Shape stored = shape;
      stored[0] *= 3;
      TIMBRE_TRY(const HostTensor w, inner_.Get(OrShared(all, ".to_qkv.bias", kSharedQkvBias), stored));
      return PartOfRows(w, part, 3);
    }
    return inner_.Get(OrShared(name, ".to_out.0.bias", kSharedOutBias), shape);
  }

 private:
  std::string OrShared(const std::string& name, const char* end, const char* shared) const {
    return name.ends_with(end) && !inner_.Has(name) ? shared : name;
  }

  Weights& inner_;
};

Value Linear(Value x, Value weight, Value bias) {
  return x.valid() ? x.builder()->Add1(Op::kLinear, LinearAttrs{}, {x, weight, bias}) : Value();
}

// x / max(|x|, 1e-12) * sqrt(n) * gamma: the floor stands under the root here, where it is as small.
Value Norm(Value x, Value gamma) {
  if (!x.valid()) return {};
  const double n = static_cast<double>(x.shape().back());
  NormAttrs a{.groups = 1, .eps = static_cast<float>(1e-24 / n), .subtract_mean = false};
  for (int i = 1; i < x.shape().rank() - 1; ++i) a.keep |= 1u << i;
  return x.builder()->Add1(Op::kNorm, a, {x, gamma, Value()});
}
Value Norm(const Net& n, Value x) { return x.valid() ? Norm(x, n.Weight("gamma", {x.shape().back()})) : Value(); }

// What tokens of one axis have in common: the positions of its attention, and, where values are mixed, those of its
// first layer, a tensor for each piece of the sequences.
struct Axis {
  Value q_cos, q_sin, k_cos, k_sin;  // of polar positions: [tokens, 1 or heads, dim_head]
  std::vector<Value> first_values;
};

// The weights of one attention and the feed-forward network behind it.
struct Layer {
  Value norm, q, k, v, q_bias, k_bias, v_bias, gates, gates_bias, out, out_bias, frequencies, mix, mix_bias;
  Value ff_norm, ff_in, ff_in_bias, ff_out, ff_out_bias;
};

class Builder {
 public:
  Builder(const O& o, GraphBuilder& b, Weights& weights)
      : o_(o), b_(b), weights_(weights), inner_(int64_t{o.heads} * o.dim_head), net_(b) {}

  const Net& net() const { return net_; }

  // x [sequences, tokens, dim], through `depth` layers of attention.
  Value Transformer(const Net& n, Value x, int depth, Axis& axis) {
    if (!x.valid()) return {};
    std::vector<Layer> layers;
    layers.reserve(static_cast<size_t>(depth));
    for (int i = 0; i < depth; ++i) layers.push_back(LayerOf(n / "layers" / i, axis, x.dim(1)));
    const Value norm = o_.mel ? (n / "norm").Weight("gamma", {o_.dim}) : Value();
    // As many sequences together as `tokens_at_once` says, in pieces of about one size.
    const int64_t sequences = x.dim(0), most = std::max<int64_t>(1, o_.tokens_at_once / x.dim(1));
    const int64_t count = (sequences + most - 1) / most;
    std::vector<Value> pieces;
    for (int64_t p = 0; p < count; ++p) {
      const int64_t begin = p * sequences / count, end = (p + 1) * sequences / count;
      Value y = count == 1 ? x : Slice(x, 0, begin, end);
      for (const Layer& layer : layers) {
        y = y + Attend(layer, y, axis, static_cast<size_t>(p));
        y = y + Forward(layer, y);
      }
      pieces.push_back(norm.valid() ? Norm(y, norm) : y);
    }
    return count == 1 ? pieces.front() : Concat(pieces, 0);
  }

  // x [N, tokens, dim], all tokens of a tile as one sequence, whose attention costs no square of their number.
  Value LinearTransformer(const Net& n, Value x) const {
    for (int i = 0; i < o_.linear_depth; ++i) {
      const Net layer = n / "layers" / i;
      x = x + LinearAttend(layer / 0, x);
      x = x + ForwardOf(layer / 1, x);
    }
    return o_.mel ? Norm(n / "norm", x) : x;
  }

 private:
  Layer LayerOf(const Net& n, Axis& axis, int64_t tokens) {
    const Net a = n / 0, f = n / 1 / "net";
    Layer l;
    l.norm = (a / "norm").Weight("gamma", {o_.dim});
    l.q = (a / "to_q").Weight("weight", {inner_, o_.dim});
    l.k = (a / "to_k").Weight("weight", {inner_, o_.dim});
    l.v = (a / "to_v").Weight("weight", {inner_, o_.dim});
    l.gates = (a / "to_gates").Weight("weight", {o_.heads, o_.dim});
    l.gates_bias = (a / "to_gates").Weight("bias", {o_.heads});
    l.out = (a / "to_out" / 0).Weight("weight", {o_.dim, inner_});
    if (o_.qkv_bias) {
      l.q_bias = (a / "to_q").Weight("bias", {inner_});
      l.k_bias = (a / "to_k").Weight("bias", {inner_});
      l.v_bias = (a / "to_v").Weight("bias", {inner_});
    }
    if (o_.out_bias) l.out_bias = (a / "to_out" / 0).Weight("bias", {o_.dim});
    if (!o_.value_mix.empty() && !axis.first_values.empty()) {
      l.mix = (a / o_.value_mix).Weight("weight", {o_.heads, o_.dim});
      l.mix_bias = (a / o_.value_mix).Weight("bias", {o_.heads});
    }
    if (o_.pope) {
      Polar(a / "pope_embed", axis, tokens);
    } else {
      l.frequencies = Frequencies(a, "rotary_embed.freqs", o_.dim_head / 2);
    }
    l.ff_norm = (f / 0).Weight("gamma", {o_.dim});
    l.ff_in = (f / 1).Weight("weight", {4 * o_.dim, o_.dim});
    l.ff_in_bias = (f / 1).Weight("bias", {4 * o_.dim});
    l.ff_out = (f / 4).Weight("weight", {o_.dim, 4 * o_.dim});
    l.ff_out_bias = (f / 4).Weight("bias", {o_.dim});
    return l;
  }

  // x [S, T, heads * n] as [S, T, heads, n], and back.
  Value Heads(Value x) const { return Reshape(x, {x.dim(0), x.dim(1), o_.heads, x.dim(2) / o_.heads}); }
  static Value Joined(Value x) { return Reshape(x, {x.dim(0), x.dim(1), x.dim(2) * x.dim(3)}); }

  Value Attend(const Layer& l, Value x, Axis& axis, size_t piece) const {
    x = Norm(x, l.norm);
    Value q = Linear(x, l.q, l.q_bias), k = Linear(x, l.k, l.k_bias), v = Linear(x, l.v, l.v_bias);
    if (!o_.value_mix.empty()) {
      if (piece >= axis.first_values.size()) {
        axis.first_values.push_back(v);
      } else if (l.mix.valid()) {
        const Value share = Heads(Sigmoid(Linear(x, l.mix, l.mix_bias)));
        v = Joined(Heads(v) + share * Heads(axis.first_values[piece] - v));
      }
    }
    const float scale = 1.0f / std::sqrt(static_cast<float>(o_.dim_head));
    Value y;
    if (o_.pope) {
      // Features of queries and keys become pairs; those of values stay, and zeros make heads of one size.
      y = Attention(Turned(q, axis.q_cos, axis.q_sin), Turned(k, axis.k_cos, axis.k_sin),
                    Joined(Pad(Heads(v), 3, 0, o_.dim_head)), {.heads = o_.heads, .scale = scale});
      y = Slice(Heads(y), 3, 0, o_.dim_head);
    } else {
      const RotaryAttrs turn{.heads = o_.heads, .dims = o_.dim_head, .interleaved = true};
      y = Heads(Attention(Rotary(q, l.frequencies, Value(), turn), Rotary(k, l.frequencies, Value(), turn), v,
                          {.heads = o_.heads, .scale = scale}));
    }
    y = Joined(y * Heads(Sigmoid(Linear(x, l.gates, l.gates_bias))));
    return Linear(y, l.out, l.out_bias);
  }

  Value Forward(const Layer& l, Value x) const {
    return Linear(Gelu(Linear(Norm(x, l.ff_norm), l.ff_in, l.ff_in_bias)), l.ff_out, l.ff_out_bias);
  }

  Value ForwardOf(const Net& n, Value x) const {
    x = Norm(n / "net" / 0, x);
    return (n / "net").Linear("4", Gelu((n / "net").Linear("1", x, 4 * o_.dim)), o_.dim);
  }

  // Attention within the features of a head: queries and keys are of unit length along the tokens.
  Value LinearAttend(const Net& n, Value x) const {
    x = Norm(n / "norm", x);
    if (!x.valid()) return {};
    const int inner = static_cast<int>(inner_);
    const auto turned = [&](const char* name) {  // [N, heads, dim_head, tokens]
      return Transpose(Heads((n / name).Linear("0", x, inner, false)), {0, 2, 3, 1});
    };
    const float unit = 1.0f / std::sqrt(static_cast<float>(x.dim(1)));
    const Value temperature = Unary(UnaryFn::kExp, n.Weight("temperature", {o_.heads, 1, 1}));
    const Value q = Scale(Norm(turned("to_q"), Value()), unit) * temperature;
    const Value k = Scale(Norm(turned("to_k"), Value()), unit);
    const Value weights = Softmax(MatMul(q, k, {.transpose_b = true, .scale = 8.0f}));
    const Value y = Transpose(MatMul(weights, turned("to_v")), {0, 3, 1, 2});
    return (n / "to_out").Linear("1", Joined(y), o_.dim, false);
  }

  // ---- Positions

  // 10000^(-i/count), rounded where the reference rounds it.
  static std::vector<float> DefaultFrequencies(int64_t count) {
    std::vector<float> values(count);
    for (int64_t i = 0; i < count; ++i) {
      const float exponent = static_cast<float>(i) / static_cast<float>(count);
      values[i] = 1.0f / static_cast<float>(std::pow(10000.0, static_cast<double>(exponent)));
    }
    return values;
  }

  // As the checkpoint stores them, rounded or not; by their definition where it does not.
  Value Frequencies(const Net& n, const char* name, int64_t count) {
    if (o_.stored_positions) return n.Weight(name, {count});
    return b_.Constant(n.Name(name), {count}, DefaultFrequencies(count));
  }

  // The angles of polar positions, which all layers along an axis share: the first one's are taken.
  void Polar(const Net& n, Axis& axis, int64_t tokens) {
    const int64_t e = o_.dim_head, heads = o_.heads;
    if (axis.q_cos.valid()) {
      weights_.Ignore(n.Name("inv_freqs"));
      weights_.Ignore(n.Name("bias"));
      return;
    }
    std::vector<float> frequencies = DefaultFrequencies(e), biases(heads * e);
    const auto read = [&](const char* name, const Shape& shape, std::vector<float>& values) {
      const auto weight = weights_.Get(n.Name(name), shape);
      if (!weight) return b_.SetError(weight.error());
      weight->ReadF32(values.data());
    };
    if (o_.stored_positions) read("inv_freqs", {e}, frequencies);
    read("bias", {heads, e}, biases);
    constexpr float kLeast = -2 * std::numbers::pi_v<float>;
    std::vector<float> q_cos(tokens * e), q_sin(tokens * e), k_cos(tokens * heads * e), k_sin(tokens * heads * e);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t i = 0; i < heads * e; ++i) {
        const float angle = static_cast<float>(t) * frequencies[i % e];  // float32, as the reference has it
        const float moved = angle + std::clamp(biases[i], kLeast, 0.0f);
        k_cos[t * heads * e + i] = std::cos(moved);
        k_sin[t * heads * e + i] = std::sin(moved);
        if (i >= e) continue;
        q_cos[t * e + i] = std::cos(angle);
        q_sin[t * e + i] = std::sin(angle);
      }
    }
    axis.q_cos = b_.Constant(n.Name("q_cos"), {tokens, 1, e}, q_cos);
    axis.q_sin = b_.Constant(n.Name("q_sin"), {tokens, 1, e}, q_sin);
    axis.k_cos = b_.Constant(n.Name("k_cos"), {tokens, heads, e}, k_cos);
    axis.k_sin = b_.Constant(n.Name("k_sin"), {tokens, heads, e}, k_sin);
  }

  // Features as lengths, turned by their position's angles: [S, T, heads * 2 dim_head].
  Value Turned(Value x, Value cosine, Value sine) const {
    // log(1 + e^x), without an exponential that overflows.
    const Value rest =
        Unary(UnaryFn::kLog, Scale(Unary(UnaryFn::kExp, Unary(UnaryFn::kNeg, Unary(UnaryFn::kAbs, x))), 1, 1));
    const Value length = Heads(Relu(x) + rest);
    return Joined(Concat({length * cosine, length * sine}, 3));
  }

  const O& o_;
  GraphBuilder& b_;
  Weights& weights_;
  const int64_t inner_;
  const Net net_;
};

// [N, T, features of all bins] -> [N, T, bands, dim].
Value SplitBands(const O& o, const Net& n, Value spectrum) {
  std::vector<Value> tokens;
  for (size_t b = 0; b < o.bands.size(); ++b) {
    const Net band = n / static_cast<int>(b);
    const int64_t each = 2 * o.channels;
    const Value x = Slice(spectrum, 2, o.bands[b].begin * each, o.bands[b].end * each);
    const Value y = band.Linear("1", Norm(band / 0, x), o.dim);
    if (!y.valid()) return {};
    tokens.push_back(Reshape(y, {y.dim(0), y.dim(1), 1, o.dim}));
  }
  return Concat(tokens, 2);
}

// Masks of all bands beside each other, [rows, features of all bins], of each band's tokens [rows, dim].
Value Masks(const O& o, const Net& n, const std::vector<Value>& tokens) {
  const int64_t each = 2 * o.channels, all = o.bands.back().end * each;
  // Of mel bands every other one: those do not overlap.
  std::vector<Value> layers;
  const size_t step = o.mel ? 2 : 1;
  for (size_t first = 0; first < std::min(step, o.bands.size()); ++first) {
    std::vector<Value> masks;
    for (size_t b = first; b < o.bands.size(); b += step) {
      const Net band = n / static_cast<int>(b) / 0;
      const auto width = static_cast<int>(o.bands[b].width() * each);
      Value x = tokens[b];
      for (int i = 0; i + 1 < o.mask_layers; ++i) {
        x = Tanh(band.Linear(std::to_string(2 * i), x, o.dim * o.mask_expansion));
      }
      x = Glu(band.Linear(std::to_string(2 * (o.mask_layers - 1)), x, 2 * width));
      // Zeros for the bins up to the next band of the same layer.
      const int64_t before = b == first ? o.bands[b].begin * each : 0;
      const int64_t next = b + step < o.bands.size() ? o.bands[b + step].begin * each : all;
      if (!x.valid()) return {};
      masks.push_back(Pad(x, 1, before, next - o.bands[b].end * each));
    }
    layers.push_back(masks.size() == 1 ? masks.front() : Concat(masks, 1));
  }
  return layers.size() == 1 ? layers.front() : layers[0] + layers[1];
}

// How much one band's mask counts in each bin: [bins, 1, 1].
Value BandShares(const O& o, GraphBuilder& b) {
  const int64_t bins = o.bands.back().end;
  std::vector<float> counts(bins, 0.0f);
  for (const BandRange& band : o.bands) {
    for (int64_t k = band.begin; k < band.end; ++k) counts[k] += 1;
  }
  for (float& count : counts) count = 1 / count;
  return b.Constant("band_shares", {bins, 1, 1}, counts);
}

}  // namespace

Result<Graph> BuildRoformer(const O& o, Weights& state, int64_t tile, int batch) {
  TIMBRE_CHECK(CheckRoformer(o));
  const int64_t half = o.n_fft / 2;
  if (tile <= half || tile > 1 << 24 || batch < 1 || batch > 256) {
    return Fail(ErrorCode::kInvalidArgument,
                "a tile of " + std::to_string(tile) + " samples does not suit this network");
  }
  RoformerWeights weights(state);
  for (const char* shared : {kSharedQkvBias, kSharedOutBias}) weights.Ignore(shared);
  GraphBuilder b(o.mel ? "mel-band-roformer" : "bs-roformer", weights);
  Builder build(o, b, weights);
  const Net& net = build.net();
  const Value window = b.Constant("window", {o.win}, MakeWindow(WindowKind::kHann, static_cast<size_t>(o.win)));
  const float root = o.normalised ? std::sqrt(static_cast<float>(o.n_fft)) : 1.0f;

  const Value mix = b.Input("mix", {batch, tile, o.channels});
  const Value spectrum =
      Stft(Pad(mix, 1, half, half, PadMode::kReflect), window, {.n_fft = o.n_fft, .hop = o.hop, .scale = 1 / root});
  if (!spectrum.valid()) return b.Finish();
  const int64_t frames = spectrum.dim(1), bins = spectrum.dim(2), features = spectrum.dim(3);
  const auto bands = static_cast<int64_t>(o.bands.size());

  // Tokens are [batch * frames, bands, dim] between the transformers.
  Value x = SplitBands(o, net / "band_split" / "to_features", Reshape(spectrum, {batch, frames, bins * features}));
  x = Reshape(x, {batch * frames, bands, o.dim});
  Axis along_time, along_bands;
  Value sum;  // of all blocks before, where blocks are given that
  for (int i = 0; i < o.depth; ++i) {
    const Net block = net / "layers" / i;
    int part = 0;
    if (o.linear_depth > 0) {
      x = build.LinearTransformer(block / part++, Reshape(x, {batch, frames * bands, o.dim}));
      x = Reshape(x, {batch * frames, bands, o.dim});
    }
    if (sum.valid()) x = x + sum;
    Value t = Transpose(Reshape(x, {batch, frames, bands, o.dim}), {0, 2, 1, 3});
    t = build.Transformer(block / part++, Reshape(t, {batch * bands, frames, o.dim}), o.time_depth, along_time);
    t = Transpose(Reshape(t, {batch, bands, frames, o.dim}), {0, 2, 1, 3});
    x = build.Transformer(block / part, Reshape(t, {batch * frames, bands, o.dim}), o.band_depth, along_bands);
    if (o.skip_connection && i + 1 < o.depth) sum = sum.valid() ? sum + x : x;
  }
  if (!o.mel) x = Norm(net / "final_norm", x);

  std::vector<Value> tokens;
  for (int64_t k = 0; k < bands; ++k) tokens.push_back(Reshape(Slice(x, 1, k, k + 1), {batch * frames, o.dim}));
  const Value complex = Reshape(spectrum, {batch, frames, bins, o.channels, 2});
  const Value shares = o.mel ? BandShares(o, b) : Value();
  std::vector<Value> stems;
  for (int s = 0; s < static_cast<int>(o.tiling.stems.size()); ++s) {
    Value mask = Masks(o, net / "mask_estimators" / s / "to_freqs", tokens);
    mask = Reshape(mask, {batch, frames, bins, o.channels, 2});
    if (shares.valid()) mask = mask * shares;
    Value stem = Binary(BinaryFn::kComplexMul, complex, mask);
    if (o.zero_dc) stem = Pad(Slice(stem, 2, 1, bins), 2, 1, 0);
    stems.push_back(Reshape(stem, {batch, frames, bins, features}));
  }
  const Value all = stems.size() == 1 ? stems.front() : Concat(stems, 3);
  const Value sound = Istft(all, window, {.n_fft = o.n_fft, .hop = o.hop, .crop = half, .length = tile, .scale = root});
  b.Output("stems", o.tiling.rest.empty() ? sound : Concat({sound, mix - sound}, 2));
  return b.Finish();
}

namespace {

class Roformer : public SeparationModel {
 public:
  Roformer(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    const TrainerTiling& tiling = options_.tiling;
    info_.architecture = options_.mel ? "mel-band-roformer" : "bs-roformer";
    info_.sample_rate = tiling.sample_rate;
    info_.channels = options_.channels;
    info_.stems = StemsOf(tiling);
    info_.segment = static_cast<double>(tiling.chunk_size) / tiling.sample_rate;
    info_.normalise = tiling.normalise;
    info_.pipelines = {"msst", "uvr"};
  }

  const SeparationInfo& info() const override { return info_; }

  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    return PlanTrainerTiles(options_.tiling, options_.hop, options_.n_fft, length, tiling);
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    const auto weights = WeightsFromMap(weights_);
    return BuildRoformer(options_, *weights, tile, batch);
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> MakeRoformer(O options, std::shared_ptr<const TensorMap> weights) {
  TIMBRE_CHECK(CheckRoformer(options));
  return std::make_shared<const Roformer>(std::move(options), std::move(weights));
}

}  // namespace timbre
