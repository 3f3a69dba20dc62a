#include "models/separate/mdxnet.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "base/mapped_file.h"
#include "base/md5.h"
#include "base/text.h"
#include "dsp/window.h"
#include "formats/weight_values.h"
#include "graph/net.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using O = MdxnetOptions;
using Model = std::shared_ptr<const SeparationModel>;

constexpr int kChannels = 2;
constexpr int kNormGroups = 2;  // where a norm is one in groups
constexpr int kSilenced = 3;    // the lowest bins, which the network does not see

// Tiles hold a number of frames that halves as often as there are levels.
int64_t FrameUnit(const O& o) { return int64_t{1} << o.levels; }

Status Check(const O& o) {
  const bool network = o.bins >= 8 && o.bins <= 1 << 15 && o.frames >= 2 && o.frames <= 1 << 14 && o.channels >= 1 &&
                       o.channels <= 1024 && o.levels >= 0 && o.levels <= 8 && o.convolutions >= 1 &&
                       o.convolutions <= 16 && o.kernel >= 1 && o.kernel <= 15 && o.kernel % 2 == 1 &&
                       o.hidden.size() == 2 * static_cast<size_t>(o.levels) + 1 && o.bins % FrameUnit(o) == 0 &&
                       o.frames % FrameUnit(o) == 0;
  if (!network) return Fail(ErrorCode::kUnsupported, "an MDX-Net of sizes that no such network has");
  if (o.n_fft < 2 * kMdxnetHop || o.n_fft > 1 << 16 || o.n_fft % 2 != 0 || o.bins > o.n_fft / 2 + 1) {
    return Fail(ErrorCode::kUnsupported, "this MDX-Net sees " + std::to_string(o.bins) +
                                             " bins, which no transform of n_fft " + std::to_string(o.n_fft) +
                                             " samples has; it has to be even, at least twice the bins, and 2048");
  }
  if (!(o.compensate > 0 && o.compensate <= 16) || !(o.overlap < 1)) {
    return Fail(ErrorCode::kUnsupported, "an MDX-Net's compensation has to be above 0, and its overlap below 1");
  }
  return {};
}

// The norm that the checkpoint has there, if it has not been folded into what it follows, and the activation.
Value NormAct(const Net& n, Value x) {
  if (n.Has("norm.running_mean")) {
    x = n.BatchNorm("norm", x);
  } else if (n.Has("norm.weight")) {
    x = n.GroupNorm("norm", x, kNormGroups);
  }
  return Relu(x);
}

Value Conv(const Net& n, Value x, int out, int kernel, int stride = 1) {
  const int pad = stride == 1 ? kernel / 2 : 0;
  return NormAct(
      n, n.Conv("conv", x, {.out = out, .kernel = kernel, .stride = stride, .pad = pad, .bias = n.Has("conv.bias")}));
}

// Convolutions over time and frequency; around their result, a bottleneck along frequency that is the same for every
// time and channel. x [N, T, F, C].
Value Block(const O& o, const Net& net, Value x, int channels, int hidden) {
  for (int i = 0; i < o.convolutions; ++i) x = Conv(net / "tfc" / i, x, channels, o.kernel);
  if (hidden < 0) return x;
  const int bins = static_cast<int>(x.dim(2));
  const auto linear = [](const Net& n, Value v, int out) {
    return NormAct(n, n.LinearAxis2("linear", v, out, n.Has("linear.bias")));
  };
  Value y = x;
  if (hidden > 0) y = linear(net / "tdf" / 0, y, hidden);
  return x + linear(net / "tdf" / (hidden > 0 ? 1 : 0), y, bins);
}

// Spectra in and out, [N, T, F, 4].
Value Network(const O& o, const Net& net, Value x) {
  int channels = o.channels;
  x = Conv(net / "first", x, channels, 1);
  std::vector<Value> skips;
  size_t block = 0;
  for (int i = 0; i < o.levels; ++i) {
    x = Block(o, net / "encoder" / i, x, channels, o.hidden[block++]);
    skips.push_back(x);
    channels += o.channels;
    x = Conv(net / "down" / i, x, channels, 2, 2);
  }
  x = Block(o, net / "bottleneck", x, channels, o.hidden[block++]);
  for (int i = 0; i < o.levels; ++i) {
    channels -= o.channels;
    const Net up = net / "up" / i;
    x = NormAct(up,
                up.ConvTranspose("conv", x, {.out = channels, .kernel = 2, .stride = 2, .bias = up.Has("conv.bias")}));
    x = x * skips.back();
    skips.pop_back();
    x = Block(o, net / "decoder" / i, x, channels, o.hidden[block++]);
  }
  return net.Conv("last", x, {.out = 2 * kChannels, .bias = net.Has("last.bias")});
}

}  // namespace

std::string RestOf(const std::string& stem) {
  if (stem == "Vocals") return "Instrumental";
  if (stem == "Instrumental") return "Vocals";
  return "No " + stem;
}

Result<Graph> BuildMdxnet(const O& o, Weights& weights, int64_t tile, int batch) {
  TIMBRE_CHECK(Check(o));
  const int64_t frames = tile / kMdxnetHop + 1, half = o.n_fft / 2;
  if (tile % kMdxnetHop != 0 || frames % FrameUnit(o) != 0 || tile > 1 << 24 || tile <= half || batch < 1 ||
      batch > 64) {
    return Fail(ErrorCode::kInvalidArgument,
                "a tile of " + std::to_string(tile) + " samples does not suit this network");
  }
  GraphBuilder b("mdxnet", weights);
  const Net net(b);
  const Value window = b.Constant("window", {o.n_fft}, MakeWindow(WindowKind::kHann, static_cast<size_t>(o.n_fft)));
  const Value mix = b.Input("mix", {batch, tile, kChannels});
  const Value spectrum =
      Stft(Pad(mix, 1, half, half, PadMode::kReflect), window, {.n_fft = o.n_fft, .hop = kMdxnetHop});
  Value x = Pad(Slice(spectrum, 2, kSilenced, o.bins), 2, kSilenced, 0);
  if (o.denoise) {
    const Value both = Network(o, net, Concat({x, Scale(x, -1)}, 0));
    x = Scale(Slice(both, 0, 0, batch) - Slice(both, 0, batch, 2 * batch), 0.5f);
  } else {
    x = Network(o, net, x);
  }
  x = Pad(x, 2, 0, half + 1 - o.bins);
  const Value stem = Scale(Istft(x, window, {.n_fft = o.n_fft, .hop = kMdxnetHop, .crop = half, .length = tile}),
                           static_cast<float>(o.compensate));
  b.Output("stems", Concat({stem, mix - stem}, -1));
  return b.Finish();
}

namespace {

// numpy.hanning: symmetric.
std::shared_ptr<const std::vector<float>> Hanning(int64_t n) {
  auto window = std::make_shared<std::vector<float>>(n, 1.0f);
  for (int64_t i = 0; i < n && n > 1; ++i) {
    const double phase = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n - 1);
    (*window)[i] = static_cast<float>(0.5 - 0.5 * std::cos(phase));
  }
  return window;
}

class Mdxnet : public SeparationModel {
 public:
  Mdxnet(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    info_.architecture = "mdxnet";
    info_.sample_rate = kMdxnetRate;
    info_.channels = kChannels;
    info_.stems = {options_.stem, RestOf(options_.stem)};
    info_.segment = static_cast<double>(options_.frames - 1) * kMdxnetHop / kMdxnetRate;
    info_.pipelines = {"uvr"};
  }

  const SeparationInfo& info() const override { return info_; }

  // As UVR cuts a track: half a window of zeros before it, zeros behind it up to a whole number of what a tile gives
  // without its edges, and tiles every so often, of which the last may reach beyond.
  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    TilePlan plan;
    plan.length = length;
    plan.tile = int64_t{options_.frames - 1} * kMdxnetHop;
    if (tiling.segment > 0) {
      const double frames = std::min(tiling.segment * kMdxnetRate / kMdxnetHop + 1, 1e6);
      const auto units = std::max<int64_t>(1, std::llround(frames / static_cast<double>(FrameUnit(options_))));
      plan.tile = (units * FrameUnit(options_) - 1) * kMdxnetHop;
    }
    const int64_t trim = options_.n_fft / 2, kept = plan.tile - options_.n_fft;
    const double overlap = tiling.overlap >= 0 ? tiling.overlap : options_.overlap;
    const auto step = overlap < 0 ? kept : static_cast<int64_t>((1 - overlap) * static_cast<double>(plan.tile));
    if (kept < 1 || step < 1) {
      return Fail(ErrorCode::kInvalidArgument, "a segment of " + std::to_string(tiling.segment) +
                                                   " s with an overlap of " + std::to_string(overlap) +
                                                   " leaves nothing of a tile; its own is " +
                                                   std::to_string(info_.segment) + " s");
    }
    if (length <= 0) return plan;
    const int64_t whole = trim + length + kept + trim - length % kept;
    std::shared_ptr<const std::vector<float>> window;
    for (int64_t start = 0; start < whole; start += step) {
      const int64_t count = std::min(plan.tile, whole - start);  // samples of it that exist
      const int64_t origin = start - trim;                       // the signal's sample under the tile's first
      Tile tile;
      tile.begin = std::max<int64_t>(0, origin);
      tile.trim = tile.begin - origin;
      tile.length = std::min(origin + count, length) - tile.begin;
      if (tile.length <= 0) continue;
      tile.first = tile.begin;
      tile.last = std::min(origin + plan.tile, length);
      tile.input.push_back({.to = tile.trim, .from = tile.begin, .count = tile.last - tile.begin});
      if (!window || static_cast<int64_t>(window->size()) != count) {
        window = overlap == 0 ? std::make_shared<const std::vector<float>>(count, 1.0f) : Hanning(count);
      }
      tile.weight = tile.envelope = window;
      tile.weight_begin = tile.trim;
      plan.tiles.push_back(std::move(tile));
    }
    return plan;
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    const auto weights = WeightsFromMap(weights_);
    return BuildMdxnet(options_, *weights, tile, batch);
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  SeparationInfo info_;
};

// The part of a file that its digest is of.
std::string_view Tail(std::string_view bytes) {
  constexpr size_t kTail = 10'240'000;
  return bytes.size() > kTail ? bytes.substr(bytes.size() - kTail) : bytes;
}

}  // namespace

Status ReadMdxnetData(const std::string& text, const std::string& digest, O* options) {
  constexpr size_t kLongest = 1 << 20;
  if (text.size() > kLongest) return Fail(ErrorCode::kCorrupt, "it is longer than 1 MiB");
  const auto wrong = [](const std::string& what) {
    return Fail(ErrorCode::kCorrupt, what + "; it should hold mdx_n_fft_scale_set, compensate and primary_stem");
  };
  try {
    YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return wrong("it is no map");
    if (const YAML::Node own = root[digest]; own.IsDefined()) root.reset(own);
    if (!root.IsMap() || !root["mdx_n_fft_scale_set"]) return wrong("it says nothing of the file of digest " + digest);
    options->n_fft = root["mdx_n_fft_scale_set"].as<int>();
    if (root["compensate"]) options->compensate = root["compensate"].as<double>();
    if (root["primary_stem"]) options->stem = root["primary_stem"].as<std::string>();
  } catch (const YAML::Exception& e) {
    return wrong("it can't be read: " + Printable(e.what()));
  }
  return {};
}

Result<Model> MakeMdxnet(O options, std::shared_ptr<const TensorMap> weights) {
  TIMBRE_CHECK(Check(options));
  return std::make_shared<const Mdxnet>(std::move(options), std::move(weights));
}

Result<Model> LoadMdxnet(const std::string& path, const std::string& config, const MdxnetGiven& given) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  TIMBRE_TRY(const std::string digest, Md5(Tail(bytes.text())));
  TIMBRE_TRY(const OnnxGraph graph, ReadOnnx(bytes));
  auto weights = std::make_shared<TensorMap>();
  TIMBRE_TRY(O options, MdxnetFromOnnx(graph, weights.get()));
  TIMBRE_CHECK(CheckValues(*weights));
  std::error_code error;
  std::string data = config;
  const std::string beside = fs::path(path).replace_extension(".model_data.json").string();
  if (data.empty() && fs::is_regular_file(beside, error)) data = beside;
  if (!data.empty()) {
    TIMBRE_TRY(const SharedBytes text, MapFile(data));
    const Status read = ReadMdxnetData(std::string(text.text()), digest, &options);
    if (!read) return Prefix(read.error(), data);
  } else if (const MdxnetRow* row = FindMdxnetRow(digest)) {
    options.n_fft = row->n_fft;
    options.compensate = row->compensate;
    options.stem = row->stem;
  } else if (!given.n_fft) {
    return Fail(ErrorCode::kUnsupported,
                "this MDX-Net is in no table that says the length of its transform; say it with --n-fft (6144 and 7680 "
                "are the usual ones, --primary-stem and --compensate the rest), or put it into '" +
                    beside +
                    "', as {\"mdx_n_fft_scale_set\": 6144, \"compensate\": 1.0, \"primary_stem\": \"Vocals\"}, or name "
                    "such a file with --config");
  }
  options.n_fft = given.n_fft.value_or(options.n_fft);
  options.compensate = given.compensate.value_or(options.compensate);
  if (!given.stem.empty()) options.stem = given.stem;
  options.denoise = given.denoise;
  return MakeMdxnet(std::move(options), std::move(weights));
}

}  // namespace timbre
