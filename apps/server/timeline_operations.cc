#include "apps/server/timeline_operations.h"

#include <algorithm>
#include <array>
#include <utility>

#include "audio/resample.h"
#include "base/fields.h"
#include "base/suggest.h"
#include "base/text.h"

namespace timbre::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMostSamples = static_cast<double>(Timeline::kLongestClip);

Field ClipField(std::string* id) { return {.name = "clip", .value = id, .help = "its id", .required = true}; }

Result<Operated> Insert(Timeline& timeline, Json& json, const LengthOf& length_of) {
  TimelineClip clip;
  Timeline::Position position;
  uint64_t from = 0, length = 0;
  using Kind = Timeline::Position::Kind;
  TIMBRE_CHECK(FieldsFromJson(
      {{.name = "asset", .value = &clip.asset, .help = "its id", .required = true},
       {.name = "name", .value = &clip.name, .help = "to show"},
       ChoiceField("position", &position.kind,
                   {{"intro", Kind::kIntro},
                    {"previous", Kind::kPrevious},
                    {"next", Kind::kNext},
                    {"outro", Kind::kOutro},
                    {"index", Kind::kIndex}},
                   "where it goes"),
       {.name = "after", .value = &position.after, .help = "with next: the clip that it follows"},
       {.name = "index", .value = &position.index, .help = "with index", .min = 0, .max = Timeline::kMostClips},
       {.name = "from", .value = &from, .help = "samples", .min = 0, .max = kMostSamples},
       {.name = "length", .value = &length, .help = "samples", .min = 0, .max = kMostSamples},
       {.name = "gain_db", .value = &clip.gain_db, .help = "of the clip", .min = -60, .max = 24},
       {.name = "crossfade", .value = &clip.crossfade, .help = "seconds", .min = 0, .max = 60}},
      json, {"chain"}));
  TIMBRE_TRY(clip.chain, ChainOrPreset(json.value("chain", Json())));
  TIMBRE_TRY(const auto sound, length_of(clip.asset));
  if (!sound) return Operated{.done = false};
  clip.asset_length = ResampledLength(sound->frames, sound->sample_rate, timeline.sample_rate());
  clip.from = static_cast<int64_t>(from);
  clip.length = static_cast<int64_t>(length);
  Operated operated;
  TIMBRE_TRY(operated.clip, timeline.Insert(std::move(clip), position));
  return operated;
}

Result<Operated> Done(const Status& status) {
  if (!status) return tl::unexpected<Error>(status.error());
  return Operated();
}

Result<Operated> Made(const Result<std::string>& clip) {
  if (!clip) return tl::unexpected<Error>(clip.error());
  return Operated{.clip = *clip};
}

Result<Operated> Move(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  int index = 0;
  TIMBRE_CHECK(FieldsFromJson({ClipField(&id),
                               {.name = "index",
                                .value = &index,
                                .help = "that it has then",
                                .required = true,
                                .min = 0,
                                .max = Timeline::kMostClips}},
                              json));
  return Done(timeline.Move(id, index));
}

Result<Operated> Reorder(Timeline& timeline, Json& json, const LengthOf&) {
  std::vector<std::string> ids;
  TIMBRE_CHECK(FieldsFromJson({{.name = "clips", .value = &ids, .help = "all ids", .required = true}}, json));
  return Done(timeline.Reorder(ids));
}

Result<Operated> Trim(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  uint64_t from = 0, length = 0;
  TIMBRE_CHECK(FieldsFromJson(
      {ClipField(&id),
       {.name = "from", .value = &from, .help = "samples", .required = true, .min = 0, .max = kMostSamples},
       {.name = "length", .value = &length, .help = "samples", .required = true, .min = 1, .max = kMostSamples}},
      json));
  return Done(timeline.Trim(id, static_cast<int64_t>(from), static_cast<int64_t>(length)));
}

Result<Operated> Split(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  uint64_t at = 0;
  TIMBRE_CHECK(FieldsFromJson(
      {ClipField(&id),
       {.name = "at", .value = &at, .help = "samples into the clip", .required = true, .min = 1, .max = kMostSamples}},
      json));
  return Made(timeline.Split(id, static_cast<int64_t>(at)));
}

Result<Operated> Duplicate(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  TIMBRE_CHECK(FieldsFromJson({ClipField(&id)}, json));
  return Made(timeline.Duplicate(id));
}

Result<Operated> Gain(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  double db = 0;
  TIMBRE_CHECK(FieldsFromJson(
      {ClipField(&id), {.name = "db", .value = &db, .help = "gain", .required = true, .min = -60, .max = 24}}, json));
  return Done(timeline.SetGain(id, db));
}

template <Status (Timeline::*Set)(const std::string&, bool)>
Result<Operated> Switch(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  bool on = false;
  TIMBRE_CHECK(
      FieldsFromJson({ClipField(&id), {.name = "on", .value = &on, .help = "or off", .required = true}}, json));
  return Done((timeline.*Set)(id, on));
}

Result<Operated> Chain(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  TIMBRE_CHECK(FieldsFromJson({ClipField(&id)}, json, {"chain"}));
  TIMBRE_TRY(std::optional<MasterChain> chain, ChainOrPreset(json.value("chain", Json())));
  return Done(timeline.SetChain(id, std::move(chain)));
}

Result<Operated> Crossfade(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  std::optional<double> seconds;
  if (json.contains("seconds") && json["seconds"].is_null()) json.erase("seconds");
  TIMBRE_CHECK(FieldsFromJson(
      {ClipField(&id), {.name = "seconds", .value = &seconds, .help = "or null", .min = 0, .max = 60}}, json));
  return Done(timeline.SetCrossfade(id, seconds));
}

Result<Operated> Master(Timeline& timeline, Json& json, const LengthOf&) {
  TIMBRE_CHECK(FieldsFromJson({}, json, {"chain"}));
  TIMBRE_TRY(std::optional<MasterChain> chain, ChainOrPreset(json.value("chain", Json())));
  return Done(timeline.SetMaster(std::move(chain)));
}

Result<Operated> Remove(Timeline& timeline, Json& json, const LengthOf&) {
  std::string id;
  TIMBRE_CHECK(FieldsFromJson({ClipField(&id)}, json));
  return Done(timeline.Remove(id));
}

Result<Operated> Clear(Timeline& timeline, Json& json, const LengthOf&) {
  TIMBRE_CHECK(FieldsFromJson({}, json));
  return Done(timeline.Clear());
}

using Function = Result<Operated> (*)(Timeline&, Json&, const LengthOf&);
constexpr std::array<std::pair<const char*, Function>, 14> kOperations = {{
    {"insert", Insert},
    {"move", Move},
    {"reorder", Reorder},
    {"trim", Trim},
    {"split", Split},
    {"duplicate", Duplicate},
    {"gain", Gain},
    {"mute", Switch<&Timeline::SetMute>},
    {"solo", Switch<&Timeline::SetSolo>},
    {"chain", Chain},
    {"crossfade", Crossfade},
    {"master", Master},
    {"remove", Remove},
    {"clear", Clear},
}};

}  // namespace

std::vector<std::string> TimelineOperations() {
  std::vector<std::string> names;
  names.reserve(kOperations.size());
  for (const auto& [name, function] : kOperations) names.emplace_back(name);
  return names;
}

Result<Operated> Operate(Timeline& timeline, const Json& operation, const LengthOf& length_of) {
  Json json = operation;
  const Json name = json.value("op", Json());
  json.erase("op");
  for (const auto& [known, function] : kOperations) {
    if (name == known) return function(timeline, json, length_of);
  }
  const std::string shown = name.is_string() ? name.get<std::string>() : name.dump();
  return Fail(ErrorCode::kInvalidArgument,
              "there is no operation '" + Printable(shown, 64) + "'." + SuggestionFor(shown, TimelineOperations()));
}

}  // namespace timbre::server
