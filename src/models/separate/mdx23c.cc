#include "models/separate/mdx23c.h"

#include <charconv>
#include <cmath>

#include "dsp/window.h"
#include "graph/net.h"

namespace timbre {
namespace {

using O = Mdx23cOptions;

struct Activation {
  UnaryFn fn = UnaryFn::kGelu;
  float alpha = 0;
};

Result<Activation> ParseActivation(const std::string& act) {
  if (act == "gelu") return Activation{UnaryFn::kGelu};
  if (act == "relu") return Activation{UnaryFn::kRelu};
  float alpha = 0;
  const char* end = act.data() + act.size();
  if (act.starts_with("elu")) {
    const auto [stop, error] = std::from_chars(act.data() + 3, end, alpha);
    if (error == std::errc() && stop == end && std::isfinite(alpha)) return Activation{UnaryFn::kElu, alpha};
  }
  return Fail(ErrorCode::kUnsupported, "the configuration's model.act is '" + act.substr(0, 40) +
                                           "'; it can be gelu, relu or elu followed by a number");
}

// 0 where the norm is not one in groups.
int GroupsOf(const std::string& norm) {
  constexpr std::string_view kPrefix = "GroupNorm";
  int groups = 0;
  if (norm.starts_with(kPrefix)) std::from_chars(norm.data() + kPrefix.size(), norm.data() + norm.size(), groups);
  return groups;
}

// The network over planes [N, time, frequency, C].
class Builder {
 public:
  Builder(const O& o, Activation act) : o_(o), act_(act) {}

  // A norm, the activation, and whatever layer follows: how every layer of the network begins.
  Value NormAct(const Net& n, std::string_view name, Value x) const {
    if (o_.norm == "InstanceNorm") {
      x = n.InstanceNorm(name, x, true);
    } else if (o_.norm == "BatchNorm") {
      x = n.BatchNorm(name, x);
    } else if (const int groups = GroupsOf(o_.norm); groups > 0) {
      x = n.GroupNorm(name, x, groups);
    }
    return Act(x);
  }
  Value Act(Value x) const { return Unary(act_.fn, x, act_.alpha); }

  // "Time-frequency convolutions, time-distributed fully connected": two 3 x 3 convolutions and, around the first one's
  // result, a bottleneck along frequency that is the same for every time and channel.
  Value TfcTdf(const Net& n, Value x, int channels) const {
    for (int i = 0; i < o_.num_blocks_per_scale; ++i) {
      const Net m = n / "blocks" / i;
      const ConvOptions conv{.out = channels, .kernel = 3, .pad = 1, .bias = false};
      const Value shortcut = m.Conv("shortcut", x, {.out = channels, .bias = false});
      x = (m / "tfc1").Conv("2", NormAct(m / "tfc1", "0", x), conv);
      const int bins = static_cast<int>(x.dim(2));
      Value h = (m / "tdf").LinearAxis2("2", NormAct(m / "tdf", "0", x), bins / o_.bottleneck_factor, false);
      h = (m / "tdf").LinearAxis2("5", NormAct(m / "tdf", "3", h), bins, false);
      x = x + h;
      x = (m / "tfc2").Conv("2", NormAct(m / "tfc2", "0", x), conv);
      x = x + shortcut;
    }
    return x;
  }

  Value Downscale(const Net& n, Value x, int channels) const {
    const Sizes scale{o_.scale[0], o_.scale[1]};
    return n.Conv("2", NormAct(n, "0", x), {.out = channels, .kernel = scale, .stride = scale, .bias = false});
  }
  Value Upscale(const Net& n, Value x, int channels) const {
    const Sizes scale{o_.scale[0], o_.scale[1]};
    return n.ConvTranspose("2", NormAct(n, "0", x), {.out = channels, .kernel = scale, .stride = scale, .bias = false});
  }

 private:
  const O& o_;
  Activation act_;
};

// The sub-bands of a spectrum side by side as channels, and back: channel c of sub-band b is channel c * subbands + b.
Value BandsToChannels(Value x, int bands) {
  const int64_t n = x.dim(0), t = x.dim(1), f = x.dim(2), c = x.dim(3);
  x = Transpose(Reshape(x, {n, t, bands, f / bands, c}), {0, 1, 3, 4, 2});
  return Reshape(x, {n, t, f / bands, c * bands});
}
Value ChannelsToBands(Value x, int bands) {
  const int64_t n = x.dim(0), t = x.dim(1), f = x.dim(2), c = x.dim(3);
  x = Transpose(Reshape(x, {n, t, f, c / bands, bands}), {0, 1, 4, 2, 3});
  return Reshape(x, {n, t, f * bands, c / bands});
}

// Tiles must hold a number of frames that halves (or as `scale` says) as often as the network does.
int64_t FrameUnit(const O& o) {
  int64_t unit = 1;
  for (int i = 0; i < o.num_scales; ++i) unit *= o.scale[0];
  return unit;
}

}  // namespace

Result<Mdx23cOptions> ParseMdx23cConfig(const std::string& text) {
  TIMBRE_TRY(TrainerConfig config, TrainerConfig::Parse(text));
  O o;
  TIMBRE_TRY(o.tiling, ReadTrainerTiling(config));
  config.Read("audio", "dim_f", o.dim_f, true);
  config.Read("audio", "hop_length", o.hop_length, true);
  config.Read("audio", "n_fft", o.n_fft, true);
  config.Read("audio", "num_channels", o.audio_channels);
  config.Read("model", "act", o.act, true);
  config.Read("model", "norm", o.norm);
  config.Read("model", "bottleneck_factor", o.bottleneck_factor, true);
  config.Read("model", "growth", o.growth, true);
  config.Read("model", "num_blocks_per_scale", o.num_blocks_per_scale, true);
  config.Read("model", "num_channels", o.num_channels, true);
  config.Read("model", "num_scales", o.num_scales, true);
  config.Read("model", "num_subbands", o.num_subbands, true);
  std::vector<int> scale;
  config.Read("model", "scale", scale, true);
  if (!config.status()) return tl::unexpected<Error>(config.status().error());
  if (scale.size() != 2) return Fail(ErrorCode::kCorrupt, "the configuration's model.scale must have two numbers");
  o.scale = {scale[0], scale[1]};
  TIMBRE_CHECK(CheckMdx23c(o));
  return o;
}

Status CheckMdx23c(const O& o) {
  TIMBRE_CHECK(CheckBounds({
      {"chunk_size", o.tiling.chunk_size, 1024, 1 << 24},
      {"audio.dim_f", o.dim_f, 1, o.n_fft / 2 + 1},
      {"audio.hop_length", o.hop_length, 1, o.n_fft},
      {"audio.n_fft", o.n_fft, 16, 1 << 16},
      {"audio.num_channels", o.audio_channels, 1, 8},
      {"audio.sample_rate", o.tiling.sample_rate, 1000, 384000},
      {"model.bottleneck_factor", o.bottleneck_factor, 1, 1024},
      {"model.growth", o.growth, 0, 4096},
      {"model.num_blocks_per_scale", o.num_blocks_per_scale, 1, 16},
      {"model.num_channels", o.num_channels, 1, 4096},
      {"model.num_scales", o.num_scales, 0, 8},
      {"model.num_subbands", o.num_subbands, 1, 64},
      {"model.scale", o.scale[0], 1, 8},
      {"model.scale", o.scale[1], 1, 8},
      {"training.instruments (their number)", static_cast<int64_t>(o.tiling.stems.size()), 1, 64},
      {"inference.num_overlap", o.tiling.num_overlap, 1, 64},
      {"inference.batch_size", o.tiling.batch_size, 1, 256},
  }));
  TIMBRE_CHECK(ParseActivation(o.act).map([](auto) {}));
  int64_t bins = o.dim_f;
  bool fits = bins % o.num_subbands == 0;
  bins /= o.num_subbands;
  for (int i = 0; i < o.num_scales; ++i) {
    fits = fits && bins % o.scale[1] == 0 && bins >= o.bottleneck_factor;
    bins /= o.scale[1];
  }
  if (!fits || bins < o.bottleneck_factor) {
    return Fail(ErrorCode::kUnsupported,
                "the configuration's dim_f, num_subbands, num_scales, scale and bottleneck_factor do not fit together");
  }
  if (o.tiling.chunk_size % o.hop_length != 0 || (o.tiling.chunk_size / o.hop_length + 1) % FrameUnit(o) != 0) {
    return Fail(ErrorCode::kUnsupported, "the configuration's chunk_size of " + std::to_string(o.tiling.chunk_size) +
                                             " samples is not (a multiple of " + std::to_string(FrameUnit(o)) +
                                             " frames, less one) times its hop_length");
  }
  return {};
}

Result<Graph> BuildMdx23c(const O& o, Weights& weights, int64_t tile, int batch) {
  TIMBRE_CHECK(CheckMdx23c(o));
  if (tile % o.hop_length != 0 || (tile / o.hop_length + 1) % FrameUnit(o) != 0 || tile > 1 << 24 ||
      tile <= o.n_fft / 2 || batch < 1 || batch > 256) {
    return Fail(ErrorCode::kInvalidArgument,
                "a tile of " + std::to_string(tile) + " samples does not suit this network");
  }
  TIMBRE_TRY(const Activation act, ParseActivation(o.act));
  const Builder net_of(o, act);
  GraphBuilder b("mdx23c", weights);
  const Net net(b);
  const Value window = b.Constant("window", {o.n_fft}, MakeWindow(WindowKind::kHann, static_cast<size_t>(o.n_fft)));

  const Value mix = b.Input("mix", {batch, tile, o.audio_channels});
  const int64_t half = o.n_fft / 2;
  Value x = Stft(Pad(mix, 1, half, half, PadMode::kReflect), window, {.n_fft = o.n_fft, .hop = o.hop_length});
  if (o.dim_f < half + 1) x = Slice(x, 2, 0, o.dim_f);
  const Value bands = BandsToChannels(x, o.num_subbands);

  int channels = o.num_channels;
  const Value first = net.Conv("first_conv", bands, {.out = channels, .bias = false});
  x = first;
  std::vector<Value> skips;
  for (int i = 0; i < o.num_scales; ++i) {
    const Net n = net / "encoder_blocks" / i;
    x = net_of.TfcTdf(n / "tfc_tdf", x, channels);
    skips.push_back(x);
    channels += o.growth;
    x = net_of.Downscale(n / "downscale" / "conv", x, channels);
  }
  x = net_of.TfcTdf(net / "bottleneck_block", x, channels);
  for (int i = 0; i < o.num_scales; ++i) {
    const Net n = net / "decoder_blocks" / i;
    channels -= o.growth;
    x = net_of.Upscale(n / "upscale" / "conv", x, channels);
    x = net_of.TfcTdf(n / "tfc_tdf", Concat({x, skips.back()}, -1), channels);
    skips.pop_back();
  }
  x = Concat({bands, x * first}, -1);
  x = net_of.Act((net / "final_conv").Conv("0", x, {.out = channels, .bias = false}));
  const int features = static_cast<int>(o.tiling.stems.size()) * o.audio_channels;
  x = (net / "final_conv").Conv("2", x, {.out = features * 2 * o.num_subbands, .bias = false});
  x = Pad(ChannelsToBands(x, o.num_subbands), 2, 0, half + 1 - o.dim_f);
  const Value sound = Istft(x, window, {.n_fft = o.n_fft, .hop = o.hop_length, .crop = half, .length = tile});
  b.Output("stems", o.tiling.rest.empty() ? sound : Concat({sound, mix - sound}, 2));
  return b.Finish();
}

namespace {

class Mdx23c : public SeparationModel {
 public:
  Mdx23c(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    info_.architecture = "mdx23c";
    info_.sample_rate = options_.tiling.sample_rate;
    info_.channels = options_.audio_channels;
    info_.stems = StemsOf(options_.tiling);
    info_.segment = static_cast<double>(options_.tiling.chunk_size) / options_.tiling.sample_rate;
    info_.pipelines = {"msst"};
    info_.normalise = options_.tiling.normalise;
  }

  const SeparationInfo& info() const override { return info_; }

  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    int64_t tile = options_.tiling.chunk_size;
    if (tiling.segment > 0) {
      // The nearest length that the network can halve.
      const int64_t unit = FrameUnit(options_);
      const double frames = tiling.segment * options_.tiling.sample_rate / options_.hop_length + 1;
      const auto units = std::max<int64_t>(1, std::llround(std::min(frames, 1e6) / static_cast<double>(unit)));
      tile = (units * unit - 1) * options_.hop_length;
      if (tile < options_.n_fft) {
        return Fail(ErrorCode::kInvalidArgument, "a segment of " + std::to_string(tiling.segment) +
                                                     " s is too short for this model; its own is " +
                                                     std::to_string(info_.segment) + " s");
      }
    }
    int64_t step = tile / options_.tiling.num_overlap;
    if (tiling.overlap >= 0) step = static_cast<int64_t>(static_cast<double>(tile) * (1 - tiling.overlap));
    if (step < 1)
      return Fail(ErrorCode::kInvalidArgument,
                  "an overlap of " + std::to_string(tiling.overlap) + " leaves no step; give less than 1");
    return PlanFaded(length, tile, step, tile / 10, options_.tiling.batch_size);
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    const auto weights = WeightsFromMap(weights_);
    for (const auto& [name, tensor] : *weights_) {
      if (name.ends_with("num_batches_tracked")) weights->Ignore(name);  // of batch norms, for training alone
    }
    return BuildMdx23c(options_, *weights, tile, batch);
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> MakeMdx23c(O options, std::shared_ptr<const TensorMap> weights) {
  TIMBRE_CHECK(CheckMdx23c(options));
  return std::make_shared<const Mdx23c>(std::move(options), std::move(weights));
}

}  // namespace timbre
