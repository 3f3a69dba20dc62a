#include "models/separate/htdemucs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dsp/tile_plan.h"
#include "dsp/window.h"
#include "graph/net.h"
#include "models/common_layers.h"

namespace timbre {
namespace {

using O = HtdemucsOptions;

// Demucs' state dict in the layouts that the graph below asks for. Planes are [time, frequency, channels] here and
// [channels, frequency, time] there, so kernels over them have their axes the other way round.
class DemucsWeights : public Weights {
 public:
  explicit DemucsWeights(Weights& inner) : inner_(inner) {}
  bool Has(const std::string& name) const override { return inner_.Has(name); }
  Status CheckAllUsed() const override { return inner_.CheckAllUsed(); }
  void Ignore(const std::string& name) override { inner_.Ignore(name); }

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    for (int part = 0; part < 3; ++part) {
      const std::string layer = std::string("_attn.") + "qkv"[part] + ".";
      if (const size_t at = name.find(layer); at != std::string::npos) {
        return Third(name.substr(0, at) + "_attn.in_proj_" + name.substr(at + layer.size()), shape, part);
      }
    }
    const bool plane = name.starts_with("encoder.") || name.starts_with("decoder.");
    if (!plane || shape.rank() < 3) return inner_.Get(name, shape);
    // Within a residual branch, convolutions run along time only: [out, in, time].
    if (name.find(".dconv.") != std::string::npos) return Reshaped(name, {shape[0], shape[1], shape[2]}, shape);
    // Along frequency only: [out, in, frequency, 1].
    if (shape.rank() == 3) return Reshaped(name, {shape[0], shape[1], shape[2], 1}, shape);
    TIMBRE_TRY(HostTensor w, inner_.Get(name, {shape[0], shape[1], shape[3], shape[2]}));
    return SwapKernelAxes(w);
  }

 private:
  Result<HostTensor> Reshaped(const std::string& name, const Shape& stored, const Shape& shape) {
    TIMBRE_TRY(HostTensor w, inner_.Get(name, stored));
    w.shape = shape;
    return w;
  }

  // Queries, keys and values are one matrix, a third of its rows each.
  Result<HostTensor> Third(const std::string& name, const Shape& shape, int part) {
    Shape stored = shape;
    stored[0] *= 3;
    TIMBRE_TRY(const HostTensor w, inner_.Get(name, stored));
    return PartOfRows(w, part, 3);
  }

  Weights& inner_;
};

// Planes are [N, T, F, C], sequences [N, T, C].
bool IsPlane(const Value& x) { return x.shape().rank() == 4; }

// A convolution along frequency sees every time step as a sequence of its own.
Value FoldTime(const Value& x) { return Reshape(x, {x.dim(0) * x.dim(1), x.dim(2), x.dim(3)}); }
Value UnfoldTime(const Value& x, int64_t n) {
  return x.valid() ? Reshape(x, {n, x.dim(0) / n, x.dim(1), x.dim(2)}) : x;
}

// Residual branches of dilated convolutions along time. In a plane every frequency is a sequence of its own, norms
// included.
Value DConv(const O& o, const Net& n, Value x) {
  const int channels = static_cast<int>(x.shape().back());
  const int hidden = static_cast<int>(channels / o.dconv_comp);
  const uint32_t keep = IsPlane(x) ? 1u << 2 : 0;
  for (int i = 0; i < std::abs(o.dconv_depth); ++i) {
    const Net m = n / "layers" / i;
    const int dilation = o.dconv_depth > 0 ? 1 << i : 1;
    Value h = IsPlane(x)
                  ? m.Conv("0", x, {.out = hidden, .kernel = {3, 1}, .dilation = {dilation, 1}, .pad = {dilation, 0}})
                  : m.Conv("0", x, {.out = hidden, .kernel = 3, .dilation = dilation, .pad = dilation});
    h = Gelu(m.GroupNorm("1", h, 1, 1e-5f, keep));
    h = Glu(m.GroupNorm("4", m.Conv("3", h, {.out = 2 * channels}), 1, 1e-5f, keep));
    x = x + h * m.Weight("6.scale", {channels});
  }
  return x;
}

Value Norm(const O& o, const Net& n, std::string_view name, Value x, int level) {
  return level >= o.norm_starts ? n.GroupNorm(name, x, o.norm_groups) : x;
}

Value Rewrite(const O& o, const Net& n, std::string_view norm, Value x, int context, int level) {
  if (!o.rewrite) return x;
  const int channels = static_cast<int>(x.shape().back());
  x = n.Conv("rewrite", x, {.out = 2 * channels, .kernel = 1 + 2 * context, .pad = context});
  return Glu(Norm(o, n, norm, x, level));
}

Value Encode(const O& o, const Net& n, Value x, int channels, int level) {
  const int pad = o.kernel_size / 4;
  ConvOptions conv{.out = channels, .kernel = o.kernel_size, .stride = o.stride, .pad = pad};
  if (IsPlane(x)) {
    x = UnfoldTime(n.Conv("conv", FoldTime(x), conv), x.dim(0));
  } else {
    // Sequences are lengthened to whole strides.
    conv.pad_hi = pad + static_cast<int>((o.stride - x.dim(1) % o.stride) % o.stride);
    x = n.Conv("conv", x, conv);
  }
  x = Gelu(Norm(o, n, "norm1", x, level));
  if (o.dconv_mode & 1) x = DConv(o, n / "dconv", x);
  return Rewrite(o, n, "norm2", x, o.context_enc, level);
}

// `size` is that of the encoder's input along the axis it strode over.
Value Decode(const O& o, const Net& n, Value x, Value skip, int channels, int64_t size, int level) {
  x = Rewrite(o, n, "norm1", x + skip, o.context, level);
  if (o.dconv_mode & 2) x = DConv(o, n / "dconv", x);
  const bool plane = IsPlane(x);
  const int64_t batch = x.dim(0);
  if (plane) x = FoldTime(x);
  const int pad = o.kernel_size / 4;
  const int64_t full = (x.dim(1) - 1) * o.stride + o.kernel_size;
  const bool norm = level >= o.norm_starts;  // its statistics are those of the uncropped result
  ConvTransposeOptions conv{.out = channels, .kernel = o.kernel_size, .stride = o.stride};
  if (!norm) {
    conv.pad = pad;
    conv.output_padding = static_cast<int>(size + 2 * pad - full);
  }
  x = n.ConvTranspose("conv_tr", x, conv);
  if (plane) x = UnfoldTime(x, batch);
  if (norm) x = Slice(Norm(o, n, "norm2", x, level), plane ? 2 : 1, pad, pad + size);
  return level == 0 ? x : Gelu(x);
}

// ---- The transformer. Both branches are sequences [N, T, C]; that of the spectrogram is time-major.

Value LayerNorm(const O& o, const Net& n, std::string_view name, Value x) {
  return o.t_group_norm ? n.GroupNorm(name, x, o.t_group_norm) : n.LayerNorm(name, x);
}

Value NormIn(const O& o, const Net& n, std::string_view name, Value x) {
  if (o.t_norm_in) return n.LayerNorm(name, x);
  return o.t_norm_in_group ? n.GroupNorm(name, x, o.t_norm_in_group) : x;
}

Value LayerScale(const O& o, const Net& n, std::string_view name, Value x) {
  return o.t_layer_scale ? x * (n / name).Weight("scale", {x.shape().back()}) : x;
}

Value Attend(const O& o, const Net& n, Value x, Value memory) {
  const int channels = static_cast<int>(x.shape().back());
  const int head = channels / o.t_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head));
  const Value h = Attention(n.Linear("q", x, channels), n.Linear("k", memory, channels),
                            n.Linear("v", memory, channels), {.heads = o.t_heads, .scale = scale});
  return n.Linear("out_proj", h, channels);
}

Value FeedForward(const O& o, const Net& n, Value x) {
  const int channels = static_cast<int>(x.shape().back());
  const Value h = n.Linear("linear1", x, static_cast<int>(channels * o.t_hidden_scale));
  return n.Linear("linear2", o.t_gelu ? Gelu(h) : Relu(h), channels);
}

Value SelfLayer(const O& o, const Net& n, Value x) {
  const Net attn = n / "self_attn";
  if (!o.t_norm_first) {
    x = LayerNorm(o, n, "norm1", x + LayerScale(o, n, "gamma_1", Attend(o, attn, x, x)));
    return LayerNorm(o, n, "norm2", x + LayerScale(o, n, "gamma_2", FeedForward(o, n, x)));
  }
  const Value h = LayerNorm(o, n, "norm1", x);
  x = x + LayerScale(o, n, "gamma_1", Attend(o, attn, h, h));
  x = x + LayerScale(o, n, "gamma_2", FeedForward(o, n, LayerNorm(o, n, "norm2", x)));
  return o.t_norm_out ? n.GroupNorm("norm_out", x, 1) : x;
}

Value CrossLayer(const O& o, const Net& n, Value x, Value memory) {
  const Net attn = n / "cross_attn";
  if (!o.t_norm_first) {
    x = LayerNorm(o, n, "norm1", x + LayerScale(o, n, "gamma_1", Attend(o, attn, x, memory)));
    x = LayerNorm(o, n, "norm2", x + LayerScale(o, n, "gamma_2", FeedForward(o, n, x)));
    return x;
  }
  const Value h = LayerNorm(o, n, "norm1", x);
  x = x + LayerScale(o, n, "gamma_1", Attend(o, attn, h, LayerNorm(o, n, "norm2", memory)));
  x = x + LayerScale(o, n, "gamma_2", FeedForward(o, n, LayerNorm(o, n, "norm3", x)));
  return o.t_norm_out ? n.GroupNorm("norm_out", x, 1) : x;
}

// Sinusoids of the position, in float32 as the reference computes them: their arguments reach hundreds, where rounding
// differently would show. [positions, channels]: cosines, then sines.
Value Positions(const O& o, GraphBuilder& b, int64_t positions, int64_t channels) {
  std::vector<float> table(positions * channels);
  const int64_t half = channels / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float period = std::pow(static_cast<float>(o.t_max_period), static_cast<float>(i) / (half - 1));
    for (int64_t p = 0; p < positions; ++p) {
      const float phase = static_cast<float>(p) / period;
      table[p * channels + i] = std::cos(phase) * static_cast<float>(o.t_weight_pos_embed);
      table[p * channels + half + i] = std::sin(phase) * static_cast<float>(o.t_weight_pos_embed);
    }
  }
  return b.Constant("positions", {positions, channels}, table);
}

// Half of the channels hold the time, half the frequency; sines and cosines alternate. [frames * bins, channels].
Value PlanePositions(const O& o, GraphBuilder& b, int64_t frames, int64_t bins, int64_t channels) {
  std::vector<float> table(frames * bins * channels);
  const int64_t half = channels / 2;
  const auto slope = static_cast<float>(-(std::log(o.t_max_period) / static_cast<double>(half)));
  const auto gain = static_cast<float>(o.t_weight_pos_embed);
  for (int64_t i = 0; i < half; i += 2) {
    const float rate = std::exp(static_cast<float>(i) * slope);
    for (int64_t t = 0; t < frames; ++t) {
      for (int64_t f = 0; f < bins; ++f) {
        float* row = &table[(t * bins + f) * channels];
        row[i] = std::sin(static_cast<float>(t) * rate) * gain;
        row[i + 1] = std::cos(static_cast<float>(t) * rate) * gain;
        row[half + i] = std::sin(static_cast<float>(f) * rate) * gain;
        row[half + i + 1] = std::cos(static_cast<float>(f) * rate) * gain;
      }
    }
  }
  return b.Constant("plane_positions", {frames * bins, channels}, table);
}

void CrossTransformer(const O& o, const Net& n, Value& x, Value& xt, int64_t frames, int64_t bins) {
  GraphBuilder& b = n.builder();
  x = NormIn(o, n, "norm_in", x) + PlanePositions(o, b, frames, bins, x.shape().back());
  xt = NormIn(o, n, "norm_in_t", xt) + Positions(o, b, xt.dim(1), xt.shape().back());
  for (int i = 0; i < o.t_layers; ++i) {
    const Net layer = n / "layers" / i, layer_t = n / "layers_t" / i;
    if (i % 2 == (o.t_cross_first ? 1 : 0)) {
      x = SelfLayer(o, layer, x);
      xt = SelfLayer(o, layer_t, xt);
    } else {
      const Value before = x;
      x = CrossLayer(o, layer, x, xt);
      xt = CrossLayer(o, layer_t, xt, before);
    }
  }
}

// ---- The network.

// Reflection, as torch's; where the signal is too short for it, zeros are put in between first, at the end if possible.
Value PadReflect(Value x, int64_t lo, int64_t hi) {
  const int64_t missing = std::max<int64_t>(0, std::max(lo, hi) - x.dim(1) + 1);
  const int64_t zeros_hi = std::min(hi, missing), zeros_lo = missing - zeros_hi;
  x = Pad(x, 1, zeros_lo, zeros_hi);
  return Pad(x, 1, lo - zeros_lo, hi - zeros_hi, PadMode::kReflect);
}

struct Moments {
  Value mean, deviation;
};
Moments MomentsOf(Value x) {
  const auto reduce = [&](ReduceFn fn, int ddof) {
    return x.shape().rank() == 4 ? Reduce(fn, x, {1, 2, 3}, ddof) : Reduce(fn, x, {1, 2}, ddof);
  };
  return {reduce(ReduceFn::kMean, 0), reduce(ReduceFn::kStd, 1)};
}
Value Normalise(Value x, const Moments& m) { return (x - m.mean) / Scale(m.deviation, 1.0f, 1e-5f); }

}  // namespace

Result<Graph> BuildHtdemucs(const HtdemucsOptions& o, Weights& weights, int64_t tile, int batch, bool taps) {
  TIMBRE_CHECK(CheckHtdemucs(o));
  const int64_t samples = o.use_train_segment ? o.training_samples() : tile;
  if (tile < 1 || tile > o.training_samples() || batch < 1 || batch > 256) {
    return Fail(ErrorCode::kInvalidArgument, "a tile of " + std::to_string(tile) +
                                                 " samples; this network takes at most " +
                                                 std::to_string(o.training_samples()));
  }
  DemucsWeights adapted(weights);
  GraphBuilder b("htdemucs", adapted);
  const Net net(b);
  const auto tap = [&](const char* name, int index, const Value& x) {
    if (taps) b.Output(name + ("." + std::to_string(index)), x);
  };
  const Value input = b.Input("mix", {batch, tile, o.audio_channels});
  const Value mix = Pad(input, 1, 0, samples - tile);

  // The spectrogram has one frame for every hop and no Nyquist bin; real and imaginary parts are channels.
  const int64_t hop = o.nfft / 4, margin = hop / 2 * 3, frames = (samples + hop - 1) / hop, bins = o.nfft / 2;
  const Value window = b.Constant("window", {o.nfft}, MakeWindow(WindowKind::kHann, o.nfft));
  const float root = std::sqrt(static_cast<float>(o.nfft));
  Value x = Stft(PadReflect(mix, margin, margin + frames * hop - samples), window,
                 {.n_fft = o.nfft, .hop = static_cast<int>(hop), .scale = 1.0f / root});
  x = Slice(x, 2, 0, bins);
  const Moments plane = MomentsOf(x), wave = MomentsOf(mix);
  x = Normalise(x, plane);
  Value xt = Normalise(mix, wave);

  std::vector<Value> skips, skips_t;
  std::vector<int64_t> sizes, sizes_t;
  int channels = o.channels;
  for (int i = 0; i < o.depth; ++i) {
    sizes.push_back(x.dim(2));
    sizes_t.push_back(xt.dim(1));
    xt = Encode(o, net / "tencoder" / i, xt, channels, i);
    x = Encode(o, net / "encoder" / i, x, channels, i);
    tap("tencoder", i, xt);
    tap("encoder", i, x);
    if (i == 0 && o.freq_emb > 0) {
      const Value table = net.Weight("freq_emb.embedding.weight", {x.dim(2), channels});
      x = x + Scale(table, static_cast<float>(o.freq_emb * o.emb_scale));
    }
    skips.push_back(x);
    skips_t.push_back(xt);
    if (i + 1 < o.depth) channels *= o.growth;
  }

  if (o.t_layers > 0) {
    const Shape deep = x.shape();
    x = Reshape(x, {batch, x.dim(1) * x.dim(2), x.dim(3)});
    if (o.bottom_channels) {
      x = net.Conv("channel_upsampler", x, {.out = o.bottom_channels});
      xt = net.Conv("channel_upsampler_t", xt, {.out = o.bottom_channels});
    }
    CrossTransformer(o, net / "crosstransformer", x, xt, deep[1], deep[2]);
    tap("crosstransformer", 0, x);
    tap("crosstransformer", 1, xt);
    if (o.bottom_channels) {
      x = net.Conv("channel_downsampler", x, {.out = channels});
      xt = net.Conv("channel_downsampler_t", xt, {.out = channels});
    }
    x = Reshape(x, deep);
  }

  const int features = static_cast<int>(o.sources.size()) * o.audio_channels;
  for (int i = 0; i < o.depth; ++i) {
    const int level = o.depth - 1 - i;
    if (level > 0) channels /= o.growth;
    x = Decode(o, net / "decoder" / i, x, skips[level], level > 0 ? channels : 2 * features, sizes[level], level);
    xt = Decode(o, net / "tdecoder" / i, xt, skips_t[level], level > 0 ? channels : features, sizes_t[level], level);
    tap("decoder", i, x);
    tap("tdecoder", i, xt);
  }

  // The spectrogram's two zero frames at each end count in the reference's sum of squared windows, so that it is that
  // of endless frames everywhere: 3/2 for a Hann window at a hop of a quarter.
  x = Pad(x * plane.deviation + plane.mean, 2, 0, 1);
  x = Istft(x, window,
            {.n_fft = o.nfft,
             .hop = static_cast<int>(hop),
             .crop = margin,
             .length = samples,
             .scale = root / 1.5f,
             .normalize = false});
  x = x + (xt * wave.deviation + wave.mean);
  b.Output("stems", tile < samples ? Slice(x, 1, 0, tile) : x);
  return b.Finish();
}

namespace {

class Htdemucs : public SeparationModel {
 public:
  Htdemucs(HtdemucsOptions options, std::shared_ptr<const TensorMap> weights, HtdemucsTiling tiling)
      : options_(std::move(options)), tiling_(tiling), weights_(std::move(weights)) {
    info_.architecture = "htdemucs";
    info_.sample_rate = options_.samplerate;
    info_.channels = options_.audio_channels;
    info_.stems = options_.sources;
    info_.segment = info_.max_segment = options_.segment;
    info_.normalise = tiling_.normalise;
    info_.shifts = true;
  }

  const SeparationInfo& info() const override { return info_; }

  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    const double segment = tiling.segment > 0 ? tiling.segment : options_.segment;
    const auto tile = static_cast<int64_t>(std::floor(segment * options_.samplerate + 1e-6));
    const double own = tiling_.num_overlap > 0 ? 1 - 1.0 / tiling_.num_overlap : 0.25;
    const double overlap = tiling.overlap >= 0 ? tiling.overlap : own;
    if (tiling_.num_overlap > 0 && tiling.shifts.empty()) {  // which the trainer's program doesn't know
      const int64_t step = tiling.overlap >= 0 ? static_cast<int64_t>((1 - overlap) * static_cast<double>(tile))
                                               : tile / tiling_.num_overlap;
      return PlanEven(length, tile, step);
    }
    return PlanCentred(length, tile, overlap, tiling.transition_power, tiling.shifts);
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    const auto weights = WeightsFromMap(weights_);
    return BuildHtdemucs(options_, *weights, tile, batch);
  }

 private:
  HtdemucsOptions options_;
  HtdemucsTiling tiling_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> MakeHtdemucs(HtdemucsOptions options,
                                                            std::shared_ptr<const TensorMap> weights,
                                                            HtdemucsTiling tiling) {
  TIMBRE_CHECK(CheckHtdemucs(options));
  return std::make_shared<const Htdemucs>(std::move(options), std::move(weights), tiling);
}

}  // namespace timbre
