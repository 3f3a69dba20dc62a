#include "models/separate/larsnet.h"

#include <algorithm>

#include "dsp/window.h"
#include "graph/net.h"
#include "models/common_layers.h"

namespace timbre {
namespace {

using O = LarsnetOptions;

constexpr std::string_view kInputNorm = "input_norm";
constexpr int kChannels = 2;

// The reference's planes are [frequency, time], the graph's [time, frequency]; and where its norm of the input has a
// channel for each frequency, the graph has the signal's channels of each frequency side by side.
class LarsnetWeights : public Weights {
 public:
  explicit LarsnetWeights(Weights& inner) : inner_(inner) {}
  bool Has(const std::string& name) const override { return inner_.Has(name); }
  Status CheckAllUsed() const override { return inner_.CheckAllUsed(); }
  Result<HostTensor> Get(const std::string& name, const Shape& shape) override {
    if (shape.rank() == 1 && name.find(kInputNorm) != std::string::npos) {
      TIMBRE_TRY(const HostTensor weight, inner_.Get(name, {shape[0] / kChannels}));
      return HostTensor::Made(shape, [weight](float* out) {
        for (const float value : weight.ToF32()) out = std::fill_n(out, kChannels, value);
      });
    }
    if (shape.rank() != 4) return inner_.Get(name, shape);
    TIMBRE_TRY(const HostTensor weight, inner_.Get(name, {shape[0], shape[1], shape[3], shape[2]}));
    return SwapKernelAxes(weight);
  }

 private:
  Weights& inner_;
};

int Hop(const O& o) { return o.n_fft / 4; }
int64_t TileSamples(const O& o) { return int64_t{o.frames - 1} * Hop(o) + o.n_fft; }

// A batch norm over frequencies: the network sees each as a channel. x [N, T, F, C].
Value InputNorm(const Net& net, Value x) {
  const Value flat = Reshape(x, {x.dim(0), x.dim(1), x.dim(2) * x.dim(3)});
  return Reshape(net.BatchNorm(kInputNorm, flat), {x.dim(0), x.dim(1), x.dim(2), x.dim(3)});
}

// The mask [N, T, F, C] for magnitudes of the same shape.
Value UNet(const Net& net, Value x) {
  const int channels = static_cast<int>(x.dim(3));
  x = InputNorm(net, x);
  std::vector<Value> skips;
  for (int i = 1; i <= 6; ++i) {
    const Net n = net / ("enc" + std::to_string(i));
    const Value c = n.Conv("conv", x, {.out = 8 << i, .kernel = 5, .stride = 2, .pad = 2});
    skips.push_back(c);  // what skips is the convolution's own result
    if (i < 6) x = LeakyRelu(n.BatchNorm("bn", c), 0.2f);
  }
  x = skips[5];
  for (int i = 1; i <= 6; ++i) {
    const Net n = net / ("dec" + std::to_string(i));
    if (i > 1) x = Concat({skips[6 - i], x}, -1);
    const int out = i < 6 ? 512 >> i : channels;
    x = n.BatchNorm("bn", Relu(n.ConvTranspose("conv_trans", x,
                                               {.out = out, .kernel = 5, .stride = 2, .pad = 2, .output_padding = 1})));
  }
  return Sigmoid((net / "mask_layer").Conv("0", x, {.out = channels, .kernel = 4, .dilation = 2, .pad = 3}));
}

}  // namespace

Result<Graph> BuildLarsnet(const O& o, Weights& inner, int batch) {
  if (o.frames < 64 || o.frames % 64 != 0 || o.bins % 64 != 0 || o.bins > o.n_fft / 2 + 1 || o.n_fft > 1 << 16 ||
      o.frames > 1 << 14 || batch < 1 || batch > 64 || o.stems.empty() || o.wiener < 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "LarsNet's frames and bins must be multiples of 64, and its Wiener exponent must not be negative");
  }
  LarsnetWeights weights(inner);
  GraphBuilder b("larsnet", weights);
  const Net net(b);
  const int64_t all_bins = o.n_fft / 2 + 1;
  const Value window = b.Constant("window", {o.n_fft}, MakeWindow(WindowKind::kHann, static_cast<size_t>(o.n_fft)));
  const Value mix = b.Input("mix", {batch, TileSamples(o), kChannels});
  const Value valid = b.Input("valid", {batch, o.frames, 1, 1});

  const Value spectrum = Stft(mix, window, {.n_fft = o.n_fft, .hop = Hop(o)}) * valid;
  // Complex numbers as pairs; above `bins` every stem is zero, so that only the rest is looked at.
  const Value seen = Reshape(Slice(spectrum, 2, 0, o.bins), {batch, o.frames, o.bins, kChannels, 2});
  const Value magnitude =
      Reshape(Sqrt(Reduce(ReduceFn::kSum, Unary(UnaryFn::kSquare, seen), {4})), {batch, o.frames, o.bins, kChannels});

  std::vector<Value> masks;
  for (const std::string& stem : o.stems) masks.push_back(UNet(net / stem, magnitude));
  if (o.wiener > 0) {
    Value sum;
    for (Value& mask : masks) {
      mask = mask * magnitude;
      if (o.wiener != 1) mask = Unary(UnaryFn::kPow, mask, static_cast<float>(o.wiener));
      sum = sum.valid() ? sum + mask : mask;
    }
    sum = Scale(sum, 1.0f, 1e-7f);
    for (Value& mask : masks) mask = mask / sum;
  }
  std::vector<Value> stems;
  for (const Value& mask : masks) {
    const Value stem = seen * Reshape(mask, {batch, o.frames, o.bins, kChannels, 1});
    const Value padded = Pad(Reshape(stem, {batch, o.frames, o.bins, 2 * kChannels}), 2, 0, all_bins - o.bins);
    stems.push_back(
        Istft(padded, window, {.n_fft = o.n_fft, .hop = Hop(o), .length = TileSamples(o), .normalize = false}));
  }
  b.Output("stems", Concat(stems, -1));
  return b.Finish();
}

namespace {

class Larsnet : public SeparationModel {
 public:
  Larsnet(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    info_.architecture = "larsnet";
    info_.stems = options_.stems;
    info_.segment = info_.max_segment = static_cast<double>(TileSamples(options_)) / info_.sample_rate;
  }

  const SeparationInfo& info() const override { return info_; }

  // The reference transforms the whole track (zeros up to a whole hop, then half a window of reflection at both ends)
  // and cuts the frames into blocks, each of which its networks see alone. Here each block is a tile: its frames'
  // samples, with the windows' sum as its envelope.
  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    if (tiling.overlap >= 0 || tiling.segment > 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  "LarsNet's blocks are of one size and follow each other; leave --segment and --overlap out");
    }
    TilePlan plan;
    plan.length = length;
    plan.tile = TileSamples(options_);
    if (length <= 0) return plan;
    const int64_t n_fft = options_.n_fft, hop = Hop(options_), half = n_fft / 2;
    // At least a window, so that there is enough to reflect.
    const int64_t padded = std::max(n_fft, (length + hop - 1) / hop * hop);
    const int64_t frames = padded / hop + 1, span = options_.frames * hop;
    const std::vector<float> window = MakeWindow(WindowKind::kHann, static_cast<size_t>(n_fft));
    const auto ones = std::make_shared<const std::vector<float>>(plan.tile, 1.0f);
    std::shared_ptr<const std::vector<float>> whole;
    for (int64_t f = 0; f < frames; f += options_.frames) {
      const int64_t count = std::min<int64_t>(options_.frames, frames - f);
      if (!whole || count < options_.frames) {
        auto envelope = std::make_shared<std::vector<float>>(plan.tile, 0.0f);
        for (int64_t k = 0; k < count; ++k) {
          for (int64_t i = 0; i < n_fft; ++i) (*envelope)[k * hop + i] += window[i] * window[i];
        }
        whole = envelope;
      }
      Tile tile;
      const int64_t origin = f / options_.frames * span - half;  // the signal's sample under the tile's first
      const int64_t end = origin + (count - 1) * hop + n_fft;    // where the frames of the signal end
      auto run = [&](int64_t from, int64_t to, int64_t source, int step) {
        if (to > from) tile.input.push_back({from - origin, source, to - from, step});
      };
      // Before the beginning, within, and after the zeros at the end; what is reflected of the zeros stays zero.
      run(origin, std::min<int64_t>(0, end), -origin, -1);
      run(std::max<int64_t>(0, origin), std::min(end, length), std::max<int64_t>(0, origin), 1);
      const int64_t turn = 2 * (padded - 1), mirrored = std::max({origin, padded, turn - (length - 1)});
      run(mirrored, end, turn - mirrored, -1);
      for (TileRun& r : tile.input) {  // a reflection of less signal than half a window ends where the signal does
        if (r.step == -1 && r.from >= length) {
          const int64_t beyond = r.from - (length - 1);
          r.to += beyond, r.from -= beyond, r.count -= beyond;
        }
        if (r.step == -1) r.count = std::min(r.count, r.from + 1);
      }
      std::erase_if(tile.input, [](const TileRun& r) { return r.count <= 0; });
      tile.begin = std::max<int64_t>(0, origin);
      tile.trim = tile.begin - origin;
      tile.length = std::min(end, length) - tile.begin;
      if (tile.length <= 0) continue;  // nothing but padding
      tile.first = length, tile.last = 0;
      for (const TileRun& r : tile.input) {
        const int64_t other = r.from + r.step * (r.count - 1);
        tile.first = std::min({tile.first, r.from, other});
        tile.last = std::max({tile.last, r.from + 1, other + 1});
      }
      tile.weight = ones;
      tile.envelope = whole;
      tile.weight_begin = tile.trim;
      plan.tiles.push_back(std::move(tile));
    }
    // What a tile needs of the signal may reach back behind the next one's, by reflection at the end.
    for (size_t i = plan.tiles.size(); i-- > 1;)
      plan.tiles[i - 1].first = std::min(plan.tiles[i - 1].first, plan.tiles[i].first);
    for (size_t i = 1; i < plan.tiles.size(); ++i)
      plan.tiles[i].last = std::max(plan.tiles[i].last, plan.tiles[i - 1].last);
    return plan;
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    if (tile != TileSamples(options_)) {
      return Fail(ErrorCode::kInvalidArgument, "LarsNet's tiles have " + std::to_string(TileSamples(options_)) +
                                                   " samples, not " + std::to_string(tile));
    }
    const auto weights = WeightsFromMap(weights_);
    for (const auto& [name, tensor] : *weights_) {
      // Of batch norms, for training alone; and a norm that the reference has but does not call.
      if (name.ends_with("num_batches_tracked") || name.find(".enc6.bn.") != std::string::npos) weights->Ignore(name);
    }
    return BuildLarsnet(options_, *weights, batch);
  }

  void FillInput(std::string_view, const TilePlan& plan, const Tile& tile, std::span<float> out) const override {
    const int64_t hop = Hop(options_), padded = std::max<int64_t>(options_.n_fft, (plan.length + hop - 1) / hop * hop);
    const int64_t first = (tile.begin - tile.trim + options_.n_fft / 2) / hop, frames = padded / hop + 1;
    for (size_t i = 0; i < out.size(); ++i) out[i] = first + static_cast<int64_t>(i) < frames ? 1.0f : 0.0f;
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> MakeLarsnet(O options, std::shared_ptr<const TensorMap> weights) {
  return std::make_shared<const Larsnet>(std::move(options), std::move(weights));
}

}  // namespace timbre
