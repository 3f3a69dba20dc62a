#include "apps/server/drum_project.h"

#include <array>
#include <utility>

#include "base/fields.h"
#include "base/suggest.h"
#include "base/text.h"

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

}  // namespace

Result<DrumProject> DrumProject::FromJson(const Json& json) {
  DrumProject project;
  TIMBRE_TRY(project.hits, DrumHitList::FromJson(json.value("list", Json())));
  project.heard = json.value("heard", "");
  project.asset = json.value("asset", "");
  project.config = json.value("config", "");
  project.set = json.value("set", Json::array());
  for (const Json& sound : json.value("sounds", Json::array())) {
    project.sounds.push_back({sound.value("asset", ""), sound.value("name", "")});
  }
  return project;
}

Json DrumProject::ToJson() const {
  Json json = {{"asset", asset}, {"heard", heard}, {"config", config}, {"set", set}, {"sounds", Json::array()}};
  for (const engine::JobInput& sound : sounds) json["sounds"].push_back({{"asset", sound.asset}, {"name", sound.name}});
  json["list"] = hits.ToJson();
  return json;
}

Json DrumProject::Shown() const {
  Json json = {{"asset", asset.empty() ? Json() : Json(asset)},
               {"heard", "/v1/assets/" + heard + "/data"},
               {"sounds", Json::array()},
               {"next", hits.next_id()},
               {"hits", Json::array()}};
  for (const engine::JobInput& sound : sounds) json["sounds"].push_back({{"asset", sound.asset}, {"name", sound.name}});
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
  std::vector<std::string> assets = {heard};
  if (!asset.empty()) assets.push_back(asset);
  if (!config.empty()) assets.push_back(config);
  for (const engine::JobInput& sound : sounds) assets.push_back(sound.asset);
  return assets;
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
  names.reserve(kOperations.size());
  for (const auto& [name, function] : kOperations) names.emplace_back(name);
  return names;
}

}  // namespace timbre::server
