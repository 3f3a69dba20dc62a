#include "pipelines/drums/drums_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>

#include "base/suggest.h"

namespace timbre {
namespace {

constexpr std::string_view kDefault =
#include "drums_yaml.inc"
    ;
constexpr size_t kLargestFile = 256 * 1024;
constexpr size_t kMostNodes = 20000;
constexpr size_t kDeepest = 8;
constexpr size_t kMostStems = 32, kMostVoices = 32, kMostDucking = 64, kMostTicks = 30000;

tl::unexpected<Error> Wrong(std::string_view path, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, std::string(path) + " " + std::string(what) + ".");
}

// Aliases let a small file describe a huge tree; everything that is walked later is counted here first.
Status CheckSize(const YAML::Node& node, size_t depth, size_t& count) {
  if (depth > kDeepest)
    return Fail(ErrorCode::kInvalidArgument, "it is nested deeper than any entry of docs/drums.yaml.");
  if (++count > kMostNodes) return Fail(ErrorCode::kInvalidArgument, "it has more than 20000 values.");
  if (node.IsSequence()) {
    for (const auto& item : node) TIMBRE_CHECK(CheckSize(item, depth + 1, count));
  } else if (node.IsMap()) {
    for (const auto& item : node) {
      if (!item.first.IsScalar()) return Fail(ErrorCode::kInvalidArgument, "a key is not a plain name.");
      TIMBRE_CHECK(CheckSize(item.second, depth + 1, count));
    }
  }
  return {};
}

Result<YAML::Node> Parse(std::string_view text) {
  if (text.size() > kLargestFile) return Fail(ErrorCode::kInvalidArgument, "it is larger than 256 KiB.");
  try {
    YAML::Node node = YAML::Load(std::string(text));
    size_t count = 0;
    TIMBRE_CHECK(CheckSize(node, 0, count));
    return node;
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kInvalidArgument, "it is not valid YAML at line " + std::to_string(e.mark.line + 1) +
                                                 ", column " + std::to_string(e.mark.column + 1) + ": " + e.msg + ".");
  }
}

// `over` over `base`: maps entry by entry, everything else replaced; null takes an entry away. Entries new to `voices`
// go in front, where they are tried before those already there.
YAML::Node Merge(const YAML::Node& base, const YAML::Node& over, bool in_front) {
  if (!base.IsMap() || !over.IsMap()) return over;
  YAML::Node result(YAML::NodeType::Map);
  auto add_new = [&] {
    for (const auto& item : over) {
      if (!base[item.first.Scalar()] && !item.second.IsNull()) result[item.first.Scalar()] = item.second;
    }
  };
  if (in_front) add_new();
  for (const auto& item : base) {
    const std::string& key = item.first.Scalar();
    const YAML::Node changed = over[key];
    if (!changed) {
      result[key] = item.second;
    } else if (!changed.IsNull()) {
      result[key] = Merge(item.second, changed, key == "voices");
    }
  }
  if (!in_front) add_new();
  return result;
}

// Reads one map: every entry is asked for by name, and those that nobody asked for are errors.
class MapReader {
 public:
  MapReader(const YAML::Node& node, std::string path) : node_(node), path_(std::move(path)) {}

  Status IsMap() const { return node_.IsMap() ? Status() : Wrong(path_, "must be a map of names to values"); }
  std::string At(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  YAML::Node Take(const std::string& key) {
    known_.push_back(key);
    return std::as_const(node_)[key];
  }

  Result<double> Number(const std::string& key, double min, double max) {
    const YAML::Node node = Take(key);
    if (!node) return Wrong(At(key), "is missing");
    return ToNumber(node, At(key), min, max);
  }
  static Result<double> ToNumber(const YAML::Node& node, const std::string& path, double min, double max) {
    double value = 0;
    if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || std::isnan(value)) {
      return Wrong(path, "must be a number");
    }
    if (value < min || value > max) {
      return Wrong(path, "is " + node.Scalar() + ", but must be from " + Text(min) + " to " + Text(max));
    }
    return value;
  }
  Result<int> Integer(const std::string& key, int min, int max) {
    TIMBRE_TRY(const double value, Number(key, min, max));
    if (value != std::floor(value)) return Wrong(At(key), "must be a whole number");
    return static_cast<int>(value);
  }
  Result<std::string> Word(const std::string& key) {
    const YAML::Node node = Take(key);
    if (!node) return Wrong(At(key), "is missing");
    if (!node.IsScalar() || node.Scalar().empty()) return Wrong(At(key), "must be a word");
    return node.Scalar();
  }
  // Call when everything known has been taken.
  Status NoOthers() const {
    for (const auto& item : node_) {
      const std::string& key = item.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        return Fail(ErrorCode::kInvalidArgument, "there is no entry " + At(key) + "." + SuggestionFor(key, known_));
      }
    }
    return {};
  }
  const YAML::Node& node() const { return node_; }
  const std::string& path() const { return path_; }

 private:
  static std::string Text(double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }
  YAML::Node node_;
  std::string path_;
  std::vector<std::string> known_;
};

Result<std::vector<DrumCondition>> ReadConditions(const YAML::Node& node, const std::string& path,
                                                  std::string_view except = {}) {
  std::vector<DrumCondition> conditions;
  if (!node.IsMap()) return Wrong(path, "must be a map of features to {min: …, max: …}");
  for (const auto& item : node) {
    const std::string& key = item.first.Scalar();
    if (key == except) continue;
    std::string here = path;
    here.append(".").append(key);
    const int feature = OnsetFeatureIndex(key);
    if (feature < 0) {
      std::vector<std::string> names;
      names.reserve(kOnsetFeatures);
      for (int i = 0; i < kOnsetFeatures; ++i) names.emplace_back(OnsetFeatureName(static_cast<OnsetFeature>(i)));
      return Fail(ErrorCode::kInvalidArgument,
                  here.append(" is no feature of a hit.").append(SuggestionFor(key, names)));
    }
    DrumCondition condition{.feature = static_cast<OnsetFeature>(feature)};
    MapReader reader(item.second, here);
    TIMBRE_CHECK(reader.IsMap());
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (const YAML::Node min = reader.Take("min")) {
      TIMBRE_TRY(condition.min, MapReader::ToNumber(min, reader.At("min"), -kInfinity, kInfinity));
    }
    if (const YAML::Node max = reader.Take("max")) {
      TIMBRE_TRY(condition.max, MapReader::ToNumber(max, reader.At("max"), -kInfinity, kInfinity));
    }
    TIMBRE_CHECK(reader.NoOthers());
    conditions.push_back(condition);
  }
  return conditions;
}

Result<DrumStemRules> ReadStem(const YAML::Node& node, const std::string& name, const std::string& path) {
  MapReader reader(node, path);
  TIMBRE_CHECK(reader.IsMap());
  DrumStemRules rules;
  rules.name = name;
  if (const YAML::Node aliases = reader.Take("aliases")) {
    if (!aliases.IsSequence()) return Wrong(reader.At("aliases"), "must be a list of names");
    for (const auto& alias : aliases) {
      if (!alias.IsScalar()) return Wrong(reader.At("aliases"), "must be a list of names");
      rules.aliases.push_back(alias.Scalar());
    }
  }
  const YAML::Node band = reader.Take("band");
  if (!band || !band.IsSequence() || band.size() != 2) return Wrong(reader.At("band"), "must be [low, high] in Hz");
  TIMBRE_TRY(rules.low_hz, MapReader::ToNumber(band[0], reader.At("band"), 10, 20000));
  TIMBRE_TRY(rules.high_hz, MapReader::ToNumber(band[1], reader.At("band"), 10, 20000));
  if (rules.low_hz >= rules.high_hz) return Wrong(reader.At("band"), "must begin below its end");
  TIMBRE_TRY(rules.pick.threshold, reader.Number("threshold", 0, 10));
  TIMBRE_TRY(rules.pick.gap_ms, reader.Number("gap_ms", 10, 1000));
  TIMBRE_TRY(rules.offset_ms, reader.Number("offset_ms", -1000, 1000));
  TIMBRE_TRY(const std::string beat, reader.Word("beat"));
  if (beat != "low" && beat != "back" && beat != "other") return Wrong(reader.At("beat"), "must be low, back or other");
  rules.role = beat == "low" ? BeatRole::kLow : beat == "back" ? BeatRole::kBack : BeatRole::kOther;

  if (const YAML::Node keep = reader.Take("keep")) {
    TIMBRE_TRY(rules.keep, ReadConditions(keep, reader.At("keep")));
  }
  const YAML::Node voices = reader.Take("voices");
  if (!voices || !voices.IsMap() || voices.size() == 0 || voices.size() > kMostVoices) {
    return Wrong(reader.At("voices"), "must be a map of 1 to 32 names");
  }
  for (const auto& item : voices) {
    DrumVoice voice{.name = item.first.Scalar()};
    MapReader inner(item.second, reader.At("voices") + "." + voice.name);
    TIMBRE_CHECK(inner.IsMap());
    TIMBRE_TRY(voice.note, inner.Integer("note", 0, 127));
    TIMBRE_TRY(voice.conditions, ReadConditions(item.second, inner.path(), "note"));
    rules.voices.push_back(std::move(voice));
  }
  if (const YAML::Node pitch = reader.Take("pitch")) {
    MapReader inner(pitch, reader.At("pitch"));
    TIMBRE_CHECK(inner.IsMap());
    TIMBRE_TRY(rules.pitch_semitones, inner.Number("semitones", 0.5, 12));
    TIMBRE_TRY(rules.pitch_low_hz, inner.Number("low_hz", 20, 1000));
    TIMBRE_TRY(rules.pitch_high_hz, inner.Number("high_hz", rules.pitch_low_hz, 1000));
    TIMBRE_CHECK(inner.NoOthers());
  }
  MapReader velocity(reader.Take("velocity"), reader.At("velocity"));
  TIMBRE_CHECK(velocity.IsMap());
  TIMBRE_TRY(rules.velocity_min, velocity.Integer("min", 1, 127));
  TIMBRE_TRY(rules.velocity_max, velocity.Integer("max", rules.velocity_min, 127));
  TIMBRE_TRY(rules.velocity_range_db, velocity.Number("range_db", 1, 100));
  TIMBRE_CHECK(velocity.NoOthers());
  TIMBRE_CHECK(reader.NoOthers());
  return rules;
}

// "auto" is none: the onsets say.
Result<std::optional<Metre>> ReadMetre(const YAML::Node& node) {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  if (text == "auto") return std::optional<Metre>();
  for (const Metre& metre : {Metre{2, 4}, Metre{3, 4}, Metre{4, 4}, Metre{6, 8}, Metre{12, 8}}) {
    if (text == std::to_string(metre.notes) + "/" + std::to_string(metre.unit)) return std::optional<Metre>(metre);
  }
  return Fail(ErrorCode::kInvalidArgument, "tempo.metre must be one of auto, 2/4, 3/4, 4/4, 6/8 and 12/8.");
}

Result<DrumDucking> ReadDucking(const YAML::Node& node, const std::string& path) {
  MapReader reader(node, path);
  TIMBRE_CHECK(reader.IsMap());
  DrumDucking entry;
  TIMBRE_TRY(entry.stem, reader.Word("stem"));
  TIMBRE_TRY(entry.by, reader.Word("by"));
  TIMBRE_TRY(entry.options.threshold_db, reader.Number("threshold_db", -100, 0));
  TIMBRE_TRY(entry.options.ratio, reader.Number("ratio", 1, 1000));
  TIMBRE_TRY(entry.options.attack_ms, reader.Number("attack_ms", 0, 1000));
  TIMBRE_TRY(entry.options.release_ms, reader.Number("release_ms", 0, 10000));
  TIMBRE_TRY(entry.options.knee_db, reader.Number("knee_db", 0, 60));
  TIMBRE_TRY(entry.options.mix, reader.Number("mix", 0, 1));
  TIMBRE_CHECK(reader.NoOthers());
  if (entry.stem == entry.by) return Wrong(path, "ducks a stem by itself");
  return entry;
}

Result<DrumsConfig> Read(const YAML::Node& root) {
  MapReader reader(root, "");
  TIMBRE_CHECK(reader.IsMap());
  DrumsConfig config;
  MapReader stems(reader.Take("stems"), "stems");
  TIMBRE_CHECK(stems.IsMap());
  if (stems.node().size() > kMostStems) return Wrong("stems", "has more than 32 entries");
  std::set<std::string> names;
  std::vector<std::string> known;
  for (const auto& item : stems.node()) {
    const std::string name = item.first.Scalar();
    if (item.second.IsMap() && !item.second["band"]) {
      return Fail(
          ErrorCode::kInvalidArgument,
          "stems." + name + " is a new stem, which needs a band and all other entries." + SuggestionFor(name, known));
    }
    TIMBRE_TRY(DrumStemRules rules, ReadStem(item.second, name, "stems." + name));
    known.push_back(name);
    rules.aliases.push_back(name);
    for (const std::string& alias : rules.aliases) {
      if (!names.insert(alias).second)
        return Wrong("stems." + name, "has the name '" + alias + "', which another stem has as well");
    }
    rules.aliases.pop_back();
    config.stems.push_back(std::move(rules));
  }
  if (const YAML::Node ducking = reader.Take("ducking")) {
    if (!ducking.IsSequence() || ducking.size() > kMostDucking)
      return Wrong("ducking", "must be a list of at most 64 entries");
    for (size_t i = 0; i < ducking.size(); ++i) {
      TIMBRE_TRY(DrumDucking entry, ReadDucking(ducking[i], "ducking[" + std::to_string(i) + "]"));
      for (const std::string& name : {entry.stem, entry.by}) {
        if (config.Find(name) == nullptr) {
          return Fail(ErrorCode::kInvalidArgument, "ducking[" + std::to_string(i) + "] names the stem '" + name +
                                                       "', which does not exist." + SuggestionFor(name, known));
        }
      }
      config.ducking.push_back(std::move(entry));
    }
  }
  MapReader tempo(reader.Take("tempo"), "tempo");
  TIMBRE_CHECK(tempo.IsMap());
  TIMBRE_TRY(config.tempo.min_bpm, tempo.Number("min_bpm", 30, 400));
  TIMBRE_TRY(config.tempo.max_bpm, tempo.Number("max_bpm", config.tempo.min_bpm, 400));
  TIMBRE_TRY(config.tempo.prior_bpm, tempo.Number("prior_bpm", 30, 400));
  if (tempo.node()["beats_per_bar"]) {
    return Fail(ErrorCode::kInvalidArgument,
                "tempo.beats_per_bar is now tempo.metre: 3/4 for three, auto for what the hits say.");
  }
  TIMBRE_TRY(config.tempo.metre, ReadMetre(tempo.Take("metre")));
  TIMBRE_CHECK(tempo.NoOthers());
  MapReader midi(reader.Take("midi"), "midi");
  TIMBRE_CHECK(midi.IsMap());
  TIMBRE_TRY(config.midi_channel, midi.Integer("channel", 1, 16));
  TIMBRE_TRY(config.ticks_per_beat, midi.Integer("ticks_per_beat", 24, kMostTicks));
  TIMBRE_TRY(config.note_ms, midi.Number("note_ms", 1, 10000));
  TIMBRE_CHECK(midi.NoOthers());
  TIMBRE_CHECK(reader.NoOthers());
  return config;
}

// "a.b.c=value" as the YAML it stands for.
Result<YAML::Node> ParseSetting(const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Fail(ErrorCode::kInvalidArgument, "a setting is written path.to.entry=value.");
  }
  TIMBRE_TRY(YAML::Node node, Parse(setting.substr(equals + 1)));
  std::string path = setting.substr(0, equals);
  size_t depth = 0;
  while (true) {
    const size_t dot = path.rfind('.');
    const std::string key = dot == std::string::npos ? path : path.substr(dot + 1);
    if (key.empty() || ++depth > kDeepest) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + setting.substr(0, equals) + "' is no path of names with dots between.");
    }
    YAML::Node outer(YAML::NodeType::Map);
    outer[key] = node;
    node.reset(outer);
    if (dot == std::string::npos) return node;
    path.resize(dot);
  }
}

}  // namespace

const DrumStemRules* DrumsConfig::Find(std::string_view stem) const {
  for (const DrumStemRules& rules : stems) {
    if (rules.name == stem || std::find(rules.aliases.begin(), rules.aliases.end(), stem) != rules.aliases.end())
      return &rules;
  }
  return nullptr;
}

Result<DrumsConfig> ParseDrumsConfig(std::string_view yaml, std::string_view name,
                                     std::span<const std::string> settings) {
  try {
    YAML::Node mine;
    if (!yaml.empty()) {
      auto parsed = Parse(yaml);
      if (!parsed) return Prefix(std::move(parsed).error(), name);
      mine.reset(*parsed);
      if (!mine.IsNull() && !mine.IsMap()) {
        return Fail(ErrorCode::kInvalidArgument, std::string(name) + ": it must be a map like docs/drums.yaml.");
      }
    }
    TIMBRE_TRY(YAML::Node root, Parse(kDefault));
    if (mine.IsMap()) root.reset(Merge(root, mine, false));
    // Read after each step, so that an error names the step that made it.
    auto config = Read(root);
    if (!config) return Prefix(std::move(config).error(), name);
    for (const std::string& setting : settings) {
      auto over = ParseSetting(setting);
      if (!over) return Prefix(std::move(over).error(), "--set " + setting);
      root.reset(Merge(root, *over, false));
      config = Read(root);
      if (!config) return Prefix(std::move(config).error(), "--set " + setting);
    }
    return config;
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kInvalidArgument, std::string(name) + ": " + e.msg + ".");
  }
}

std::string_view DefaultDrumsConfig() { return kDefault; }

std::vector<std::string> JoinDrumSettings(std::span<const std::string> pieces) {
  std::vector<std::string> settings;
  for (const std::string& piece : pieces) {
    const size_t equals = piece.find('='), brace = piece.find_first_of("{}[]:\"' ");
    if (settings.empty() || (equals != std::string::npos && equals < brace)) {
      settings.push_back(piece);
    } else {
      settings.back() += "," + piece;
    }
  }
  return settings;
}

Result<DrumsConfig> LoadDrumsConfig(const std::string& file, std::span<const std::string> settings) {
  std::string text;
  if (!file.empty()) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return Fail(ErrorCode::kNotFound, file + ": the configuration cannot be opened.");
    text.resize(kLargestFile + 1);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return Fail(ErrorCode::kIo, file + ": the configuration cannot be read.");
    text.resize(static_cast<size_t>(in.gcount()));
  }
  return ParseDrumsConfig(text, file, settings);
}

}  // namespace timbre
