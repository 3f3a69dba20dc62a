#include "apps/server/drum_project.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/fields.h"
#include "base/suggest.h"
#include "base/text.h"
#include "dsp/beat_correction.h"
#include "pipelines/drums/drums_hits.h"

namespace timbre::server {
namespace {

using Json = nlohmann::ordered_json;

// Of a value that may be missing: as the list checks it.
constexpr double kLongest = 24 * 3600;  // seconds

FieldList ValueFields(HitChange& change) {
  return {{.name = "seconds", .value = &change.seconds, .help = "of the sound", .min = 0, .max = kLongest},
          {.name = "note", .value = &change.note, .help = "of General MIDI", .min = 0, .max = 127},
          {.name = "velocity", .value = &change.velocity, .help = "how hard", .min = 1, .max = 127},
          {.name = "stem", .value = &change.stem, .help = "that it is heard in"}};
}

Field HitField(int* id) {
  return {.name = "hit", .value = id, .help = "its id", .required = true, .min = 1, .max = 1 << 30};
}

Result<std::optional<int>> Add(DrumHitList& hits, const Json& json) {
  HitChange hit;
  TIMBRE_CHECK(FieldsFromJson(ValueFields(hit), json));
  TIMBRE_TRY(const int id, hits.Add(hit));
  return std::optional<int>(id);
}

Result<std::optional<int>> Change(DrumHitList& hits, const Json& json) {
  HitChange change;
  int id = 0;
  FieldList fields = ValueFields(change);
  TIMBRE_CHECK(FieldsFromJson(Append(fields, {HitField(&id)}), json));
  if (json.size() < 2) return Fail(ErrorCode::kInvalidArgument, "say what is to be another: seconds, note, velocity.");
  TIMBRE_CHECK(hits.Change(id, change));
  return std::optional<int>();
}

Result<std::optional<int>> Remove(DrumHitList& hits, const Json& json) {
  int id = 0;
  TIMBRE_CHECK(FieldsFromJson({HitField(&id)}, json));
  TIMBRE_CHECK(hits.Remove(id));
  return std::optional<int>();
}

using Function = Result<std::optional<int>> (*)(DrumHitList&, const Json&);
constexpr std::array<std::pair<const char*, Function>, 3> kOperations = {{
    {"add", Add},
    {"change", Change},
    {"remove", Remove},
}};

std::vector<engine::JobInput> NamedAssets(const Json& list) {
  std::vector<engine::JobInput> named;
  for (const Json& one : list) named.push_back({one.value("asset", ""), one.value("name", "")});
  return named;
}

Json ToJsonOf(const std::vector<engine::JobInput>& named) {
  Json list = Json::array();
  for (const engine::JobInput& one : named) list.push_back({{"asset", one.asset}, {"name", one.name}});
  return list;
}

}  // namespace

Result<DrumProject> DrumProject::FromJson(const Json& json) {
  DrumProject project;
  TIMBRE_TRY(project.hits, DrumHitList::FromJson(json.value("list", Json())));
  if (json.contains("grid")) {
    TIMBRE_TRY(project.grid, BeatGridFromJson(json["grid"]));
  }
  project.heard = json.value("heard", "");
  project.asset = json.value("asset", "");
  project.config = json.value("config", "");
  project.set = json.value("set", Json::array());
  project.sounds = NamedAssets(json.value("sounds", Json::array()));
  project.mixes = NamedAssets(json.value("mixes", Json::array()));
  return project;
}

Json DrumProject::ToJson() const {
  Json json = {{"asset", asset},
               {"heard", heard},
               {"config", config},
               {"set", set},
               {"sounds", ToJsonOf(sounds)},
               {"mixes", ToJsonOf(mixes)},
               {"list", hits.ToJson()}};
  if (grid) json["grid"] = BeatGridToJson(*grid);
  return json;
}

Json DrumProject::Shown() const {
  Json json = {{"asset", asset.empty() ? Json() : Json(asset)},
               {"heard", heard.empty() ? Json() : Json("/v1/assets/" + heard + "/data")},
               {"sounds", ToJsonOf(sounds)},
               {"mixes", ToJsonOf(mixes)},
               {"configured", !config.empty() || !set.empty()},
               {"grid", grid ? BeatGridToJson(*grid) : Json()},
               {"next", hits.next_id()},
               {"hits", Json::array()}};
  for (const ListedHit& hit : hits.hits()) {
    json["hits"].push_back({{"id", hit.id},
                            {"seconds", hit.seconds},
                            {"note", hit.note},
                            {"velocity", hit.velocity},
                            {"stem", hits.StemOf(hit)}});
  }
  return json;
}

std::vector<std::string> DrumProject::Assets() const {
  std::vector<std::string> assets;
  for (const std::string& one : {heard, asset, config}) {
    if (!one.empty()) assets.push_back(one);
  }
  for (const engine::JobInput& sound : sounds) assets.push_back(sound.asset);
  for (const engine::JobInput& mix : mixes) assets.push_back(mix.asset);
  return assets;
}

Status DrumProject::AddMix(const engine::JobInput& mix) {
  const auto same =
      std::find_if(mixes.begin(), mixes.end(), [&](const engine::JobInput& other) { return other.asset == mix.asset; });
  if (same != mixes.end()) {
    same->name = mix.name;
    return {};
  }
  if (mixes.size() >= kMostMixes) {
    return Fail(ErrorCode::kInvalidArgument, "there are as many mixes as a project may have; remove one first.");
  }
  mixes.push_back(mix);
  return {};
}

bool DrumProject::RemoveMix(const std::string& mix) {
  return std::erase_if(mixes, [&](const engine::JobInput& other) { return other.asset == mix; }) > 0;
}

bool DrumProject::HasSound(const std::string& sound) const {
  return (!sound.empty() && sound == asset) ||
         std::any_of(mixes.begin(), mixes.end(), [&](const engine::JobInput& mix) { return mix.asset == sound; });
}

bool IsSound(const std::string& media_type) {
  return media_type.starts_with("audio/") && media_type.find("midi") == std::string::npos;
}

Result<Json> HeardBy(const engine::JobRecord& job) {
  const Json tracks = job.report.is_object() ? job.report.value("tracks", Json::array()) : Json::array();
  const bool one = job.kind == "drums" && job.state == engine::JobState::kSucceeded && tracks.size() == 1 &&
                   tracks[0].is_object() && tracks[0].contains("drums");
  if (!one) return Fail(ErrorCode::kInvalidArgument, "'job' is one of drums that has heard them in one track.");
  Json heard = tracks[0]["drums"];
  for (Json& stem : heard["stems"]) {
    for (Json& hit : stem["hits"]) {
      hit.erase("features");
      hit.erase("bleeding");
    }
  }
  return heard;
}

Json Corrected(const DrumProject& drums, const Json& heard) {
  Json json = drums.hits.Corrected(heard);
  if (drums.grid) json.update(BeatGridToJson(*drums.grid));
  return json;
}

Status OperateOnBeats(DrumProject& drums, const Json& heard, const Json& operation) {
  Json json = operation;
  json.erase("op");
  BeatCorrection correction;
  std::string metre;
  bool as_heard = false;
  using Times = BeatCorrection::Times;
  TIMBRE_CHECK(FieldsFromJson({{.name = "tempo-bpm",
                                .value = &correction.bpm,
                                .help = "throughout",
                                .min = BeatCorrection::kLeastBpm,
                                .max = BeatCorrection::kMostBpm},
                               {.name = "first",
                                .value = &correction.first,
                                .help = "seconds at which a bar begins",
                                .min = 0,
                                .max = kLongest},
                               {.name = "metre", .value = &metre, .help = "as \"6/8\""},
                               ChoiceField("times", &correction.times,
                                           {{"same", Times::kSame}, {"double", Times::kDouble}, {"half", Times::kHalf}},
                                           "beats for each that there is"),
                               {.name = "as-heard", .value = &as_heard, .help = "what was heard again"}},
                              json));
  if (json.empty() || (as_heard && json.size() > 1)) {
    return Fail(ErrorCode::kInvalidArgument,
                "say what is to be another: tempo_bpm, first, metre, times; or as_heard alone.");
  }
  if (as_heard) {
    drums.grid.reset();
    return {};
  }
  if (!metre.empty()) {
    TIMBRE_TRY(correction.metre, ParseMetre(metre));
  }
  TIMBRE_TRY(BeatGrid before, drums.grid ? Result<BeatGrid>(*drums.grid) : BeatGridFromJson(heard));
  // What came without a length is as long as what was heard in it.
  double seconds = heard.contains("seconds") && heard["seconds"].is_number() ? heard["seconds"].get<double>() : 0;
  if (!before.beats.empty()) seconds = std::max(seconds, before.beats.back());
  if (!drums.hits.hits().empty()) seconds = std::max(seconds, drums.hits.hits().back().seconds);
  TIMBRE_TRY(drums.grid, CorrectBeats(std::move(before), seconds, correction));
  return {};
}

Result<std::optional<int>> OperateOnHits(DrumHitList& hits, const Json& operation) {
  Json json = operation;
  const Json name = json.value("op", Json());
  json.erase("op");
  for (const auto& [known, function] : kOperations) {
    if (name == known) return function(hits, json);
  }
  const std::string shown = name.is_string() ? name.get<std::string>() : name.dump();
  return Fail(ErrorCode::kInvalidArgument,
              "there is no operation '" + Printable(shown, 64) + "'." + SuggestionFor(shown, HitOperations()));
}

std::vector<std::string> HitOperations() {
  std::vector<std::string> names;
  names.reserve(kOperations.size() + 2);
  for (const auto& [name, function] : kOperations) names.emplace_back(name);
  names.emplace_back("beats");
  names.emplace_back("take");
  return names;
}

}  // namespace timbre::server
