#include "pipelines/drums/drums_hits.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/suggest.h"
#include "base/text.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLargestFile = 64 << 20, kMostHits = 100000, kMostBeats = 30000;
constexpr double kLongest = 24 * 3600;  // seconds

tl::unexpected<Error> Wrong(const std::string& where, const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, where + " " + what);
}

Result<double> NumberIn(const Json& object, const char* key, double least, double most, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return Wrong(where, std::string("needs a number '") + key + "'");
  const auto value = found->get<double>();
  if (!(value >= least && value <= most)) return Wrong(where, std::string("has a '") + key + "' out of range");
  return value;
}

// Members that may be missing or null.
double NumberOr(const Json& object, const char* key, double otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

// As reports write it; where there is none, bars of four quarters.
Result<Metre> MetreIn(const Json& json) {
  const auto found = json.find("metre");
  if (found == json.end() || found->is_null()) return Metre{};
  return ParseMetre(found->is_string() ? found->get_ref<const std::string&>() : std::string());
}

Result<std::vector<double>> BeatsIn(const Json& json) {
  std::vector<double> beats;
  const auto found = json.find("beats");
  if (found == json.end()) return beats;
  if (!found->is_array() || found->size() > kMostBeats) return Wrong("beats", "must be a list of seconds");
  for (const Json& beat : *found) {
    const bool later =
        beat.is_number() && (beats.empty() ? beat.get<double>() >= 0 : beat.get<double>() > beats.back());
    if (!later || !(beat.get<double>() <= kLongest)) return Wrong("beats", "must be seconds, each later than the last");
    beats.push_back(beat.get<double>());
  }
  return beats;
}

// What a kept hit says it is: the name of a voice, or a note.
struct Sound {
  std::string voice;
  int note = -1;
};

Result<Sound> SoundOf(const Json& hit, const DrumStemRules& rules, const std::string& where) {
  Sound sound;
  if (hit.contains("voice") && hit["voice"].is_string()) sound.voice = hit["voice"].get<std::string>();
  if (hit.contains("note")) {
    TIMBRE_TRY(const double note, NumberIn(hit, "note", 0, 127, where));
    sound.note = static_cast<int>(note);
  }
  std::vector<std::string> names;
  for (const DrumVoice& voice : rules.voices) {
    names.push_back(voice.name);
    if (voice.name == sound.voice && (sound.note < 0 || sound.note == voice.note)) return sound;
  }
  if (sound.note >= 0) return sound;
  if (sound.voice.empty()) return Wrong(where, "needs a 'voice' or a 'note'");
  return Fail(ErrorCode::kInvalidArgument,
              where + " has no voice '" + Printable(sound.voice) + "'." + SuggestionFor(sound.voice, names));
}

const DrumVoice* VoiceOf(const DrumStemRules& rules, const Sound& sound) {
  for (const DrumVoice& voice : rules.voices) {
    if (sound.note >= 0 ? voice.note == sound.note && (sound.voice.empty() || voice.name == sound.voice)
                        : voice.name == sound.voice) {
      return &voice;
    }
  }
  for (const DrumVoice& voice : rules.voices) {
    if (voice.note == sound.note) return &voice;
  }
  return nullptr;
}

}  // namespace

Result<Metre> ParseMetre(std::string_view text) {
  int notes = 0, unit = 0;
  const size_t slash = std::min(text.find('/'), text.size());
  const char *const begin = text.data(), *const end = begin + text.size(), *const middle = begin + slash;
  const auto first = std::from_chars(begin, middle, notes);
  const auto second = std::from_chars(std::min(middle + 1, end), end, unit);
  if (first.ptr != middle || second.ptr != end) notes = 0;
  if (notes < 1 || notes > 32 || unit < 1 || unit > 32 || !std::has_single_bit(static_cast<unsigned>(unit))) {
    return Wrong("metre", "must be as \"6/8\", of up to 32 notes and a power of two");
  }
  return Metre{notes, unit};
}

Result<BeatGrid> BeatGridFromJson(const Json& json) {
  BeatGrid grid;
  grid.bpm = std::clamp(NumberOr(json, "tempo_bpm", 0), 0.0, 1000.0);
  grid.steady = json.contains("tempo_steady") && json["tempo_steady"] == true;
  TIMBRE_TRY(grid.metre, MetreIn(json));
  const bool known = grid.bpm > 0 || (json.contains("metre") && json["metre"].is_string());
  grid.metre_confidence = std::clamp(NumberOr(json, "metre_confidence", known ? 1 : 0), 0.0, 1.0);
  TIMBRE_TRY(grid.beats, BeatsIn(json));
  const double last = static_cast<double>(std::max<size_t>(1, grid.beats.size()) - 1);
  grid.downbeat = static_cast<int>(std::clamp(NumberOr(json, "downbeat", 0), 0.0, last));
  return grid;
}

nlohmann::ordered_json DrumHitsToJson(const DrumAnalysis& analysis) {
  Json json = DrumsToJson(analysis);
  for (Json& stem : json["stems"]) {
    Json hits = Json::array();
    for (const Json& hit : stem["hits"]) {
      if (hit["kept"] != true) continue;
      hits.push_back(
          {{"seconds", hit["seconds"]}, {"voice", hit["voice"]}, {"note", hit["note"]}, {"velocity", hit["velocity"]}});
    }
    stem = {{"name", stem["name"]}, {"hits", std::move(hits)}};
  }
  return json;
}

Result<DrumAnalysis> DrumsFromJson(DrumsConfig config, const Json& json) {
  if (!json.is_object() || !json.contains("stems") || !json["stems"].is_array()) {
    return Fail(ErrorCode::kInvalidArgument, "it holds no list 'stems' of hits, as reports of timbre drums do");
  }
  DrumAnalysis analysis;
  analysis.seconds = std::clamp(NumberOr(json, "seconds", 0), 0.0, kLongest);
  TIMBRE_TRY(analysis.grid, BeatGridFromJson(json));
  struct Read {
    size_t stem;
    Sound sound;
  };
  std::vector<Read> sounds;
  std::set<const DrumStemRules*> seen;
  std::vector<size_t> rules_of;
  for (size_t s = 0; s < json["stems"].size(); ++s) {
    const Json& object = json["stems"][s];
    const std::string where = "stems[" + std::to_string(s) + "]";
    if (!object.is_object() || !object.contains("name") || !object["name"].is_string() || !object.contains("hits") ||
        !object["hits"].is_array()) {
      return Wrong(where, "needs a 'name' and a list of 'hits'");
    }
    DrumStem stem{.name = object["name"].get<std::string>()};
    const DrumStemRules* const rules = config.Find(stem.name);
    if (rules == nullptr) return Wrong(where, "is no drum that the configuration knows");
    if (!seen.insert(rules).second) return Wrong(where, "is there twice");
    rules_of.push_back(static_cast<size_t>(rules - config.stems.data()));
    if (sounds.size() + object["hits"].size() > kMostHits) return Wrong(where, "has too many hits");
    for (size_t h = 0; h < object["hits"].size(); ++h) {
      const Json& entry = object["hits"][h];
      const std::string place = where + ".hits[" + std::to_string(h) + "]";
      if (!entry.is_object()) return Wrong(place, "is no hit");
      DrumHit hit;
      TIMBRE_TRY(hit.seconds, NumberIn(entry, "seconds", 0, kLongest, place));
      hit.kept = !entry.contains("kept") || entry["kept"] == true;
      Sound sound;
      if (hit.kept) {
        TIMBRE_TRY(const double velocity, NumberIn(entry, "velocity", 1, 127, place));
        hit.velocity = static_cast<int>(velocity);
        TIMBRE_TRY(sound, SoundOf(entry, *rules, place));
      }
      stem.hits.push_back(std::move(hit));
      sounds.push_back({s, std::move(sound)});
    }
    analysis.stems.push_back(std::move(stem));
  }
  // Voices of their own, ahead of any pointer to one.
  size_t at = 0;
  for (size_t s = 0; s < analysis.stems.size(); ++s) {
    DrumStemRules& rules = config.stems[rules_of[s]];
    for (size_t h = 0; h < analysis.stems[s].hits.size(); ++h, ++at) {
      const Sound& sound = sounds[at].sound;
      if (!analysis.stems[s].hits[h].kept || VoiceOf(rules, sound) != nullptr) continue;
      rules.voices.push_back({.name = "note " + std::to_string(sound.note), .note = sound.note});
    }
  }
  analysis.config = std::make_shared<const DrumsConfig>(std::move(config));
  at = 0;
  for (size_t s = 0; s < analysis.stems.size(); ++s) {
    DrumStem& stem = analysis.stems[s];
    stem.rules = &analysis.config->stems[rules_of[s]];
    for (DrumHit& hit : stem.hits) {
      if (hit.kept) hit.voice = VoiceOf(*stem.rules, sounds[at].sound);
      ++at;
    }
    std::stable_sort(stem.hits.begin(), stem.hits.end(),
                     [](const DrumHit& a, const DrumHit& b) { return a.seconds < b.seconds; });
  }
  return analysis;
}

Result<DrumAnalysis> ReadDrumHits(DrumsConfig config, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(ErrorCode::kNotFound, path + ": it cannot be opened.");
  std::string text;
  std::vector<char> piece(1 << 16);
  while (in && text.size() <= kLargestFile) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece.data(), static_cast<size_t>(in.gcount()));
  }
  if (text.size() > kLargestFile) return Fail(ErrorCode::kUnsupported, path + ": it is larger than 64 MiB.");
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Fail(ErrorCode::kInvalidArgument, path + ": it is no JSON.");
  if (json.is_object() && json.contains("tracks") && json["tracks"].is_array()) {
    if (json["tracks"].size() != 1 || !json["tracks"][0].is_object() || !json["tracks"][0].contains("drums")) {
      return Fail(ErrorCode::kInvalidArgument, path + ": the report must hold the drums of one track.");
    }
    json = Json(json["tracks"][0]["drums"]);
  }
  Result<DrumAnalysis> analysis = DrumsFromJson(std::move(config), json);
  if (!analysis) return Prefix(analysis.error(), path);
  return analysis;
}

std::span<const QuantiseStep> QuantiseSteps() {
  static constexpr QuantiseStep kSteps[] = {{"1/4", 1},  {"1/8", 2},        {"1/16", 4},
                                            {"1/32", 8}, {"1/8t", 3, true}, {"1/16t", 6, true}};
  return kSteps;
}

void Quantise(MidiSong& song, const QuantiseOptions& options) {
  const double step = static_cast<double>(song.ticks_per_beat) / options.steps_per_quarter;
  const auto origin = static_cast<double>(song.metres.empty() ? 0 : song.metres.back().tick);
  const auto tick_of = [&](int64_t index) {
    const int64_t odd = (index % 2 + 2) % 2;
    return origin + static_cast<double>(index - odd) * step + (odd != 0 ? 2 * step * options.swing : 0);
  };
  for (MidiNote& note : song.notes) {
    const auto tick = static_cast<double>(note.tick);
    const auto near = static_cast<int64_t>(std::floor((tick - origin) / step));
    double best = HUGE_VAL;
    for (int64_t index = near - 1; index <= near + 3; ++index) {  // one of them is not ahead of the song
      const double other = tick_of(index);
      if (other >= 0 && std::abs(other - tick) < std::abs(best - tick)) best = other;
    }
    note.tick = std::llround(best);
  }
  std::stable_sort(song.notes.begin(), song.notes.end(), [](const MidiNote& a, const MidiNote& b) {
    return a.tick != b.tick ? a.tick < b.tick : a.note != b.note ? a.note < b.note : a.velocity > b.velocity;
  });
  const auto same = [](const MidiNote& a, const MidiNote& b) {
    return a.tick == b.tick && a.note == b.note && a.channel == b.channel;
  };
  song.notes.erase(std::unique(song.notes.begin(), song.notes.end(), same), song.notes.end());
  // A note that comes again ends before.
  std::map<int, MidiNote*> latest;
  for (MidiNote& note : song.notes) {
    MidiNote*& before = latest[note.channel * 128 + note.note];
    if (before != nullptr) before->length = std::min(before->length, note.tick - before->tick);
    before = &note;
  }
}

}  // namespace timbre
