#include "pipelines/drums/hit_list.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/suggest.h"
#include "base/text.h"
#include "pipelines/drums/drums_hits.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLongest = 24 * 3600;  // seconds
constexpr int kMostId = 1 << 30;

double Rounded(double seconds) { return std::round(seconds * 1e4) / 1e4; }

bool IsEarlier(const ListedHit& a, const ListedHit& b) {
  return std::tie(a.seconds, a.note, a.id) < std::tie(b.seconds, b.note, b.id);
}

Status Check(const HitChange& change) {
  const auto within = [](const auto& value, auto least, auto most) {
    return !value || (*value >= least && *value <= most);
  };
  if (!within(change.seconds, 0.0, kLongest)) return Fail(ErrorCode::kInvalidArgument, "'seconds' is from 0 to 86400.");
  if (!within(change.note, 0, 127)) return Fail(ErrorCode::kInvalidArgument, "'note' is from 0 to 127.");
  if (!within(change.velocity, 1, 127)) return Fail(ErrorCode::kInvalidArgument, "'velocity' is from 1 to 127.");
  return {};
}

std::vector<int> NotesOf(const DrumStemRules& rules) {
  std::vector<int> notes;
  notes.reserve(rules.voices.size());
  for (const DrumVoice& voice : rules.voices) notes.push_back(voice.note);
  return notes;
}

tl::unexpected<Error> Damaged() { return Fail(ErrorCode::kInvalidArgument, "the list of hits is damaged."); }

}  // namespace

Result<DrumHitList> DrumHitList::FromHeard(DrumsConfig config, const Json& heard) {
  TIMBRE_TRY(const DrumAnalysis analysis, DrumsFromJson(std::move(config), heard));
  DrumHitList list;
  for (const DrumStem& stem : analysis.stems) {
    const int index = static_cast<int>(list.stems_.size());
    list.stems_.push_back({.name = stem.name, .notes = NotesOf(*stem.rules)});
    for (const DrumHit& hit : stem.hits) {
      if (!hit.kept) continue;
      list.hits_.push_back(
          {.seconds = Rounded(hit.seconds), .note = hit.voice->note, .velocity = hit.velocity, .stem = index});
    }
  }
  std::stable_sort(list.hits_.begin(), list.hits_.end(), IsEarlier);
  for (ListedHit& hit : list.hits_) hit.id = list.next_id_++;
  return list;
}

Result<DrumHitList> DrumHitList::FromJson(const Json& json) {
  const auto is_list = [&](const char* key) { return json.contains(key) && json[key].is_array(); };
  if (!json.is_object() || !is_list("stems") || !is_list("hits") || json["hits"].size() > kMostHits ||
      !json.contains("next") || !json["next"].is_number_integer()) {
    return Damaged();
  }
  DrumHitList list;
  list.next_id_ = json["next"].get<int>();
  for (const Json& stem : json["stems"]) {
    if (!stem.is_object() || !stem.contains("name") || !stem["name"].is_string() || !stem.contains("notes") ||
        !stem["notes"].is_array()) {
      return Damaged();
    }
    Stem own{.name = stem["name"].get<std::string>()};
    for (const Json& note : stem["notes"]) {
      if (!note.is_number_integer()) return Damaged();
      own.notes.push_back(note.get<int>());
    }
    list.stems_.push_back(std::move(own));
  }
  const int stems = static_cast<int>(list.stems_.size());
  for (const Json& numbers : json["hits"]) {
    if (!numbers.is_array() || numbers.size() != 5 || !numbers[1].is_number()) return Damaged();
    for (const size_t i : {0, 2, 3, 4}) {
      if (!numbers[i].is_number_integer()) return Damaged();
    }
    const ListedHit hit{.id = numbers[0].get<int>(),
                        .seconds = numbers[1].get<double>(),
                        .note = numbers[2].get<int>(),
                        .velocity = numbers[3].get<int>(),
                        .stem = numbers[4].get<int>()};
    const bool behind = list.hits_.empty() || IsEarlier(list.hits_.back(), hit);
    const HitChange values{.seconds = hit.seconds, .note = hit.note, .velocity = hit.velocity};
    if (!behind || !Check(values) || hit.stem < 0 || hit.stem >= stems || hit.id < 1 || hit.id >= list.next_id_) {
      return Damaged();
    }
    list.hits_.push_back(hit);
  }
  return list;
}

Status DrumHitList::UseConfig(const DrumsConfig& config) {
  std::vector<Stem> stems;
  for (const Stem& stem : stems_) {
    const DrumStemRules* rules = config.Find(stem.name);
    if (rules == nullptr) {
      return Fail(ErrorCode::kInvalidArgument, "there are hits of the stem '" + stem.name + "', which it lacks.");
    }
    stems.push_back({.name = stem.name, .notes = NotesOf(*rules)});
  }
  stems_ = std::move(stems);
  return {};
}

Json DrumHitList::ToJson() const {
  Json json = {{"next", next_id_}, {"stems", Json::array()}, {"hits", Json::array()}};
  for (const Stem& stem : stems_) json["stems"].push_back({{"name", stem.name}, {"notes", stem.notes}});
  for (const ListedHit& hit : hits_) {
    json["hits"].push_back(Json::array({hit.id, hit.seconds, hit.note, hit.velocity, hit.stem}));
  }
  return json;
}

Result<size_t> DrumHitList::Find(int id) const {
  const auto found = std::find_if(hits_.begin(), hits_.end(), [id](const ListedHit& hit) { return hit.id == id; });
  if (found != hits_.end()) return static_cast<size_t>(found - hits_.begin());
  return Fail(ErrorCode::kInvalidArgument, "there is no hit " + std::to_string(id) + ".");
}

Result<int> DrumHitList::StemFor(const HitChange& change, int note, int now) const {
  std::vector<std::string> names;
  int has_note = -1;
  for (size_t i = 0; i < stems_.size(); ++i) {
    const int index = static_cast<int>(i);
    if (!change.stem.empty() && stems_[i].name == change.stem) return index;
    names.push_back(stems_[i].name);
    const std::vector<int>& notes = stems_[i].notes;
    const bool has = std::find(notes.begin(), notes.end(), note) != notes.end();
    if (has && (has_note < 0 || index == now)) has_note = index;
  }
  if (!change.stem.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "there is no stem '" + Printable(change.stem, 64) + "'." + SuggestionFor(change.stem, names));
  }
  return has_note >= 0 ? has_note : std::max(now, 0);
}

void DrumHitList::Place(ListedHit hit) {
  hits_.insert(std::upper_bound(hits_.begin(), hits_.end(), hit, IsEarlier), hit);
}

Result<int> DrumHitList::Add(const HitChange& hit) {
  TIMBRE_CHECK(Check(hit));
  if (!hit.seconds || !hit.note || !hit.velocity) {
    return Fail(ErrorCode::kInvalidArgument, "a new hit needs 'seconds', 'note' and 'velocity'.");
  }
  if (stems_.empty()) return Fail(ErrorCode::kInvalidArgument, "nothing was heard that a hit could belong to.");
  if (hits_.size() >= kMostHits || next_id_ >= kMostId) {
    return Fail(ErrorCode::kInvalidArgument, "there are as many hits as a list may have.");
  }
  TIMBRE_TRY(const int stem, StemFor(hit, *hit.note, -1));
  Place({.id = next_id_, .seconds = Rounded(*hit.seconds), .note = *hit.note, .velocity = *hit.velocity, .stem = stem});
  return next_id_++;
}

Status DrumHitList::Change(int id, const HitChange& change) {
  TIMBRE_CHECK(Check(change));
  TIMBRE_TRY(const size_t index, Find(id));
  ListedHit hit = hits_[index];
  if (change.seconds) hit.seconds = Rounded(*change.seconds);
  hit.note = change.note.value_or(hit.note);
  hit.velocity = change.velocity.value_or(hit.velocity);
  if (change.note || !change.stem.empty()) {
    TIMBRE_TRY(hit.stem, StemFor(change, hit.note, hit.stem));
  }
  hits_.erase(hits_.begin() + static_cast<std::ptrdiff_t>(index));
  Place(hit);
  return {};
}

Status DrumHitList::Remove(int id) {
  TIMBRE_TRY(const size_t index, Find(id));
  hits_.erase(hits_.begin() + static_cast<std::ptrdiff_t>(index));
  return {};
}

Json DrumHitList::Corrected(const Json& heard) const {
  Json json = heard;
  json["stems"] = Json::array();
  for (const Stem& stem : stems_) json["stems"].push_back({{"name", stem.name}, {"hits", Json::array()}});
  for (const ListedHit& hit : hits_) {
    json["stems"][static_cast<size_t>(hit.stem)]["hits"].push_back(
        {{"seconds", hit.seconds}, {"note", hit.note}, {"velocity", hit.velocity}});
  }
  return json;
}

}  // namespace timbre
