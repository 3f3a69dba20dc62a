#include "models/song/bigvgan.h"

#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "graph/net.h"
#include "models/song/json_config.h"
#include "models/song/weight_norm.h"

namespace timbre {
namespace {

constexpr int64_t kMaxChannels = 16384, kMaxStages = 12, kMaxKernel = 64, kMaxHop = 1 << 20;

constexpr int64_t kTaps = 12;

// The filter around every Snake: a sinc with cutoff 1/4 under a Kaiser window of half-width 0.3, with the sum 1.
std::array<float, kTaps> KaiserSinc() {
  const double attenuation = 2.285 * (kTaps / 2.0 - 1) * std::numbers::pi * 4 * 0.3 + 7.95;
  const double beta = 0.1102 * (attenuation - 8.7);  // Kaiser's rule for attenuations above 50 dB
  std::array<double, kTaps> h;
  double sum = 0;
  for (int64_t i = 0; i < kTaps; ++i) {
    const double ratio = 2.0 * static_cast<double>(i) / (kTaps - 1) - 1;
    const double window = std::cyl_bessel_i(0.0, beta * std::sqrt(1 - ratio * ratio)) / std::cyl_bessel_i(0.0, beta);
    const double x = (static_cast<double>(i) - kTaps / 2.0 + 0.5) * 0.5 * std::numbers::pi;
    h[i] = 0.5 * window * std::sin(x) / x;
    sum += h[i];
  }
  std::array<float, kTaps> filter;
  for (int64_t i = 0; i < kTaps; ++i) filter[i] = static_cast<float>(h[i] / sum);
  return filter;
}

class Decoder {
 public:
  Decoder(const BigvganConfig& config, GraphBuilder& graph, Weights& weights, bool taps)
      : config_(config), graph_(graph), weights_(weights), taps_(taps) {}

  Value Tap(const Net& n, Value x) {
    if (taps_) graph_.Output(n.Name(""), x);
    return x;
  }

  // A constant of one value a channel, computed from what the checkpoint holds.
  template <typename F>
  Value PerChannel(const Net& n, const char* name, int64_t channels, const F& f) {
    auto stored = weights_.Get(n.Name(name), {channels});
    if (!stored) {
      graph_.SetError(stored.error());
      return {};
    }
    std::vector<float> values = stored->ToF32();
    for (float& v : values) v = static_cast<float>(f(double{v}));
    return graph_.Constant(n.Name(name), {channels}, values);
  }

  Value Filter(const Net& n) {
    const std::string name = n.Name("filter");
    if (!weights_.Has(name)) return graph_.Constant(name, {kTaps}, KaiserSinc());
    auto stored = weights_.Get(name, {1, 1, kTaps});
    if (!stored) {
      graph_.SetError(stored.error());
      return {};
    }
    return graph_.Constant(name, {kTaps}, stored->ToF32());
  }

  Value Activation(const Net& n, Value x) {
    if (!x.valid()) return {};
    const int64_t channels = x.dim(2);
    const auto linear = [this](double v) { return config_.snake_logscale ? std::exp(v) : v; };
    const Net act = n / "act";
    const Value alpha = PerChannel(act, "alpha", channels, linear);
    const Value gain = PerChannel(act, config_.snake_beta ? "beta" : "alpha", channels,
                                  [&](double v) { return 1 / (linear(v) + 1e-9); });
    return Tap(n, AliasFreeSnake(x, alpha, gain, Filter(n / "upsample"), Filter(n / "downsample" / "lowpass")));
  }

  // Pairs of convolutions, the first of each dilated, every pair added to what it was given.
  Value ResidualBlock(const Net& n, Value x, int kernel, const std::vector<int>& dilations) {
    if (!x.valid()) return {};
    const int channels = static_cast<int>(x.dim(2));
    for (int i = 0; i < static_cast<int>(dilations.size()); ++i) {
      const int dilation = dilations[i];
      Value y = Activation(n / "activations" / (2 * i), x);
      y = (n / "convs1")
              .Conv(std::to_string(i), y,
                    {.out = channels, .kernel = kernel, .dilation = dilation, .pad = dilation * (kernel - 1) / 2});
      y = Activation(n / "activations" / (2 * i + 1), Tap(n / "convs1" / i, y));
      y = (n / "convs2").Conv(std::to_string(i), y, {.out = channels, .kernel = kernel, .pad = (kernel - 1) / 2});
      x = x + y;
    }
    return Tap(n, x);
  }

  void Build(int64_t frames) {
    const Net n(graph_);
    Value x = graph_.Input("latent", {1, frames, config_.in_channels});
    int channels = config_.upsample_initial_channel;
    x = Tap(n / "conv_pre", n.Conv("conv_pre", x, {.out = channels, .kernel = 7, .pad = 3}));
    const int blocks = static_cast<int>(config_.resblock_kernel_sizes.size());
    for (int stage = 0; stage < static_cast<int>(config_.upsample_rates.size()); ++stage) {
      const int rate = config_.upsample_rates[stage], kernel = config_.upsample_kernel_sizes[stage];
      channels /= 2;
      x = (n / "ups" / stage)
              .ConvTranspose("0", x, {.out = channels, .kernel = kernel, .stride = rate, .pad = (kernel - rate) / 2});
      x = Tap(n / "ups" / stage, x);
      Value sum;
      for (int j = 0; j < blocks; ++j) {
        const Value y = ResidualBlock(n / "resblocks" / (stage * blocks + j), x, config_.resblock_kernel_sizes[j],
                                      config_.resblock_dilation_sizes[j]);
        sum = j == 0 ? y : sum + y;
      }
      x = blocks == 1 ? sum : Scale(sum, 1.0f / static_cast<float>(blocks));
    }
    x = Activation(n / "activation_post", x);
    x = n.Conv("conv_post", x, {.out = 1, .kernel = 7, .pad = 3, .bias = config_.use_bias_at_final});
    graph_.Output("audio", config_.use_tanh_at_final ? Tanh(x) : Unary(UnaryFn::kClamp, x, -1.0f, 1.0f));
  }

 private:
  const BigvganConfig& config_;
  GraphBuilder& graph_;
  Weights& weights_;
  bool taps_;
};

}  // namespace

int BigvganConfig::hop() const {
  int hop = 1;
  for (const int rate : upsample_rates) hop *= rate;
  return hop;
}

bool BigvganConfig::whole_hops() const {
  for (size_t i = 0; i < upsample_rates.size(); ++i) {
    if ((upsample_kernel_sizes[i] - upsample_rates[i]) % 2 != 0) return false;
  }
  return true;
}

Result<BigvganConfig> ParseBigvganConfig(std::string_view json) {
  TIMBRE_TRY(JsonConfig file, JsonConfig::Parse(json));
  BigvganConfig c;
  c.in_channels = static_cast<int>(file.Int("in_channels", 1, kMaxChannels));
  c.upsample_initial_channel = static_cast<int>(file.Int("upsample_initial_channel", 1, kMaxChannels));
  c.upsample_rates = file.Ints("upsample_rates", 1, kMaxKernel, kMaxStages);
  c.upsample_kernel_sizes = file.Ints("upsample_kernel_sizes", 1, kMaxKernel, kMaxStages);
  c.resblock_kernel_sizes = file.Ints("resblock_kernel_sizes", 1, kMaxKernel, kMaxStages);
  c.resblock_dilation_sizes = file.IntLists("resblock_dilation_sizes", 1, kMaxKernel, kMaxStages);
  c.snake_logscale = file.Bool("snake_logscale", true);
  c.use_tanh_at_final = file.Bool("use_tanh_at_final", true);
  c.use_bias_at_final = file.Bool("use_bias_at_final", true);
  c.sampling_rate = static_cast<int>(file.Int("sampling_rate", 8000, 192000));
  const std::string activation = file.Text("activation", "snakebeta"), resblock = file.Text("resblock", "1");
  TIMBRE_CHECK(file.Finish());

  if (activation != "snakebeta" && activation != "snake") {
    return Fail(ErrorCode::kUnsupported, "the configuration's 'activation' is neither snakebeta nor snake");
  }
  c.snake_beta = activation == "snakebeta";
  if (resblock != "1") return Fail(ErrorCode::kUnsupported, "the configuration's 'resblock' is another than \"1\"");
  if (c.upsample_rates.size() != c.upsample_kernel_sizes.size()) {
    return Fail(ErrorCode::kCorrupt,
                "the configuration's 'upsample_rates' and 'upsample_kernel_sizes' differ in how many they are");
  }
  if (c.resblock_kernel_sizes.size() != c.resblock_dilation_sizes.size()) {
    return Fail(
        ErrorCode::kCorrupt,
        "the configuration's 'resblock_kernel_sizes' and 'resblock_dilation_sizes' differ in how many they are");
  }
  int64_t hop = 1;
  for (size_t i = 0; i < c.upsample_rates.size(); ++i) {
    if (c.upsample_kernel_sizes[i] < c.upsample_rates[i]) {
      return Fail(ErrorCode::kUnsupported,
                  "a number of the configuration's 'upsample_kernel_sizes' is less than its rate");
    }
    hop *= c.upsample_rates[i];
    if (hop > kMaxHop) return Fail(ErrorCode::kCorrupt, "the configuration's 'upsample_rates' are too large together");
  }
  if (c.upsample_initial_channel % (1 << c.upsample_rates.size()) != 0) {
    return Fail(ErrorCode::kCorrupt,
                "the configuration's 'upsample_initial_channel' can't be halved for each of 'upsample_rates'");
  }
  for (const int kernel : c.resblock_kernel_sizes) {
    if (kernel % 2 == 0) return Fail(ErrorCode::kUnsupported, "a number of 'resblock_kernel_sizes' is even");
  }
  return c;
}

Result<Graph> BuildBigvgan(const BigvganConfig& config, Weights& weights, int64_t frames, bool taps) {
  WeightNorm normed(weights);
  GraphBuilder graph("bigvgan", normed);
  Decoder(config, graph, normed, taps).Build(frames);
  return graph.Finish();
}

}  // namespace timbre
