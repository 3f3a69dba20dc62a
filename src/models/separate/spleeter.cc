#include "models/separate/spleeter.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/mapped_file.h"
#include "base/text.h"
#include "dsp/window.h"
#include "formats/tarball.h"
#include "formats/tensor_bundle.h"
#include "formats/weight_values.h"
#include "graph/net.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using O = SpleeterOptions;
using Model = std::shared_ptr<const SeparationModel>;

constexpr int kLevels = 6;
constexpr int kChannels = 2;
constexpr int kKernel = 5, kMaskKernel = 4;
constexpr float kNormEps = 1e-3f;
constexpr float kSlope = 0.2f;
constexpr float kEpsilon = 1e-10f;  // of the shares, so that silence has some
constexpr size_t kMostStems = 16;
constexpr size_t kMostConfigBytes = 64 << 10;

int64_t TileSamples(const O& o) { return int64_t{o.frames - 1} * o.hop + o.n_fft; }

Status Check(const O& o) {
  const bool blocks = o.frames >= 64 && o.frames % 64 == 0 && o.frames <= 1 << 14;
  const bool bins = o.bins >= 64 && o.bins % 64 == 0 && o.bins <= o.n_fft / 2 + 1;
  const bool window = o.n_fft >= 64 && o.n_fft <= 1 << 16 && o.hop >= 1 && o.n_fft % o.hop == 0 && o.hop < o.n_fft;
  const bool filters = o.filters.size() == kLevels &&
                       std::all_of(o.filters.begin(), o.filters.end(), [](int f) { return f >= 1 && f <= 1 << 12; });
  if (blocks && bins && window && filters && !o.stems.empty() && o.stems.size() <= kMostStems && o.exponent >= 1 &&
      o.exponent <= 8 && o.sample_rate >= 1000 && o.sample_rate <= 384000) {
    return {};
  }
  return Fail(
      ErrorCode::kUnsupported,
      "the configuration's T and F must be multiples of 64, frame_length one of frame_step and at least twice F "
      "less 2, separation_exponent 1 to 8, and sample_rate 1000 to 384000");
}

// Pads as TensorFlow's "same" does where the stride divides the input: one before, two behind.
Value Down(const Net& n, Value x, int filters) {
  return n.Conv("", x, {.out = filters, .kernel = kKernel, .stride = 2, .pad = 1, .pad_hi = 2});
}
Value Up(const Net& n, Value x, int filters) {
  return n.ConvTranspose("", x, {.out = filters, .kernel = kKernel, .stride = 2, .pad = 1, .output_padding = -1});
}

// The logits of the mask [N, T, F, C] for magnitudes of the same shape.
Value UNet(const O& o, const Net& net, Value x) {
  const auto name = [](const char* part, int level) { return std::string(part) + std::to_string(level); };
  const auto up = [&](Value v) { return o.elu_up ? Elu(v) : Relu(v); };
  std::vector<Value> skips;
  for (int level = 1; level <= kLevels; ++level) {
    const Value c = Down(net / name("conv", level), x, o.filters[level - 1]);
    skips.push_back(c);  // what skips is the convolution's own result
    if (level == kLevels) break;
    x = net.BatchNorm(name("norm", level), c, kNormEps);
    x = o.elu_down ? Elu(x) : LeakyRelu(x, kSlope);
  }
  x = skips.back();
  for (int level = 1; level <= kLevels; ++level) {
    if (level > 1) x = Concat({skips[kLevels - level], x}, -1);
    const int filters = level < kLevels ? o.filters[kLevels - level - 1] : 1;
    x = net.BatchNorm(name("up_norm", level), up(Up(net / name("up", level), x, filters)), kNormEps);
  }
  return net.Conv("mask", x, {.out = kChannels, .kernel = kMaskKernel, .dilation = 2, .pad = 3});
}

Value Power(Value x, int exponent) {
  if (exponent == 1) return x;
  if (exponent == 2) return Unary(UnaryFn::kSquare, x);
  return Unary(UnaryFn::kPow, x, static_cast<float>(exponent));
}

// softmax(logits) over the instruments, which are tensors of their own.
std::vector<Value> SoftmaxOver(const std::vector<Value>& logits) {
  if (logits.size() == 1) return {Scale(logits[0], 0.0f, 1.0f)};
  Shape apart = logits[0].shape();
  apart.push_back(1);
  std::vector<Value> columns;
  columns.reserve(logits.size());
  for (const Value& logit : logits) columns.push_back(Reshape(logit, apart));
  const Value all = Softmax(Concat(columns, -1));
  std::vector<Value> masks;
  for (size_t k = 0; k < logits.size(); ++k) {
    const auto i = static_cast<int64_t>(k);
    masks.push_back(Reshape(Slice(all, 4, i, i + 1), logits[0].shape()));
  }
  return masks;
}

}  // namespace

Result<SpleeterOptions> ReleasedSpleeter(size_t stems) {
  O o;
  o.filters = {16, 32, 64, 128, 256, 512};
  o.elu_down = o.elu_up = stems != 2;
  o.softmax = stems == 5;
  switch (stems) {
    case 2: o.stems = {"vocals", "accompaniment"}; break;
    case 4: o.stems = {"vocals", "drums", "bass", "other"}; break;
    case 5: o.stems = {"vocals", "piano", "drums", "bass", "other"}; break;
    default:
      return Fail(ErrorCode::kUnsupported,
                  "this is a Spleeter of " + std::to_string(stems) +
                      " instruments, and only those of 2, 4 and 5 are known; put its base_config.json beside it");
  }
  return o;
}

Status ReadSpleeterConfig(std::string_view json, SpleeterOptions* options) {
  using Json = nlohmann::json;
  if (json.size() > kMostConfigBytes) return Fail(ErrorCode::kCorrupt, "base_config.json is larger than any real one");
  const Json config = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return Fail(ErrorCode::kCorrupt, "base_config.json is no JSON object");
  O o = *options;
  Status status;
  const auto wrong = [&](const char* name, const char* wanted) {
    if (status) status = Fail(ErrorCode::kCorrupt, std::string("base_config.json: '") + name + "' is not " + wanted);
  };
  const auto number = [&](const char* name, int64_t lo, int64_t hi, int* value) {
    const auto found = config.find(name);
    if (found == config.end()) return;
    const bool whole = found->is_number_integer() && !(found->is_number_unsigned() && *found > uint64_t{1} << 40);
    const int64_t read = whole ? found->get<int64_t>() : lo - 1;
    if (read < lo || read > hi) return wrong(name, "a whole number of a plausible size");
    *value = static_cast<int>(read);
  };
  int channels = kChannels;
  number("sample_rate", 1000, 384000, &o.sample_rate);
  number("frame_length", 64, 1 << 16, &o.n_fft);
  number("frame_step", 1, 1 << 16, &o.hop);
  number("T", 64, 1 << 14, &o.frames);
  number("F", 64, 1 << 15, &o.bins);
  number("n_channels", kChannels, kChannels, &channels);
  number("separation_exponent", 1, 8, &o.exponent);
  if (const auto list = config.find("instrument_list"); list != config.end()) {
    o.stems.clear();
    if (!list->is_array() || list->empty() || list->size() > kMostStems) wrong("instrument_list", "a list of names");
    for (const Json& name : *list) {
      if (!status) break;
      if (!name.is_string()) wrong("instrument_list", "a list of names");
      if (name.is_string()) o.stems.push_back(name.get<std::string>());
    }
  }
  if (const auto above = config.find("mask_extension"); above != config.end()) {
    o.average_above = *above == "average";
    if (*above != "average" && *above != "zeros") wrong("mask_extension", "zeros or average");
  }
  if (const auto model = config.find("model"); model != config.end() && model->is_object()) {
    const Json type = model->value("type", Json());
    o.softmax = type == "unet.softmax_unet";
    if (type != "unet.unet" && type != "unet.softmax_unet") {
      wrong("model.type", "unet.unet or unet.softmax_unet, the networks that are known");
    }
    const Json params = model->value("params", Json::object());
    o.elu_down = o.elu_up = false;
    if (params.is_object()) {
      const Json down = params.value("conv_activation", Json("LeakyReLU"));
      const Json up = params.value("deconv_activation", Json("ReLU"));
      o.elu_down = down == "ELU", o.elu_up = up == "ELU";
      if (down != "ELU" && down != "LeakyReLU") wrong("conv_activation", "ELU or LeakyReLU");
      if (up != "ELU" && up != "ReLU") wrong("deconv_activation", "ELU or ReLU");
    }
  }
  TIMBRE_CHECK(status);
  *options = std::move(o);
  return {};
}

Result<Graph> BuildSpleeter(const O& o, Weights& weights, int batch) {
  TIMBRE_CHECK(Check(o));
  if (batch < 1 || batch > 64) return Fail(ErrorCode::kInvalidArgument, "Spleeter takes 1 to 64 tiles at once");
  GraphBuilder b("spleeter", weights);
  const Net net(b);
  const int64_t all_bins = o.n_fft / 2 + 1, above = all_bins - o.bins;
  const Value window = b.Constant("window", {o.n_fft}, MakeWindow(WindowKind::kHann, static_cast<size_t>(o.n_fft)));
  const Value mix = b.Input("mix", {batch, TileSamples(o), kChannels});
  const Value spectrum = Stft(mix, window, {.n_fft = o.n_fft, .hop = o.hop});
  // Complex numbers as pairs.
  const auto pairs = [&](int64_t begin, int64_t end) {
    return Reshape(Slice(spectrum, 2, begin, end), {batch, o.frames, end - begin, kChannels, 2});
  };
  const Value seen = pairs(0, o.bins);
  const Value magnitude =
      Reshape(Sqrt(Reduce(ReduceFn::kSum, Unary(UnaryFn::kSquare, seen), {4})), {batch, o.frames, o.bins, kChannels});

  std::vector<Value> parts;
  for (size_t k = 0; k < o.stems.size(); ++k) parts.push_back(UNet(o, net / static_cast<int>(k), magnitude));
  if (o.softmax) {
    parts = SoftmaxOver(parts);
  } else {
    for (Value& part : parts) part = Sigmoid(part);
  }
  Value sum;
  for (Value& part : parts) {
    part = Power(part * magnitude, o.exponent);
    sum = sum.valid() ? sum + part : part;
  }
  sum = Scale(sum, 1.0f, kEpsilon);
  std::vector<Value> stems;
  for (const Value& part : parts) {
    const Value mask = Scale(part, 1.0f, kEpsilon / static_cast<float>(parts.size())) / sum;
    const Value apart = Reshape(mask, {batch, o.frames, o.bins, kChannels, 1});
    Value stem = Reshape(seen * apart, {batch, o.frames, o.bins, 2 * kChannels});
    if (o.average_above && above > 0) {
      const Value mean = Reshape(Reduce(ReduceFn::kMean, mask, {2}), {batch, o.frames, 1, kChannels, 1});
      const Value rest = pairs(o.bins, all_bins) * mean;
      stem = Concat({stem, Reshape(rest, {batch, o.frames, above, 2 * kChannels})}, 2);
    } else {
      stem = Pad(stem, 2, 0, above);
    }
    stems.push_back(
        Istft(stem, window, {.n_fft = o.n_fft, .hop = o.hop, .length = TileSamples(o), .normalize = false}));
  }
  b.Output("stems", Concat(stems, -1));
  return b.Finish();
}

namespace {

// "conv2d", "conv2d_1", …: layers of a kind in the order they were made in.
std::string Numbered(const char* kind, size_t index) {
  return index == 0 ? kind : std::string(kind) + "_" + std::to_string(index);
}

// A kernel [height, width, b, a] as [a, b, height, width].
HostTensor FeaturesFirst(const HostTensor& kernel) {
  const int64_t h = kernel.shape[0], w = kernel.shape[1], b = kernel.shape[2], a = kernel.shape[3];
  return HostTensor::Made({a, b, h, w}, [=](float* out) {
    const std::vector<float> stored = kernel.ToF32();
    kernel.ReleasePages();
    for (int64_t i = 0; i < a; ++i) {
      for (int64_t j = 0; j < b; ++j) {
        for (int64_t k = 0; k < h * w; ++k) out[(i * b + j) * h * w + k] = stored[(k * b + j) * a + i];
      }
    }
  });
}

// Takes tensors out of a bundle under other names, and knows which were asked for.
class Renamer {
 public:
  Renamer(const TensorMap& bundle, TensorMap* weights) : bundle_(bundle), weights_(weights) {}

  Status Kernel(const std::string& layer, const std::string& to) {
    const HostTensor* kernel = Find(layer + "/kernel");
    if (kernel == nullptr || kernel->shape.rank() != 4) return Missing(layer + "/kernel");
    (*weights_)[to + ".weight"] = FeaturesFirst(*kernel);
    return Vector(layer + "/bias", to + ".bias");
  }
  Status Norm(const std::string& layer, const std::string& to) {
    TIMBRE_CHECK(Vector(layer + "/gamma", to + ".weight"));
    TIMBRE_CHECK(Vector(layer + "/beta", to + ".bias"));
    TIMBRE_CHECK(Vector(layer + "/moving_mean", to + ".running_mean"));
    return Vector(layer + "/moving_variance", to + ".running_var");
  }
  void Leave(const std::string& layer) {
    for (const char* part : {"/gamma", "/beta", "/moving_mean", "/moving_variance"}) used_.insert(layer + part);
  }
  Status CheckAllUsed() const {
    for (const auto& [name, tensor] : bundle_) {
      if (!used_.contains(name) && name != "global_step") {
        return Fail(ErrorCode::kUnsupported, "the checkpoint's tensor '" + Printable(name) + "' is none of Spleeter's");
      }
    }
    return {};
  }

 private:
  const HostTensor* Find(const std::string& name) {
    const auto found = bundle_.find(name);
    if (found == bundle_.end()) return nullptr;
    used_.insert(name);
    return &found->second;
  }
  Status Vector(const std::string& from, const std::string& to) {
    const HostTensor* tensor = Find(from);
    if (tensor == nullptr || tensor->shape.rank() != 1) return Missing(from);
    (*weights_)[to] = *tensor;
    return {};
  }
  static Status Missing(const std::string& name) {
    return Fail(ErrorCode::kCorrupt, "the checkpoint has no '" + name + "' as Spleeter's has");
  }

  const TensorMap& bundle_;
  TensorMap* weights_;
  std::set<std::string> used_;
};

}  // namespace

Result<SpleeterOptions> FromSpleeterBundle(const TensorMap& bundle, TensorMap* weights) {
  constexpr size_t kConvs = kLevels + 1, kNorms = 2 * kLevels;
  size_t stems = 0;
  while (stems < kMostStems && bundle.contains(Numbered("conv2d", stems * kConvs) + "/kernel")) ++stems;
  if (stems == 0 || !bundle.contains("conv2d_transpose/kernel")) {
    return Fail(ErrorCode::kUnsupported,
                "this TensorFlow checkpoint is none of Spleeter's, the only ones of TensorFlow that are known");
  }
  O options;
  if (auto released = ReleasedSpleeter(stems)) options = *std::move(released);
  options.stems.resize(stems);
  options.filters.clear();
  Renamer names(bundle, weights);
  for (size_t k = 0; k < stems; ++k) {
    for (int level = 1; level <= kLevels; ++level) {
      const auto name = [&](const char* layer) { return fmt::format("{}.{}{}", k, layer, level); };
      const auto i = static_cast<size_t>(level - 1);
      TIMBRE_CHECK(names.Kernel(Numbered("conv2d", k * kConvs + i), name("conv")));
      TIMBRE_CHECK(names.Kernel(Numbered("conv2d_transpose", k * kLevels + i), name("up")));
      TIMBRE_CHECK(names.Norm(Numbered("batch_normalization", k * kNorms + kLevels + i), name("up_norm")));
      if (k == 0) {
        const int64_t filters = (*weights)[name("conv") + ".weight"].shape[0];
        options.filters.push_back(static_cast<int>(std::min<int64_t>(filters, 1 << 20)));
      }
      const std::string norm = Numbered("batch_normalization", k * kNorms + i);
      if (level == kLevels) {
        names.Leave(norm);  // of a result that nothing looks at
      } else {
        TIMBRE_CHECK(names.Norm(norm, name("norm")));
      }
    }
    TIMBRE_CHECK(names.Kernel(Numbered("conv2d", k * kConvs + kLevels), fmt::format("{}.mask", k)));
  }
  TIMBRE_CHECK(names.CheckAllUsed());
  return options;
}

namespace {

class Spleeter : public SeparationModel {
 public:
  Spleeter(O options, std::shared_ptr<const TensorMap> weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    info_.architecture = "spleeter";
    info_.sample_rate = options_.sample_rate;
    info_.channels = kChannels;
    info_.stems = options_.stems;
    info_.segment = info_.max_segment = static_cast<double>(TileSamples(options_)) / info_.sample_rate;
    const std::vector<float> window = MakeWindow(WindowKind::kHann, static_cast<size_t>(options_.n_fft));
    auto envelope = std::make_shared<std::vector<float>>(TileSamples(options_), 0.0f);
    for (int64_t k = 0; k < options_.frames; ++k) {
      for (int64_t i = 0; i < options_.n_fft; ++i) (*envelope)[k * options_.hop + i] += window[i] * window[i];
    }
    envelope_ = std::move(envelope);
    ones_ = std::make_shared<const std::vector<float>>(TileSamples(options_), 1.0f);
  }

  const SeparationInfo& info() const override { return info_; }

  // The reference transforms the whole track, with a window of zeros before it and as many behind it as the last frames
  // need, and cuts the frames into blocks. Here each block is a tile: its frames' samples, with the windows' sum as its
  // envelope. Frames of the last block that lie behind the track are zeros there and here.
  Result<TilePlan> Plan(int64_t length, const TilingOptions& tiling) const override {
    if (tiling.overlap >= 0 || (tiling.segment > 0 && tiling.segment != info_.segment)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "Spleeter's blocks are of one size and follow each other; leave --segment and --overlap out");
    }
    TilePlan plan;
    plan.length = length;
    plan.tile = TileSamples(options_);
    const int64_t step = int64_t{options_.frames} * options_.hop, before = options_.n_fft;
    for (int64_t start = 0; length > 0 && start < length + before; start += step) {
      const int64_t origin = start - before;  // the signal's sample under the tile's first
      Tile tile;
      tile.first = tile.begin = std::max<int64_t>(0, origin);
      tile.last = std::min(origin + plan.tile, length);
      tile.trim = tile.begin - origin;
      tile.length = tile.last - tile.begin;
      if (tile.length <= 0) continue;
      tile.input.push_back({.to = tile.trim, .from = tile.begin, .count = tile.length});
      tile.weight = ones_;
      tile.envelope = envelope_;
      tile.weight_begin = tile.trim;
      plan.tiles.push_back(std::move(tile));
    }
    return plan;
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    if (tile != TileSamples(options_)) {
      return Fail(ErrorCode::kInvalidArgument, "Spleeter's tiles have " + std::to_string(TileSamples(options_)) +
                                                   " samples, not " + std::to_string(tile));
    }
    const auto weights = WeightsFromMap(weights_);
    return BuildSpleeter(options_, *weights, batch);
  }

 private:
  O options_;
  std::shared_ptr<const TensorMap> weights_;
  std::shared_ptr<const std::vector<float>> ones_, envelope_;
  SeparationInfo info_;
};

struct Files {
  SharedBytes index, data;
  std::string config;  // empty: none
};

std::string DataName(const std::string& index) {
  return index.substr(0, index.size() - std::string(".index").size()) + ".data-00000-of-00001";
}

Result<Files> ReadFolder(const fs::path& index) {
  Files files;
  std::error_code error;
  TIMBRE_TRY(files.index, MapFile(index.string()));
  TIMBRE_TRY(files.data, MapFile(DataName(index.string())));
  const fs::path config = index.parent_path() / "base_config.json";
  if (fs::is_regular_file(config, error)) {
    TIMBRE_TRY(const SharedBytes text, MapFile(config.string()));
    files.config = text.text().substr(0, kMostConfigBytes + 1);
  }
  return files;
}

Result<Files> ReadArchive(const std::string& path) {
  TIMBRE_TRY(const auto members, ReadTarball(path));
  Files files;
  for (const auto& [name, bytes] : members) {
    if (!name.ends_with(".index")) continue;
    const auto data = members.find(DataName(name));
    if (data == members.end()) continue;
    files.index = bytes;
    files.data = data->second;
    const auto config = members.find(name.substr(0, name.rfind('/') + 1) + "base_config.json");
    if (config != members.end()) files.config = config->second.text().substr(0, kMostConfigBytes + 1);
    return files;
  }
  return Fail(ErrorCode::kUnsupported, "the archive holds no checkpoint of TensorFlow, as Spleeter's are");
}

}  // namespace

Result<Model> MakeSpleeter(O options, std::shared_ptr<const TensorMap> weights) {
  TIMBRE_CHECK(Check(options));
  return std::make_shared<const Spleeter>(std::move(options), std::move(weights));
}

Result<Model> LoadSpleeter(const std::string& path) {
  std::error_code error;
  const fs::path index = fs::is_directory(path, error) ? FindBundleIndex(path) : fs::path(path);
  if (index.empty()) return Fail(ErrorCode::kNotFound, "the folder holds no checkpoint of TensorFlow, or several");
  TIMBRE_TRY(const Files files, index.extension() == ".index" ? ReadFolder(index) : ReadArchive(path));
  TIMBRE_TRY(const TensorMap bundle, ReadTensorBundle(files.index, files.data));
  TIMBRE_CHECK(CheckValues(bundle));
  SettleMapped(files.data);
  auto weights = std::make_shared<TensorMap>();
  TIMBRE_TRY(O options, FromSpleeterBundle(bundle, weights.get()));
  const size_t stems = options.stems.size();
  if (files.config.empty()) {
    TIMBRE_TRY(const O released, ReleasedSpleeter(stems));
    options.stems = released.stems;
  } else {
    TIMBRE_CHECK(ReadSpleeterConfig(files.config, &options));
    if (options.stems.size() != stems) {
      return Fail(ErrorCode::kCorrupt, "base_config.json names " + std::to_string(options.stems.size()) +
                                           " instruments, and the checkpoint has " + std::to_string(stems));
    }
  }
  return MakeSpleeter(std::move(options), std::move(weights));
}

}  // namespace timbre
