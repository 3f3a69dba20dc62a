#include "pipelines/studio/mastering_chain.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "base/suggest.h"
#include "pipelines/studio/yaml_json.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPresets =
#include "presets_yaml.inc"
    ;
constexpr size_t kMostBands = 32;

FieldList BandFields(ChainBand& band) {
  return {ChoiceField("type", &band.type,
                      {{"highpass", BandType::kHighPass},
                       {"lowpass", BandType::kLowPass},
                       {"lowshelf", BandType::kLowShelf},
                       {"highshelf", BandType::kHighShelf},
                       {"peak", BandType::kPeak}},
                      "of the filter"),
          {.name = "hz", .value = &band.hz, .help = "corner or centre", .required = true, .min = 10, .max = 40000},
          {.name = "db", .value = &band.db, .help = "gain of shelves and peaks", .min = -24, .max = 24},
          {.name = "q", .value = &band.q, .help = "quality", .min = 0.1, .max = 20}};
}

FieldList CompressorFields(CompressorOptions& c) {
  return {
      {.name = "threshold_db", .value = &c.threshold_db, .help = "dBFS", .required = true, .min = -60, .max = 0},
      {.name = "ratio", .value = &c.ratio, .help = "above it", .required = true, .min = 1, .max = 100},
      {.name = "attack_ms", .value = &c.attack_ms, .help = "to turn down", .required = true, .min = 0, .max = 1000},
      {.name = "release_ms", .value = &c.release_ms, .help = "to come back", .required = true, .min = 1, .max = 10000},
      {.name = "knee_db", .value = &c.knee_db, .help = "width of the knee", .min = 0, .max = 40},
      {.name = "makeup_db", .value = &c.makeup_db, .help = "gain behind it", .min = -24, .max = 24}};
}

FieldList LimiterFields(ChainLimiter& limiter) {
  return {{.name = "ceiling_db", .value = &limiter.ceiling_db, .help = "dBTP", .required = true, .min = -40, .max = 0},
          {.name = "release_ms", .value = &limiter.release_ms, .help = "to come back", .min = 1, .max = 10000}};
}

Status Read(const FieldList& fields, const Json& json, const std::string& where) {
  const Status read = FieldsFromJson(fields, json);
  return read ? read : Prefix(read.error(), where);
}

}  // namespace

Result<MasterChain> ChainFromJson(const Json& json) {
  if (!json.is_object()) return Fail(ErrorCode::kInvalidArgument, "a chain is a map of bands, compressor and limiter");
  MasterChain chain;
  const std::vector<std::string> known = {"title", "description", "bands", "compressor", "limiter"};
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Fail(ErrorCode::kInvalidArgument, "a chain has no '" + key + "'." + SuggestionFor(key, known));
    }
    if (value.is_null()) continue;
    if (key == "title" || key == "description") {
      if (!value.is_string()) return Fail(ErrorCode::kInvalidArgument, key + " must be a text");
      (key == "title" ? chain.title : chain.description) = value.get<std::string>();
    } else if (key == "bands") {
      if (!value.is_array() || value.size() > kMostBands) {
        return Fail(ErrorCode::kInvalidArgument, "bands must be a list of at most 32 filters");
      }
      for (size_t i = 0; i < value.size(); ++i) {
        ChainBand band;
        TIMBRE_CHECK(Read(BandFields(band), value[i], "bands[" + std::to_string(i) + "]"));
        chain.bands.push_back(band);
      }
    } else if (key == "compressor") {
      TIMBRE_CHECK(Read(CompressorFields(chain.compressor.emplace()), value, key));
    } else {
      TIMBRE_CHECK(Read(LimiterFields(chain.limiter.emplace()), value, key));
    }
  }
  return chain;
}

Json ChainToJson(const MasterChain& chain) {
  Json json = Json::object();
  if (!chain.title.empty()) json["title"] = chain.title;
  if (!chain.description.empty()) json["description"] = chain.description;
  json["bands"] = Json::array();
  for (ChainBand band : chain.bands) json["bands"].push_back(FieldsToJson(BandFields(band)));
  if (CompressorOptions c; chain.compressor)
    json["compressor"] = (c = *chain.compressor, FieldsToJson(CompressorFields(c)));
  if (ChainLimiter l; chain.limiter) json["limiter"] = (l = *chain.limiter, FieldsToJson(LimiterFields(l)));
  return json;
}

Result<MasterChain> ParseChain(std::string_view text, std::string_view name) {
  TIMBRE_TRY(const Json json, ParseYaml(text, name));
  Result<MasterChain> chain = ChainFromJson(json);
  if (!chain) return Prefix(chain.error(), name);
  return chain;
}

Result<MasterChain> ReadChain(const std::string& path) {
  TIMBRE_TRY(const Json json, ReadYaml(path));
  Result<MasterChain> chain = ChainFromJson(json);
  if (!chain) return Prefix(chain.error(), path);
  return chain;
}

std::span<const MasterPreset> MasterPresets() {
  // Tested: what is compiled in can be read.
  static const std::vector<MasterPreset> presets = [] {
    std::vector<MasterPreset> all;
    const Result<Json> json = ParseYaml(kPresets, "docs/presets.yaml");
    if (!json) return all;
    for (const auto& [name, value] : json->items()) {
      if (Result<MasterChain> chain = ChainFromJson(value)) all.push_back({name, *std::move(chain)});
    }
    return all;
  }();
  return presets;
}

Result<MasterChain> FindPreset(const std::string& name) {
  std::vector<std::string> names;
  for (const MasterPreset& preset : MasterPresets()) {
    if (preset.name == name) return preset.chain;
    names.push_back(preset.name);
  }
  return Fail(ErrorCode::kInvalidArgument, "there is no preset '" + name + "'." + SuggestionFor(name, names));
}

Result<std::optional<MasterChain>> ChainOrPreset(const nlohmann::ordered_json& json) {
  if (json.is_null()) return std::optional<MasterChain>();
  TIMBRE_TRY(MasterChain chain, json.is_string() ? FindPreset(json.get<std::string>()) : ChainFromJson(json));
  return std::optional<MasterChain>(std::move(chain));
}

namespace {

// Those of the chain's bands that do something.
template <typename T, typename HighPassOf, typename LowPassOf>
std::vector<BasicBiquad<T>> FiltersOf(const MasterChain& chain, double rate, HighPassOf high_pass, LowPassOf low_pass) {
  std::vector<BasicBiquad<T>> filters;
  for (const ChainBand& band : chain.bands) {
    const bool has_gain = band.type != BandType::kHighPass && band.type != BandType::kLowPass;
    if (has_gain && band.db == 0) continue;
    switch (band.type) {
      case BandType::kHighPass: filters.push_back(high_pass(band)); break;
      case BandType::kLowPass: filters.push_back(low_pass(band)); break;
      case BandType::kLowShelf: filters.push_back(LowShelf<T>(band.hz, band.db, band.q, rate)); break;
      case BandType::kHighShelf: filters.push_back(HighShelf<T>(band.hz, band.db, band.q, rate)); break;
      case BandType::kPeak: filters.push_back(PeakFilter<T>(band.hz, band.db, band.q, rate)); break;
    }
  }
  return filters;
}

std::vector<Biquad> StudioFilters(const MasterChain& chain, double rate) {
  return FiltersOf<double>(
      chain, rate, [&](const ChainBand& band) { return HighPass(band.hz, band.q, rate); },
      [&](const ChainBand& band) { return LowPass(band.hz, band.q, rate); });
}

std::vector<BasicBiquad<float>> ClassicFilters(const MasterChain& chain, double rate) {
  return FiltersOf<float>(
      chain, rate, [&](const ChainBand& band) { return FirstOrderHighPass<float>(band.hz, rate); },
      [&](const ChainBand& band) { return FirstOrderLowPass<float>(band.hz, rate); });
}

}  // namespace

ChainProcessor::ChainProcessor(const MasterChain& chain, ChainEngine engine, double sample_rate, int channels)
    : filters_(engine == ChainEngine::kStudio ? StudioFilters(chain, sample_rate) : std::vector<Biquad>(), channels),
      classic_filters_(
          engine == ChainEngine::kClassic ? ClassicFilters(chain, sample_rate) : std::vector<BasicBiquad<float>>(),
          channels) {
  if (engine == ChainEngine::kStudio) {
    if (chain.compressor) linked_.emplace(*chain.compressor, sample_rate, channels);
    return;
  }
  if (chain.compressor) peak_.emplace(*chain.compressor, sample_rate, channels);
  if (chain.limiter) limiter_.emplace(chain.limiter->ceiling_db, chain.limiter->release_ms, sample_rate, channels);
}

void ChainProcessor::Process(float* interleaved, int64_t frames) {
  filters_.Process(interleaved, frames);
  classic_filters_.Process(interleaved, frames);
  if (linked_) linked_->Process(interleaved, frames);
  if (peak_) peak_->Process(interleaved, frames);
  if (limiter_) limiter_->Process(interleaved, frames);
}

}  // namespace timbre
