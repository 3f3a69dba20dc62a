#include "models/separate/scnet.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dsp/window.h"
#include "graph/net.h"
#include "models/common_layers.h"

namespace timbre {
namespace {

using O = ScnetOptions;
constexpr int kBands = 3;
constexpr int kMaskFeatures = 64;

// The reference's state dict in the layouts that the graph below asks for. Planes are [time, frequency, channels] here
// and [channels, frequency, time] there.
class ScnetWeights : public Weights {
 public:
  explicit ScnetWeights(Weights& inner) : inner_(inner) {}
  bool Has(const std::string& name) const override { return inner_.Has(name); }
  Status CheckAllUsed() const override { return inner_.CheckAllUsed(); }
  void Ignore(const std::string& name) override { inner_.Ignore(name); }

  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    if (shape.rank() != 4) return inner_.Get(name, shape);
    // Along time alone: [out, in, time].
    if (name.find(".conv_modules.") != std::string::npos) {
      TIMBRE_TRY(HostTensor w, inner_.Get(name, {shape[0], shape[1], shape[2]}));
      w.shape = shape;
      return w;
    }
    TIMBRE_TRY(const HostTensor w, inner_.Get(name, {shape[0], shape[1], shape[3], shape[2]}));
    return SwapKernelAxes(w);
  }

 private:
  Weights& inner_;
};

// ---- Where the bands lie

// Zeros before and behind a band of `size` frequencies, so that strides and kernels fit.
struct Margins {
  int lo = 0, hi = 0;
};
Margins MarginsOf(const O& o, int band, int64_t size) {
  const int stride = o.band_stride[band];
  const auto all = stride == 1 ? o.band_kernel[band] - 1 : static_cast<int>((stride - size % stride) % stride);
  return {all / 2, all - all / 2};
}

// What a level makes of its frequencies: of each band, how many go in and how many come out.
struct Level {
  std::array<int64_t, kBands> in{}, out{};
  int64_t size() const { return out[0] + out[1] + out[2]; }  // of what comes out
};

// kUnsupported where a band has too few frequencies for its kernel.
Result<Level> LevelOf(const O& o, int64_t size) {
  const auto low = static_cast<int64_t>(std::ceil(static_cast<double>(size) * o.band_sr[0]));
  const auto middle = static_cast<int64_t>(std::ceil(static_cast<double>(size) * (o.band_sr[0] + o.band_sr[1])));
  Level level;
  level.in = {low, middle - low, size - middle};
  for (int b = 0; b < kBands; ++b) {
    const Margins margins = MarginsOf(o, b, level.in[b]);
    const int64_t room = level.in[b] + margins.lo + margins.hi - o.band_kernel[b];
    if (level.in[b] < 1 || room < 0) {
      return Fail(ErrorCode::kUnsupported, "the configuration's model.band_SR and band_kernel leave a band of " +
                                               std::to_string(level.in[b]) + " frequencies, which is too few");
    }
    level.out[b] = room / o.band_stride[b] + 1;
    // What comes out becomes so many again on the way back, or more.
    if ((level.out[b] - 1) * o.band_stride[b] + o.band_kernel[b] < level.in[b]) {
      return Fail(ErrorCode::kUnsupported,
                  "the configuration's model.band_stride and band_kernel lose frequencies of a band");
    }
  }
  return level;
}

Result<std::vector<Level>> LevelsOf(const O& o) {
  std::vector<Level> levels;
  int64_t size = o.nfft / 2 + 1;
  for (size_t i = 0; i + 1 < o.dims.size(); ++i) {
    TIMBRE_TRY(const Level level, LevelOf(o, size));
    levels.push_back(level);
    size = level.size();
  }
  return levels;
}

// ---- Layers over planes [N, T, F, C]

// Residual branches along time; every frequency is a sequence of its own, norms included.
Value ConvModules(const O& o, const Net& n, Value x, int depth) {
  if (!x.valid()) return {};
  const auto channels = static_cast<int>(x.dim(3));
  const int hidden = channels / o.compress, pad = o.conv_kernel / 2;
  constexpr uint32_t kEachFrequency = 1u << 2;
  for (int i = 0; i < depth; ++i) {
    const Net m = n / "layers" / i;
    Value h = m.GroupNorm("0", x, 1, 1e-5f, kEachFrequency);
    h = Glu(m.Conv("1", h, {.out = 2 * hidden, .kernel = {o.conv_kernel, 1}, .pad = {pad, 0}}));
    h = m.Conv("3", h, {.out = hidden, .kernel = {o.conv_kernel, 1}, .pad = {pad, 0}, .groups = hidden});
    h = Silu(m.GroupNorm("4", h, 1, 1e-5f, kEachFrequency));
    x = x + m.Conv("6", h, {.out = channels});
  }
  return x;
}

// The bands compressed, side by side again: what the decoder gets too.
Value Compress(const O& o, const Net& n, Value x, const Level& level, int channels) {
  std::vector<Value> bands;
  int64_t at = 0;
  for (int b = 0; b < kBands; ++b) {
    const Margins margins = MarginsOf(o, b, level.in[b]);
    const Value band = (n / "SDlayer" / "convs")
                           .Conv(std::to_string(b), Slice(x, 2, at, at + level.in[b]),
                                 {.out = channels,
                                  .kernel = {1, o.band_kernel[b]},
                                  .stride = {1, o.band_stride[b]},
                                  .pad = {0, margins.lo},
                                  .pad_hi = {0, margins.hi}});
    bands.push_back(Gelu(ConvModules(o, n / "conv_modules" / b, band, o.conv_depths[b])));
    at += level.in[b];
  }
  return Concat(bands, 2);
}

Value Fuse(const Net& n, Value x, Value skip) {
  x = x + skip;
  if (!x.valid()) return {};
  const auto channels = static_cast<int>(x.dim(3));
  return Glu(n.Conv("conv", Concat({x, x}, 3), {.out = 2 * channels, .kernel = 3, .pad = 1}));
}

Value Expand(const O& o, const Net& n, Value x, const Level& level, int channels) {
  std::vector<Value> bands;
  int64_t at = 0;
  for (int b = 0; b < kBands; ++b) {
    const Value band =
        (n / "convtrs")
            .ConvTranspose(std::to_string(b), Slice(x, 2, at, at + level.out[b]),
                           {.out = channels, .kernel = {1, o.band_kernel[b]}, .stride = {1, o.band_stride[b]}});
    if (!band.valid()) return {};
    const int64_t first = (band.dim(2) - level.in[b]) / 2;
    bands.push_back(Slice(band, 2, first, first + level.in[b]));
    at += level.out[b];
  }
  return Concat(bands, 2);
}

// ---- The recurrent layers

// Both directions over x [sequences, steps, C], and back to C features. The sequences go in pieces: the gates of all of
// them would be many times what they are made from.
Value BothWays(const O& o, const Net& lstm, const Net& linear, Value x) {
  if (!x.valid()) return {};
  const auto features = static_cast<int>(x.dim(2));
  const int64_t hidden = int64_t{features} * o.expand, sequences = x.dim(0);
  GraphBuilder& b = lstm.builder();
  Value weights[2][4];
  for (int way = 0; way < 2; ++way) {
    const std::string end = way == 0 ? "" : "_reverse";
    weights[way][0] = lstm.Weight("weight_ih_l0" + end, {4 * hidden, features});
    weights[way][1] = lstm.Weight("weight_hh_l0" + end, {4 * hidden, hidden});
    weights[way][2] = lstm.Weight("bias_ih_l0" + end, {4 * hidden});
    weights[way][3] = lstm.Weight("bias_hh_l0" + end, {4 * hidden});
  }
  const Value out = linear.Weight("weight", {features, 2 * hidden}), out_bias = linear.Weight("bias", {features});
  const int64_t most = std::max<int64_t>(1, o.steps_at_once / x.dim(1)), count = (sequences + most - 1) / most;
  std::vector<Value> pieces;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t begin = p * sequences / count, end = (p + 1) * sequences / count;
    const Value piece = count == 1 ? x : Slice(x, 0, begin, end);
    const Value rest = b.Constant(lstm.Name("start"), {end - begin, hidden},
                                  std::vector<float>(static_cast<size_t>((end - begin) * hidden)));
    std::vector<Value> ways;
    for (int way = 0; way < 2; ++way) {
      const auto& w = weights[way];
      ways.push_back(Lstm(piece, w[0], w[1], w[2], w[3], rest, rest, way == 1).y);
    }
    if (!ways[1].valid()) return {};
    pieces.push_back(b.Add1(Op::kLinear, LinearAttrs{}, {Concat(ways, 2), out, out_bias}));
  }
  return count == 1 ? pieces.front() : Concat(pieces, 0);
}

// Along frequency, then along time.
Value DualPath(const O& o, const Net& n, Value x) {
  if (!x.valid()) return {};
  const int64_t batch = x.dim(0), frames = x.dim(1), bins = x.dim(2), features = x.dim(3);
  Value h = (n / "norm_layers").GroupNorm("0", x, 1);
  h = BothWays(o, n / "lstm_layers" / 0, n / "linear_layers" / 0, Reshape(h, {batch * frames, bins, features}));
  x = x + Reshape(h, {batch, frames, bins, features});
  h = Transpose((n / "norm_layers").GroupNorm("1", x, 1), {0, 2, 1, 3});
  h = BothWays(o, n / "lstm_layers" / 1, n / "linear_layers" / 1, Reshape(h, {batch * bins, frames, features}));
  return x + Transpose(Reshape(h, {batch, bins, frames, features}), {0, 2, 1, 3});
}

// The real transform of `size` numbers as a matrix, of unitary scale: rows of real parts, then of imaginary parts; and
// the inverse, [size, ...]. A tile's frames are rarely a number that fast transforms like, and as a product of matrices
// this is a small part of the network.
std::vector<float> TransformMatrix(int64_t size, bool inverse) {
  const int64_t half = size / 2 + 1;
  std::vector<float> matrix(size * 2 * half);
  const double unit = 1 / std::sqrt(static_cast<double>(size));
  for (int64_t k = 0; k < half; ++k) {
    const bool alone = k == 0 || 2 * k == size;  // the others stand for two
    const double weight = inverse && !alone ? 2 * unit : unit;
    for (int64_t t = 0; t < size; ++t) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(k * t % size) / static_cast<double>(size);
      const auto re = static_cast<float>(weight * std::cos(angle));
      const auto im = alone ? 0.0f : static_cast<float>(-weight * std::sin(angle));
      if (inverse) {
        matrix[t * 2 * half + k] = re;
        matrix[t * 2 * half + half + k] = im;
      } else {
        matrix[k * size + t] = re;
        matrix[(half + k) * size + t] = im;
      }
    }
  }
  return matrix;
}

// Along time: [N, T, F, C] -> [N, T/2 + 1, F, 2C], real parts first.
Value ToSpectrum(GraphBuilder& b, Value x) {
  if (!x.valid()) return {};
  const int64_t n = x.dim(0), t = x.dim(1), f = x.dim(2), c = x.dim(3), half = t / 2 + 1;
  const Value matrix = b.Constant("transform." + std::to_string(t), {2 * half, t}, TransformMatrix(t, false));
  Value y = b.Add1(Op::kLinear, LinearAttrs{.axis = -2}, {Reshape(x, {n, t, f * c}), matrix, Value()});
  y = Transpose(Reshape(y, {n, 2, half, f, c}), {0, 2, 3, 1, 4});
  return Reshape(y, {n, half, f, 2 * c});
}

Value FromSpectrum(GraphBuilder& b, Value x) {
  if (!x.valid()) return {};
  const int64_t n = x.dim(0), half = x.dim(1), f = x.dim(2), c = x.dim(3) / 2, t = 2 * (half - 1);
  const Value matrix = b.Constant("inverse." + std::to_string(t), {t, 2 * half}, TransformMatrix(t, true));
  const Value y = Transpose(Reshape(x, {n, half, f, 2, c}), {0, 3, 1, 2, 4});
  const Value z = b.Add1(Op::kLinear, LinearAttrs{.axis = -2}, {Reshape(y, {n, 2 * half, f * c}), matrix, Value()});
  return Reshape(z, {n, t, f, c});
}

}  // namespace

bool IsScnet(const TensorMap& weights) { return weights.contains("encoder.0.SDlayer.convs.0.weight"); }

Result<ScnetOptions> ReadScnetOptions(const std::string& yaml, const TensorMap& weights) {
  TIMBRE_TRY(TrainerConfig config, TrainerConfig::Parse(yaml));
  O o;
  TIMBRE_TRY(o.tiling, ReadTrainerTiling(config));
  o.masked = weights.contains("mask_layer.0.weight");
  std::vector<std::string> sources = o.tiling.stems;
  config.Read("model", "sources", sources);
  config.Read("model", "audio_channels", o.channels);
  config.Read("model", "dims", o.dims);
  config.Read("model", "nfft", o.nfft);
  config.Read("model", "hop_size", o.hop_size);
  config.Read("model", "win_size", o.win_size);
  config.Read("model", "normalized", o.normalized);
  config.Read("model", "compress", o.compress);
  config.Read("model", "conv_kernel", o.conv_kernel);
  config.Read("model", "num_dplayer", o.num_dplayer);
  config.Read("model", "expand", o.expand);
  const auto three = [&](const char* name, auto& values) -> Status {
    std::vector<typename std::remove_reference_t<decltype(values)>::value_type> read;
    if (!config.Read("model", name, read)) return {};
    if (read.size() != kBands) {
      return Fail(ErrorCode::kUnsupported, std::string("the configuration's model.") + name + " has " +
                                               std::to_string(read.size()) + " values where there are three bands");
    }
    std::copy(read.begin(), read.end(), values.begin());
    return {};
  };
  TIMBRE_CHECK(three("band_SR", o.band_sr));
  TIMBRE_CHECK(three("band_stride", o.band_stride));
  TIMBRE_CHECK(three("band_kernel", o.band_kernel));
  TIMBRE_CHECK(three("conv_depths", o.conv_depths));
  if (!config.status()) return tl::unexpected<Error>(config.status().error());
  if (sources.size() != o.tiling.stems.size()) {
    return Fail(ErrorCode::kCorrupt, "the configuration's model.sources and training.instruments name " +
                                         std::to_string(sources.size()) + " and " +
                                         std::to_string(o.tiling.stems.size()) + " stems");
  }
  TIMBRE_CHECK(CheckScnet(o));
  return o;
}

Status CheckScnet(const O& o) {
  std::vector<ConfigBound> bounds = {
      {"model.audio_channels", o.channels, 1, 8},
      {"model.dims (their number)", static_cast<int64_t>(o.dims.size()), 2, 9},
      {"model.nfft", o.nfft, 16, 1 << 16},
      {"model.win_size", o.win_size, 2, o.nfft},
      {"model.hop_size", o.hop_size, 1, o.win_size - 1},
      {"model.compress", o.compress, 1, 64},
      {"model.conv_kernel", o.conv_kernel, 1, 63},
      {"model.num_dplayer", o.num_dplayer, 0, 64},
      {"model.expand", o.expand, 1, 16},
      {"training.instruments (their number)", static_cast<int64_t>(o.tiling.stems.size()), 1, 64},
      {"chunk_size", o.tiling.chunk_size, o.nfft / 2 + 1, 1 << 24},
  };
  for (int b = 0; b < kBands; ++b) {
    bounds.push_back({"model.band_stride", o.band_stride[b], 1, 64});
    bounds.push_back({"model.band_kernel", o.band_kernel[b], o.band_stride[b], 64});
    bounds.push_back({"model.conv_depths", o.conv_depths[b], 0, 16});
  }
  for (const int dim : o.dims) bounds.push_back({"model.dims", dim, 1, 4096});
  TIMBRE_CHECK(CheckBounds(bounds));
  const bool shares = std::all_of(o.band_sr.begin(), o.band_sr.end(), [](double s) { return s > 0 && s < 1; });
  if (!shares || o.band_sr[0] + o.band_sr[1] >= 1) {
    return Fail(ErrorCode::kUnsupported, "the configuration's model.band_SR are no shares of a whole");
  }
  if (o.nfft % 2 != 0 || o.conv_kernel % 2 != 1 || o.num_dplayer % 2 != 0) {
    return Fail(ErrorCode::kUnsupported,
                "the configuration's model.nfft and num_dplayer must be even and its conv_kernel odd");
  }
  if (o.dims[0] != 2 * o.channels) {
    return Fail(ErrorCode::kUnsupported, "the configuration's first of model.dims is " + std::to_string(o.dims[0]) +
                                             ", and a spectrum of " + std::to_string(o.channels) +
                                             " channels has twice as many features");
  }
  for (size_t i = 1; i < o.dims.size(); ++i) {
    if (o.dims[i] < o.compress) {
      return Fail(ErrorCode::kUnsupported, "the configuration's model.compress leaves nothing of its dims");
    }
  }
  return LevelsOf(o).map([](const std::vector<Level>&) {});
}

Result<Graph> BuildScnet(const O& o, Weights& state, int64_t tile, int batch) {
  TIMBRE_CHECK(CheckScnet(o));
  TIMBRE_TRY(const std::vector<Level> levels, LevelsOf(o));
  const int64_t half = o.nfft / 2, hop = o.hop_size;
  if (tile <= half || tile > 1 << 24 || batch < 1 || batch > 256) {
    return Fail(ErrorCode::kInvalidArgument,
                "a tile of " + std::to_string(tile) + " samples does not suit this network");
  }
  // Zeros behind the tile, so that its frames are even in number.
  int64_t zeros = hop - tile % hop;
  if ((tile + zeros) / hop % 2 == 0) zeros += hop;

  ScnetWeights weights(state);
  GraphBuilder b(o.masked ? "scnet-masked" : "scnet", weights);
  const Net net(b);
  const Value window = b.Constant("window", {o.win_size},
                                  o.masked ? MakeWindow(WindowKind::kHann, static_cast<size_t>(o.win_size))
                                           : std::vector<float>(static_cast<size_t>(o.win_size), 1.0f));
  const float root = o.normalized ? std::sqrt(static_cast<float>(o.nfft)) : 1.0f;
  const Value mix = b.Input("mix", {batch, tile, o.channels});
  const Value spectrum = Stft(Pad(Pad(mix, 1, 0, zeros), 1, half, half, PadMode::kReflect), window,
                              {.n_fft = o.nfft, .hop = o.hop_size, .scale = 1 / root});
  Value x = spectrum;
  if (o.masked && x.valid()) {
    const int64_t bins = x.dim(2);
    const Value places = Transpose(net.Weight("pos_embed_f", {1, o.dims[0], 1, bins}), {0, 2, 3, 1});
    x = x + places;
  }

  std::vector<Value> skips;
  for (size_t i = 0; i < levels.size(); ++i) {
    const Net n = net / "encoder" / static_cast<int>(i);
    const int channels = o.dims[i + 1];
    skips.push_back(Compress(o, n, x, levels[i], channels));
    x = n.Conv("globalconv", skips.back(), {.out = channels, .kernel = 3, .pad = 1});
  }
  for (int i = 0; i < o.num_dplayer; ++i) {
    x = DualPath(o, net / "separation_net" / "dp_modules" / i, x);
    x = i % 2 == 0 ? ToSpectrum(b, x) : FromSpectrum(b, x);
  }
  const auto stems = static_cast<int>(o.tiling.stems.size());
  for (size_t i = 0; i < levels.size(); ++i) {
    const size_t level = levels.size() - 1 - i;
    const Net n = net / "decoder" / static_cast<int>(i);
    x = Fuse(n / 0, x, skips[level]);
    x = Expand(o, n / 1, x, levels[level], level == 0 ? o.dims[0] * stems : o.dims[level]);
  }
  if (o.masked) {
    const Net n = net / "mask_layer";
    x = Gelu(n.Conv("0", x, {.out = kMaskFeatures, .kernel = 3, .pad = 1}));
    const Value mask = Tanh(n.Conv("2", x, {.out = o.dims[0] * stems}));
    if (!mask.valid()) return b.Finish();
    const Shape apart{batch, mask.dim(1), mask.dim(2), int64_t{stems} * o.channels, 2};
    const Value mixtures = Concat(std::vector<Value>(static_cast<size_t>(stems), spectrum), 3);
    x = Reshape(Binary(BinaryFn::kComplexMul, Reshape(mixtures, apart), Reshape(mask, apart)), mask.shape());
  }
  const Value sound =
      Istft(x, window, {.n_fft = o.nfft, .hop = o.hop_size, .crop = half, .length = tile, .scale = root});
  b.Output("stems", o.tiling.rest.empty() ? sound : Concat({sound, mix - sound}, 2));
  return b.Finish();
}

namespace {

class Scnet : public SeparationModel {
 public:
  Scnet(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    const TrainerTiling& tiling = options_.tiling;
    info_.architecture = options_.masked ? "scnet-masked" : "scnet";
    info_.sample_rate = tiling.sample_rate;
    info_.channels = options_.channels;
    info_.stems = StemsOf(tiling);
    info_.segment = static_cast<double>(tiling.chunk_size) / tiling.sample_rate;
    info_.pipelines = {"msst"};
    info_.normalise = tiling.normalise;
  }

  const SeparationInfo& info() const override { return info_; }

  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    return PlanTrainerTiles(options_.tiling, options_.hop_size, options_.nfft, length, tiling);
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    const auto weights = WeightsFromMap(weights_);
    return BuildScnet(options_, *weights, tile, batch);
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> MakeScnet(O options, std::shared_ptr<const TensorMap> weights) {
  TIMBRE_CHECK(CheckScnet(options));
  return std::make_shared<const Scnet>(std::move(options), std::move(weights));
}

}  // namespace timbre
