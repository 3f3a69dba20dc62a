#include "pipelines/studio/timeline.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fields.h"
#include "base/text.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLongestText = 256;
constexpr double kLongestCrossfade = 60;  // seconds

tl::unexpected<Error> Wrong(std::string what) { return Fail(ErrorCode::kInvalidArgument, std::move(what)); }

Status CheckCrossfade(double seconds) {
  if (seconds >= 0 && seconds <= kLongestCrossfade) return {};
  return Wrong("a cross-fade takes 0 to 60 seconds");
}

Status CheckClip(const TimelineClip& clip) {
  for (const std::string* text : {&clip.id, &clip.asset, &clip.name}) {
    if (text->size() > kLongestText || !IsUtf8(*text)) {
      return Wrong("a clip's id, asset and name are UTF-8 of at most 256 bytes");
    }
  }
  if (clip.asset.empty()) return Wrong("a clip needs an asset");
  if (clip.asset_length < 1 || clip.asset_length > Timeline::kLongestClip) return Wrong("a clip's sound has no length");
  if (clip.from < 0 || clip.length < 1 || clip.from > clip.asset_length - clip.length) {
    return Wrong("a clip must be a part of its sound, of one sample at least");
  }
  if (!(clip.gain_db >= -60 && clip.gain_db <= 24)) return Wrong("a gain is from -60 to 24 dB");
  return clip.crossfade ? CheckCrossfade(*clip.crossfade) : Status();
}

FieldList ClipFields(TimelineClip& clip, uint64_t& from, uint64_t& length, uint64_t& asset_length) {
  constexpr double kMost = static_cast<double>(Timeline::kLongestClip);
  return {{.name = "id", .value = &clip.id, .help = "unique", .required = true},
          {.name = "asset", .value = &clip.asset, .help = "what the sound is found by", .required = true},
          {.name = "name", .value = &clip.name, .help = "to show"},
          ChoiceField("role", &clip.role,
                      {{"none", ClipRole::kNone}, {"intro", ClipRole::kIntro}, {"outro", ClipRole::kOutro}},
                      "what it was put in as"),
          {.name = "asset_length", .value = &asset_length, .help = "samples", .required = true, .min = 1, .max = kMost},
          {.name = "from", .value = &from, .help = "samples", .min = 0, .max = kMost},
          {.name = "length", .value = &length, .help = "samples", .required = true, .min = 1, .max = kMost},
          {.name = "gain_db", .value = &clip.gain_db, .help = "of the clip", .min = -60, .max = 24},
          {.name = "mute", .value = &clip.mute, .help = "not heard"},
          {.name = "solo", .value = &clip.solo, .help = "heard alone"},
          {.name = "crossfade", .value = &clip.crossfade, .help = "seconds", .min = 0, .max = kLongestCrossfade}};
}

Result<std::optional<MasterChain>> ChainIn(const Json& json) {
  if (json.is_null()) return std::optional<MasterChain>();
  TIMBRE_TRY(MasterChain chain, ChainFromJson(json));
  return std::optional<MasterChain>(std::move(chain));
}

}  // namespace

Result<Timeline> Timeline::Create(int sample_rate, int channels, double crossfade) {
  if (sample_rate < 1000 || sample_rate > 768000) return Wrong("a timeline's rate is from 1000 to 768000 Hz");
  if (channels != 1 && channels != 2) return Wrong("a timeline has one or two channels");
  TIMBRE_CHECK(CheckCrossfade(crossfade));
  Timeline timeline;
  auto state = std::make_shared<State>();
  state->sample_rate = sample_rate;
  state->channels = channels;
  state->crossfade = crossfade;
  timeline.state_ = std::move(state);
  return timeline;
}

Result<Timeline> Timeline::FromJson(const Json& json) {
  if (!json.is_object()) return Wrong("a timeline is an object");
  int sample_rate = 0, channels = 2;
  double crossfade = 0;
  TIMBRE_CHECK(FieldsFromJson(
      {{.name = "sample_rate", .value = &sample_rate, .help = "Hz", .required = true, .min = 1000, .max = 768000},
       {.name = "channels", .value = &channels, .help = "1 or 2", .min = 1, .max = 2},
       {.name = "crossfade", .value = &crossfade, .help = "seconds", .min = 0, .max = kLongestCrossfade}},
      json, {"clips", "master", "total", "seconds"}));
  const Json clips = json.value("clips", Json());
  Result<std::optional<MasterChain>> master = ChainIn(json.value("master", Json()));
  if (!master) return Prefix(master.error(), "master");
  TIMBRE_TRY(Timeline timeline, Create(sample_rate, channels, crossfade));
  if (!clips.is_null() && (!clips.is_array() || clips.size() > kMostClips)) {
    return Wrong("clips must be a list of at most 1000");
  }
  State state = *timeline.state_;
  state.master = *std::move(master);
  std::set<std::string> ids;
  for (size_t i = 0; i < clips.size(); ++i) {
    const std::string where = "clips[" + std::to_string(i) + "]";
    if (!clips[i].is_object()) return Wrong(where + ": a clip is an object");
    TimelineClip clip;
    uint64_t from = 0, length = 0, asset_length = 0;
    // All but the chain follows from the rest.
    const Status read = FieldsFromJson(ClipFields(clip, from, length, asset_length), clips[i],
                                       {"chain", "index", "start", "end", "overlap", "start_seconds", "end_seconds"});
    if (!read) return Prefix(read.error(), where);
    Result<std::optional<MasterChain>> chain = ChainIn(clips[i].value("chain", Json()));
    if (!chain) return Prefix(chain.error(), where);
    clip.chain = *std::move(chain);
    clip.from = static_cast<int64_t>(from);
    clip.length = static_cast<int64_t>(length);
    clip.asset_length = static_cast<int64_t>(asset_length);
    if (const Status good = CheckClip(clip); !good) return Prefix(good.error(), where);
    if (clip.id.empty() || !ids.insert(clip.id).second) return Wrong(where + ": its id is empty, or another's");
    // New ids lie behind all that were given.
    int64_t number = 0;
    const char* const end = clip.id.data() + clip.id.size();
    if (clip.id[0] == 'c' && std::from_chars(clip.id.data() + 1, end, number).ptr == end && number < kLongestClip) {
      timeline.next_id_ = std::max(timeline.next_id_, number + 1);
    }
    state.clips.push_back(std::move(clip));
  }
  timeline.state_ = std::make_shared<const State>(std::move(state));
  return timeline;
}

Json Timeline::ToJson(bool places) const {
  const std::vector<ClipPlace> placed = places ? Places() : std::vector<ClipPlace>();
  const auto seconds = [this](int64_t samples) { return static_cast<double>(samples) / sample_rate(); };
  Json json = {{"sample_rate", sample_rate()}, {"channels", channels()}, {"crossfade", crossfade()}};
  json["clips"] = Json::array();
  for (size_t i = 0; i < clips().size(); ++i) {
    TimelineClip clip = clips()[i];
    auto from = static_cast<uint64_t>(clip.from), length = static_cast<uint64_t>(clip.length);
    auto asset_length = static_cast<uint64_t>(clip.asset_length);
    Json object = FieldsToJson(ClipFields(clip, from, length, asset_length));
    object["chain"] = clip.chain ? ChainToJson(*clip.chain) : Json();
    if (places) {
      object["index"] = i;
      object["start"] = placed[i].start;
      object["end"] = placed[i].end;
      object["overlap"] = placed[i].overlap;
      object["start_seconds"] = seconds(placed[i].start);
      object["end_seconds"] = seconds(placed[i].end);
    }
    json["clips"].push_back(std::move(object));
  }
  json["master"] = master() ? ChainToJson(*master()) : Json();
  if (places) {
    json["total"] = Total();
    json["seconds"] = seconds(Total());
  }
  return json;
}

std::vector<ClipPlace> Timeline::Places() const {
  const bool any_solo = std::any_of(clips().begin(), clips().end(), [](const TimelineClip& c) { return c.solo; });
  std::vector<ClipPlace> places;
  for (const TimelineClip& clip : clips()) {
    ClipPlace place{.audible = !clip.mute && (!any_solo || clip.solo)};
    if (!places.empty()) {
      const ClipPlace& before = places.back();
      const auto wanted = std::llround(clip.crossfade.value_or(crossfade()) * sample_rate());
      // Never into the cross-fade before it.
      place.overlap = std::min<int64_t>({wanted, before.end - before.start - before.overlap, clip.length});
      place.start = before.end - place.overlap;
    }
    place.end = place.start + clip.length;
    places.push_back(place);
  }
  return places;
}

int64_t Timeline::Total() const {
  const std::vector<ClipPlace> places = Places();
  return places.empty() ? 0 : places.back().end;
}

Result<size_t> Timeline::Find(const std::string& id) const {
  for (size_t i = 0; i < clips().size(); ++i) {
    if (clips()[i].id == id) return i;
  }
  return Fail(ErrorCode::kNotFound, "there is no clip '" + Printable(id) + "'");
}

Status Timeline::Change(State next) {
  undo_.push_back(std::move(state_));
  if (undo_.size() > kMostUndo) undo_.erase(undo_.begin());
  redo_.clear();
  state_ = std::make_shared<const State>(std::move(next));
  ++revision_;
  return {};
}

template <typename Edit>
Status Timeline::Edit1(const std::string& id, Edit&& edit) {
  TIMBRE_TRY(const size_t index, Find(id));
  State next = *state_;
  edit(next.clips[index]);
  TIMBRE_CHECK(CheckClip(next.clips[index]));
  return Change(std::move(next));
}

Result<std::string> Timeline::Insert(TimelineClip clip, const Position& position) {
  if (clips().size() >= kMostClips) return Wrong("a timeline holds at most 1000 clips");
  if (clip.length == 0 && clip.from >= 0 && clip.from <= clip.asset_length) clip.length = clip.asset_length - clip.from;
  clip.id = "c" + std::to_string(next_id_);
  size_t at = clips().size();
  using Kind = Position::Kind;
  switch (position.kind) {
    case Kind::kIntro:
      at = 0;
      clip.role = ClipRole::kIntro;
      break;
    case Kind::kOutro: clip.role = ClipRole::kOutro; break;
    case Kind::kPrevious: at = clips().empty() ? 0 : clips().size() - 1; break;
    case Kind::kNext:
      if (!position.after.empty()) {
        TIMBRE_TRY(at, Find(position.after));
        ++at;
      } else {
        while (at > 0 && clips()[at - 1].role == ClipRole::kOutro) --at;
      }
      break;
    case Kind::kIndex:
      if (position.index < 0 || static_cast<size_t>(position.index) > clips().size()) {
        return Wrong("a clip can be put at 0 to " + std::to_string(clips().size()));
      }
      at = static_cast<size_t>(position.index);
      break;
  }
  TIMBRE_CHECK(CheckClip(clip));
  const std::string id = NewId();
  State next = *state_;
  next.clips.insert(next.clips.begin() + static_cast<std::ptrdiff_t>(at), std::move(clip));
  TIMBRE_CHECK(Change(std::move(next)));
  return id;
}

Status Timeline::Move(const std::string& id, int index) {
  TIMBRE_TRY(const size_t from, Find(id));
  if (index < 0 || static_cast<size_t>(index) >= clips().size()) {
    return Wrong("a clip can be moved to 0 to " + std::to_string(clips().size() - 1));
  }
  State next = *state_;
  TimelineClip clip = std::move(next.clips[from]);
  next.clips.erase(next.clips.begin() + static_cast<std::ptrdiff_t>(from));
  next.clips.insert(next.clips.begin() + index, std::move(clip));
  return Change(std::move(next));
}

Status Timeline::Reorder(const std::vector<std::string>& ids) {
  if (ids.size() != clips().size() || std::set<std::string>(ids.begin(), ids.end()).size() != ids.size()) {
    return Wrong("an order names each of the " + std::to_string(clips().size()) + " clips once");
  }
  State next = *state_;
  for (size_t i = 0; i < ids.size(); ++i) {
    TIMBRE_TRY(const size_t from, Find(ids[i]));
    next.clips[i] = clips()[from];
  }
  return Change(std::move(next));
}

Status Timeline::Trim(const std::string& id, int64_t from, int64_t length) {
  return Edit1(id, [&](TimelineClip& clip) {
    clip.from = from;
    clip.length = length;
  });
}

Result<std::string> Timeline::Split(const std::string& id, int64_t at) {
  TIMBRE_TRY(const size_t index, Find(id));
  if (clips().size() >= kMostClips) return Wrong("a timeline holds at most 1000 clips");
  const TimelineClip& whole = clips()[index];
  if (at < 1 || at >= whole.length) return Wrong("a clip is split between its first sample and its last");
  State next = *state_;
  TimelineClip second = whole;
  second.id = NewId();
  second.from += at;
  second.length -= at;
  second.crossfade = 0;
  next.clips[index].length = at;
  const std::string new_id = second.id;
  next.clips.insert(next.clips.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(second));
  TIMBRE_CHECK(Change(std::move(next)));
  return new_id;
}

Result<std::string> Timeline::Duplicate(const std::string& id) {
  TIMBRE_TRY(const size_t index, Find(id));
  if (clips().size() >= kMostClips) return Wrong("a timeline holds at most 1000 clips");
  State next = *state_;
  TimelineClip copy = clips()[index];
  copy.id = NewId();
  const std::string new_id = copy.id;
  next.clips.insert(next.clips.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(copy));
  TIMBRE_CHECK(Change(std::move(next)));
  return new_id;
}

Status Timeline::SetGain(const std::string& id, double gain_db) {
  return Edit1(id, [&](TimelineClip& clip) { clip.gain_db = gain_db; });
}
Status Timeline::SetMute(const std::string& id, bool mute) {
  return Edit1(id, [&](TimelineClip& clip) { clip.mute = mute; });
}
Status Timeline::SetSolo(const std::string& id, bool solo) {
  return Edit1(id, [&](TimelineClip& clip) { clip.solo = solo; });
}
Status Timeline::SetChain(const std::string& id, std::optional<MasterChain> chain) {
  return Edit1(id, [&](TimelineClip& clip) { clip.chain = std::move(chain); });
}
Status Timeline::SetCrossfade(const std::string& id, std::optional<double> seconds) {
  return Edit1(id, [&](TimelineClip& clip) { clip.crossfade = seconds; });
}

Status Timeline::SetMaster(std::optional<MasterChain> chain) {
  State next = *state_;
  next.master = std::move(chain);
  return Change(std::move(next));
}

Status Timeline::Remove(const std::string& id) {
  TIMBRE_TRY(const size_t index, Find(id));
  State next = *state_;
  next.clips.erase(next.clips.begin() + static_cast<std::ptrdiff_t>(index));
  return Change(std::move(next));
}

Status Timeline::Clear() {
  State next = *state_;
  next.clips.clear();
  return Change(std::move(next));
}

Status Timeline::Undo() {
  if (undo_.empty()) return Wrong("there is nothing to undo");
  redo_.push_back(std::move(state_));
  state_ = std::move(undo_.back());
  undo_.pop_back();
  ++revision_;
  return {};
}

Status Timeline::Redo() {
  if (redo_.empty()) return Wrong("there is nothing to redo");
  undo_.push_back(std::move(state_));
  state_ = std::move(redo_.back());
  redo_.pop_back();
  ++revision_;
  return {};
}

}  // namespace timbre
