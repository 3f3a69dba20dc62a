#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>

#include "base/text.h"
#include "formats/checkpoint.h"
#include "models/separate/htdemucs.h"

namespace timbre {
namespace {

Status Bounded(const char* name, double value, double lo, double hi) {
  if (value >= lo && value <= hi) return {};
  char text[160];
  std::snprintf(text, sizeof text, "the option '%s' of the network is %g, which is not within [%g, %g]", name, value,
                lo, hi);
  return Fail(ErrorCode::kUnsupported, text);
}

using O = HtdemucsOptions;

// The value of an option, from a package or from a YAML file. Each part is empty where the value is of another kind.
struct Option {
  bool none = false;
  std::optional<bool> flag;
  std::optional<int64_t> integer;
  std::optional<double> number;
  std::optional<std::string> text;
  std::optional<std::vector<std::string>> texts;
  size_t items = 0;       // of a list
  std::string_view kind;  // for messages
};

Option OptionOf(const PickleValue& value) {
  return {value.is_none(), value.Bool(),    value.Int(),  value.Number(),
          value.String(),  value.Strings(), value.size(), NameOf(value.kind())};
}

// As Python's YAML readers take it: words without quotes may be null, a truth or a number.
Option OptionOf(const YAML::Node& node) {
  Option option;
  option.kind = "value of another kind";
  if (node.IsNull()) {
    option.none = true;
  } else if (node.IsSequence()) {
    option.kind = "list";
    option.items = node.size();
    std::vector<std::string> texts;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) return option;
      texts.push_back(item.Scalar());
    }
    option.texts = std::move(texts);
  } else if (node.IsScalar()) {
    const std::string& text = node.Scalar();
    option.kind = "text";
    option.text = text;
    if (node.Tag() == "!") return option;  // in quotes
    if (text == "true" || text == "True" || text == "TRUE") option.flag = true;
    if (text == "false" || text == "False" || text == "FALSE") option.flag = false;
    int64_t integer = 0;
    double number = 0;
    const char* const end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, integer); read.ec == std::errc() && read.ptr == end)
      option.integer = integer;
    if (const auto read = std::from_chars(text.data(), end, number); read.ec == std::errc() && read.ptr == end)
      option.number = number;
    // A fraction, as Demucs writes its segments.
    double below = 0;
    if (const size_t slash = text.find('/'); slash != std::string::npos) {
      const auto over = std::from_chars(text.data(), text.data() + slash, number);
      const auto under = std::from_chars(text.data() + slash + 1, end, below);
      if (over.ec == std::errc() && over.ptr == text.data() + slash && under.ec == std::errc() && under.ptr == end &&
          below != 0)
        option.number = number / below;
    }
  }
  return option;
}

// How an option of the constructor is read. False where the value's type is not what it must be.
struct Reader {
  std::string_view name;
  bool (*read)(O& o, const Option& value);
};

template <auto kMember>
bool ReadInt(O& o, const Option& value) {
  const auto number = value.integer;
  if (!number || *number < INT32_MIN || *number > INT32_MAX) return false;
  o.*kMember = static_cast<int>(*number);
  return true;
}
template <auto kMember>
bool ReadNumber(O& o, const Option& value) {
  if (value.number) o.*kMember = *value.number;
  return value.number.has_value();
}
// Python's truth of a bool or an int.
std::optional<int64_t> Truth(const Option& value) {
  if (value.flag) return *value.flag ? 1 : 0;
  if (value.none) return 0;
  return value.integer;
}
template <auto kMember>
bool ReadBool(O& o, const Option& value) {
  const auto truth = Truth(value);
  if (truth) o.*kMember = *truth != 0;
  return truth.has_value();
}
template <auto kMember>
bool ReadGroups(O& o, const Option& value) {
  const auto truth = Truth(value);
  if (!truth || *truth < 0 || *truth > 1 << 16) return false;
  o.*kMember = static_cast<int>(*truth);
  return true;
}
bool ReadSources(O& o, const Option& value) {
  if (!value.texts) return false;
  o.sources = *value.texts;
  return true;
}

constexpr Reader kReaders[] = {
    {"sources", ReadSources},
    {"audio_channels", ReadInt<&O::audio_channels>},
    {"channels", ReadInt<&O::channels>},
    {"growth", ReadInt<&O::growth>},
    {"depth", ReadInt<&O::depth>},
    {"nfft", ReadInt<&O::nfft>},
    {"rewrite", ReadBool<&O::rewrite>},
    {"freq_emb", ReadNumber<&O::freq_emb>},
    {"emb_scale", ReadNumber<&O::emb_scale>},
    {"kernel_size", ReadInt<&O::kernel_size>},
    {"stride", ReadInt<&O::stride>},
    {"context", ReadInt<&O::context>},
    {"context_enc", ReadInt<&O::context_enc>},
    {"norm_starts", ReadInt<&O::norm_starts>},
    {"norm_groups", ReadInt<&O::norm_groups>},
    {"dconv_mode", ReadInt<&O::dconv_mode>},
    {"dconv_depth", ReadInt<&O::dconv_depth>},
    {"dconv_comp", ReadNumber<&O::dconv_comp>},
    {"bottom_channels", ReadInt<&O::bottom_channels>},
    {"t_layers", ReadInt<&O::t_layers>},
    {"t_heads", ReadInt<&O::t_heads>},
    {"t_hidden_scale", ReadNumber<&O::t_hidden_scale>},
    {"t_norm_in", ReadBool<&O::t_norm_in>},
    {"t_norm_in_group", ReadGroups<&O::t_norm_in_group>},
    {"t_group_norm", ReadGroups<&O::t_group_norm>},
    {"t_norm_first", ReadBool<&O::t_norm_first>},
    {"t_norm_out", ReadBool<&O::t_norm_out>},
    {"t_max_period", ReadNumber<&O::t_max_period>},
    {"t_weight_pos_embed", ReadNumber<&O::t_weight_pos_embed>},
    {"t_layer_scale", ReadBool<&O::t_layer_scale>},
    {"t_gelu", ReadBool<&O::t_gelu>},
    {"t_cross_first", ReadBool<&O::t_cross_first>},
    {"samplerate", ReadInt<&O::samplerate>},
    {"segment", ReadNumber<&O::segment>},
    {"use_train_segment", ReadBool<&O::use_train_segment>},
};

// Read by training only, or of no effect where the options below have the one value that is supported.
constexpr std::string_view kIgnored[] = {
    "end_iters",
    "wiener_residual",
    "multi_freqs_depth",
    "emb_smooth",
    "time_stride",
    "dconv_init",
    "t_dropout",
    "t_max_positions",
    "t_weight_decay",
    "t_lr",
    "t_cape_augment",
    "t_cape_mean_normalize",
    "t_cape_glob_loc_scale",
    "t_mask_type",
    "t_mask_random_seed",
    "t_sparse_attn_window",
    "t_global_window",
    "t_sparsity",
    "t_auto_sparsity",
    "rescale",
};

// Options of which no released model uses another value than this.
struct Fixed {
  std::string_view name, what;
  bool (*is)(const Option& value);
};
constexpr Fixed kFixed[] = {
    {"wiener_iters", "0", [](const Option& v) { return v.integer == 0; }},
    {"cac", "True", [](const Option& v) { return Truth(v).value_or(0) != 0; }},
    {"channels_time", "None", [](const Option& v) { return v.none; }},
    {"multi_freqs", "empty", [](const Option& v) { return v.none || (v.texts && v.items == 0); }},
    {"t_emb", "'sin'", [](const Option& v) { return v.text == "sin"; }},
    {"t_sin_random_shift", "0", [](const Option& v) { return v.integer == 0; }},
    {"t_sparse_self_attn", "False", [](const Option& v) { return Truth(v) == 0; }},
    {"t_sparse_cross_attn", "False", [](const Option& v) { return Truth(v) == 0; }},
};

Status ReadOption(O& o, const std::string& name, const Option& value) {
  for (const Reader& reader : kReaders) {
    if (reader.name != name) continue;
    if (reader.read(o, value)) return {};
    return Fail(ErrorCode::kCorrupt, "the option '" + name + "' of the network is a " + std::string(value.kind) +
                                         " and not what it must be");
  }
  for (const Fixed& fixed : kFixed) {
    if (fixed.name != name) continue;
    if (fixed.is(value)) return {};
    return Fail(ErrorCode::kUnsupported, "the option '" + name + "' of the network is not " + std::string(fixed.what) +
                                             "; no released model needs that");
  }
  for (const std::string_view ignored : kIgnored) {
    if (ignored == name) return {};
  }
  return Fail(ErrorCode::kUnsupported, "the network has an option '" + Printable(name) + "' that is not known");
}

}  // namespace

HtdemucsOptions HtdemucsOptions::Released() {
  HtdemucsOptions o;
  o.bottom_channels = 512;
  o.dconv_mode = 3;
  o.segment = 39.0 / 5.0;
  return o;
}

int64_t HtdemucsOptions::training_samples() const {
  // The checkpoint states the segment as a fraction; the small term makes up for its rounding to double.
  return static_cast<int64_t>(std::floor(segment * samplerate + 1e-6));
}

Status CheckHtdemucs(const HtdemucsOptions& o) {
  const struct {
    const char* name;
    double value, lo, hi;
  } bounds[] = {
      {"sources", double(o.sources.size()), 1, 64},
      {"audio_channels", double(o.audio_channels), 1, 8},
      {"channels", double(o.channels), 4, 1024},
      {"growth", double(o.growth), 1, 8},
      {"depth", double(o.depth), 1, 8},
      {"nfft", double(o.nfft), 16, 1 << 16},
      {"emb_scale", double(o.emb_scale), -1e6, 1e6},
      {"freq_emb", double(o.freq_emb), 0, 1e6},
      {"kernel_size", double(o.kernel_size), 4, 64},
      {"stride", double(o.stride), 2, 32},
      {"context", double(o.context), 0, 16},
      {"context_enc", double(o.context_enc), 0, 16},
      {"norm_starts", double(o.norm_starts), 0, 1000},
      {"norm_groups", double(o.norm_groups), 1, 1024},
      {"dconv_mode", double(o.dconv_mode), 0, 3},
      {"dconv_depth", double(o.dconv_depth), -8, 8},
      {"dconv_comp", double(o.dconv_comp), 1, 1024},
      {"bottom_channels", double(o.bottom_channels), 0, 8192},
      {"t_layers", double(o.t_layers), 0, 64},
      {"t_heads", double(o.t_heads), 1, 256},
      {"t_hidden_scale", double(o.t_hidden_scale), 0.01, 64},
      {"t_norm_in_group", double(o.t_norm_in_group), 0, 1024},
      {"t_group_norm", double(o.t_group_norm), 0, 1024},
      {"t_max_period", double(o.t_max_period), 1, 1e9},
      {"t_weight_pos_embed", double(o.t_weight_pos_embed), -1e6, 1e6},
      {"samplerate", double(o.samplerate), 1000, 384000},
      {"segment", double(o.segment), 0.01, 120},
  };
  for (const auto& b : bounds) TIMBRE_CHECK(Bounded(b.name, b.value, b.lo, b.hi));
  // The largest activation of each kind; a hostile checkpoint costs little room and asks for much.
  const int hop = o.nfft / 4;
  const double frames = o.segment * o.samplerate / hop, features = double(o.sources.size()) * o.audio_channels;
  double largest = std::max(frames * o.nfft * features, o.segment * o.samplerate * features);
  int64_t channels = o.channels, bins = o.nfft / 2, steps = o.training_samples();
  for (int i = 0; i < o.depth; ++i) {
    if (bins <= o.kernel_size || bins % o.stride != 0) {
      return Fail(ErrorCode::kUnsupported, "the network's depth of " + std::to_string(o.depth) +
                                               " leaves too few of the " + std::to_string(o.nfft / 2) +
                                               " frequencies for its stride");
    }
    bins /= o.stride;
    steps = steps / o.stride + 1;
    if (i > 0) channels *= o.growth;
    largest = std::max({largest, 2.0 * channels * bins * frames, 2.0 * channels * steps});
  }
  const int64_t width = o.bottom_channels ? o.bottom_channels : channels;
  if (o.nfft % 8 != 0 || o.kernel_size != 2 * o.stride || o.stride % 2 != 0) {
    return Fail(ErrorCode::kUnsupported,
                "the network's kernel_size must be twice its even stride, and nfft a multiple of 8");
  }
  if (channels > 16384 || o.channels / o.dconv_comp < 1) {
    return Fail(ErrorCode::kUnsupported, "the network's channels, growth and dconv_comp do not fit together");
  }
  if (o.t_layers > 0) {
    largest = std::max(largest, std::max(1.0, o.t_hidden_scale) * width * std::max<double>(frames * bins, steps));
  }
  if (largest > 1 << 28) {
    return Fail(ErrorCode::kUnsupported, "the network's options make activations of more than a gigabyte");
  }
  if (o.t_layers > 0 && (width % o.t_heads != 0 || width % 4 != 0)) {
    return Fail(ErrorCode::kUnsupported, "the transformer's width of " + std::to_string(width) +
                                             " cannot be divided among " + std::to_string(o.t_heads) + " heads");
  }
  return {};
}

Result<HtdemucsOptions> ReadHtdemucsOptions(const DemucsPackage& package) {
  if (package.klass != "demucs.htdemucs.HTDemucs") {
    return Fail(ErrorCode::kUnsupported, "the network is a " + Printable(package.klass) +
                                             "; of Demucs' networks only demucs.htdemucs.HTDemucs is supported");
  }
  HtdemucsOptions o;
  bool sources = false;
  if (package.args.size() > 1) {
    return Fail(ErrorCode::kUnsupported, "the network was made with options that are not named");
  }
  if (package.args.size() == 1) {
    TIMBRE_CHECK(ReadOption(o, "sources", OptionOf(package.args[0])));
    sources = true;
  }
  for (size_t i = 0; i < package.kwargs.size(); ++i) {
    const std::string name = package.kwargs.Key(i).String().value_or("");
    TIMBRE_CHECK(ReadOption(o, name, OptionOf(package.kwargs.Value(i))));
    sources |= name == "sources";
  }
  if (!sources) return Fail(ErrorCode::kCorrupt, "the checkpoint does not say which stems its network separates");
  TIMBRE_CHECK(CheckHtdemucs(o));
  return o;
}

namespace {

Result<Option> Wanted(const YAML::Node& section, const char* name) {
  const YAML::Node node = section[name];
  if (node.IsDefined() && !node.IsNull()) return OptionOf(node);
  return Fail(ErrorCode::kCorrupt, std::string("the configuration has no entry training.") + name);
}

// The channels of sound that the network takes, by the first layer of its branch over the waveform.
int64_t ChannelsOf(const TensorMap& weights) {
  const auto first = weights.find("tencoder.0.conv.weight");
  return first != weights.end() && first->second.shape.rank() == 3 ? first->second.shape[1] : 0;
}

Result<HtdemucsConfig> ReadConfig(const YAML::Node& root, const TensorMap& weights) {
  const auto is = [&](const char* name, YAML::NodeType::value type) {
    const YAML::Node node = root[name];
    return node.IsDefined() && node.Type() == type;
  };
  if (!root.IsMap() || !is("model", YAML::NodeType::Scalar) || root["model"].Scalar() != "htdemucs" ||
      !is("htdemucs", YAML::NodeType::Map) || !is("training", YAML::NodeType::Map)) {
    return Fail(ErrorCode::kUnsupported,
                "the configuration is not of an HTDemucs, which its weights are; it would say 'model: htdemucs' and "
                "have the sections htdemucs and training");
  }
  HtdemucsConfig config;
  O& o = config.network;
  const YAML::Node training = root["training"], network = root["htdemucs"];
  constexpr std::pair<const char*, const char*> kTraining[] = {
      {"instruments", "sources"}, {"samplerate", "samplerate"}, {"segment", "segment"}};
  for (const auto& [name, option] : kTraining) {
    TIMBRE_TRY(const Option value, Wanted(training, name));
    TIMBRE_CHECK(ReadOption(o, option, value));
  }
  if (training["channels"].IsDefined()) {
    TIMBRE_CHECK(ReadOption(o, "audio_channels", OptionOf(training["channels"])));
  }
  for (const auto& entry : network) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    // Of subbands the constructor knows nothing; it is in the trainer's files for another network.
    if (name != "num_subbands") TIMBRE_CHECK(ReadOption(o, name, OptionOf(entry.second)));
  }
  // Configurations have been seen with the network's width where the channels of sound belong. The weights know better.
  if (const int64_t channels = ChannelsOf(weights); channels >= 1 && channels <= 8) {
    o.audio_channels = static_cast<int>(channels);
  }
  TIMBRE_CHECK(CheckHtdemucs(o));
  config.tiling.normalise = false;
  if (const YAML::Node inference = root["inference"]; inference.IsDefined() && inference.IsMap()) {
    if (const YAML::Node overlap = inference["num_overlap"]; overlap.IsDefined()) {
      const std::optional<int64_t> chunks = OptionOf(overlap).integer;
      if (!chunks || *chunks < 1 || *chunks > 64) {
        return Fail(ErrorCode::kUnsupported,
                    "the configuration's inference.num_overlap is not a whole number from 1 to 64");
      }
      config.tiling.num_overlap = static_cast<int>(*chunks);
    }
    if (const YAML::Node normalise = inference["normalize"]; normalise.IsDefined()) {
      config.tiling.normalise = OptionOf(normalise).flag.value_or(false);
    }
  }
  return config;
}

}  // namespace

bool IsHtdemucs(const TensorMap& weights) {
  return weights.contains("encoder.0.conv.weight") && weights.contains("tencoder.0.conv.weight");
}

Result<HtdemucsConfig> ParseHtdemucsConfig(const std::string& yaml, const TensorMap& weights) {
  try {
    return ReadConfig(YAML::Load(yaml), weights);
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kCorrupt, "the configuration is not valid YAML: " + Printable(e.what()));
  }
}

}  // namespace timbre
