#include "pipelines/studio/notes_scene.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "dsp/tempo.h"
#include "pipelines/studio/yaml_json.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTable =
#include "notes_yaml.inc"
    ;
constexpr size_t kMostLanes = 64, kMostVoices = 128;

tl::unexpected<Error> Wrong(const std::string& where, const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, where + ": " + what);
}

Result<NoteLane> LaneOf(const Json& json, const std::string& where) {
  NoteLane lane;
  if (!json.is_object()) return Wrong(where, "a lane is a map of name, colour and notes");
  std::string colour;
  const Status read = FieldsFromJson({{.name = "name", .value = &lane.name, .help = "of the lane", .required = true},
                                      {.name = "colour", .value = &colour, .help = "#RRGGBB", .required = true}},
                                     json, {"notes"});
  if (!read) return Prefix(read.error(), where);
  const Json notes = json.value("notes", Json());
  bool good = colour.size() == 7 && colour[0] == '#' && lane.name.size() <= 64;
  for (size_t i = 0; good && i < 3; ++i) {
    const char* const from = colour.data() + 1 + 2 * i;
    good = std::from_chars(from, from + 2, lane.colour[i], 16).ptr == from + 2;
  }
  if (!good) return Wrong(where, "colour must be #RRGGBB, and the name at most 64 bytes");
  if (!notes.is_array() || notes.empty() || notes.size() > kMostVoices) {
    return Wrong(where, "notes must be a list of 1 to 128");
  }
  for (size_t i = 0; i < notes.size(); ++i) {
    NoteVoice voice{.note = -1};
    const Status voice_read = FieldsFromJson(
        {{.name = "note", .value = &voice.note, .help = "General MIDI", .required = true, .min = 0, .max = 127},
         {.name = "name", .value = &voice.name, .help = "of the sound"},
         ChoiceField("shape", &voice.shape,
                     {{"box", NoteShape::kBox},
                      {"ring", NoteShape::kRing},
                      {"diamond", NoteShape::kDiamond},
                      {"cross", NoteShape::kCross},
                      {"bar", NoteShape::kBar}},
                     "of the note")},
        notes[i]);
    if (!voice_read) return Prefix(voice_read.error(), where + ".notes[" + std::to_string(i) + "]");
    lane.voices.push_back(std::move(voice));
  }
  return lane;
}

// Ticks as seconds, asked in ascending order.
class TempoMap {
 public:
  explicit TempoMap(const MidiSong& song) : song_(song) {}
  double SecondsAt(int64_t tick) {
    for (; next_ < song_.tempi.size() && song_.tempi[next_].tick <= tick; ++next_) {
      Advance(song_.tempi[next_].tick);
      tempo_ = song_.tempi[next_].microseconds_per_beat;
    }
    Advance(tick);
    return seconds_;
  }

 private:
  void Advance(int64_t tick) {
    seconds_ += static_cast<double>(tick - from_) * tempo_ * 1e-6 / song_.ticks_per_beat;
    from_ = tick;
  }
  const MidiSong& song_;
  size_t next_ = 0;
  int64_t from_ = 0;
  int tempo_ = 500000;
  double seconds_ = 0;
};

// What a metre counts: as many beats a bar as people tap, each of so many ticks.
struct Bar {
  int beats = 4;
  double ticks_per_beat = 0;
};
Bar BarOf(const MidiSong& song, const Metre& metre) {
  return {std::max(1, metre.beats()), metre.quarters_per_beat() * song.ticks_per_beat};
}
Metre MetreAt(const MidiSong& song, size_t index) {
  return index < song.metres.size() ? Metre{song.metres[index].beats, song.metres[index].unit} : Metre{};
}

// Beats and bars until `until` seconds; a metre begins a bar wherever it comes.
void AddBeats(const MidiSong& song, double until, NotesScene& scene) {
  constexpr size_t kMostBeats = 200000;
  TempoMap tempo(song);
  size_t metre = 0;
  Bar bar = BarOf(song, Metre{});
  int in_bar = 0, number = 0;
  int64_t begin = 0;  // of the metre
  for (int64_t beat = 0; scene.beats.size() < kMostBeats; ++beat) {
    int64_t tick = begin + std::llround(static_cast<double>(beat) * bar.ticks_per_beat);
    while (metre < song.metres.size() && song.metres[metre].tick <= tick) {
      begin = tick = song.metres[metre].tick;
      bar = BarOf(song, MetreAt(song, metre));
      beat = in_bar = 0;
      ++metre;
    }
    const double seconds = tempo.SecondsAt(tick);
    if (seconds > until) return;
    if (in_bar == 0) ++number;
    scene.beats.push_back({seconds, number, in_bar == 0});
    in_bar = (in_bar + 1) % bar.beats;
  }
}

// How a bar is counted, and what the counting leads to: the song's begin or, where the same metre comes again within
// its first half bar, as in files whose beats begin a little later, the bar that begins there.
void AddCount(const MidiSong& song, NotesScene& scene) {
  const Bar bar = BarOf(song, song.metres.empty() || song.metres[0].tick > 0 ? Metre{} : MetreAt(song, 0));
  const int tempo = song.tempi.empty() || song.tempi[0].tick > 0 ? 500000 : song.tempi[0].microseconds_per_beat;
  const double seconds_per_tick = tempo * 1e-6 / song.ticks_per_beat;
  scene.beats_per_bar = bar.beats;
  scene.beat_seconds = bar.ticks_per_beat * seconds_per_tick;
  if (song.metres.size() < 2 || song.metres[0].tick > 0 || MetreAt(song, 0) != MetreAt(song, 1)) return;
  const auto first = static_cast<double>(song.metres[1].tick);
  if (first <= bar.beats * bar.ticks_per_beat / 2) scene.count_until = TempoMap(song).SecondsAt(song.metres[1].tick);
}

}  // namespace

Result<std::vector<NoteLane>> ParseNoteLanes(std::string_view yaml, std::string_view name) {
  TIMBRE_TRY(const Json json, ParseYaml(yaml, name));
  if (!json.is_object() || json.size() != 1 || !json.contains("lanes") || !json["lanes"].is_array() ||
      json["lanes"].empty() || json["lanes"].size() > kMostLanes) {
    return Wrong(std::string(name), "it must hold a list of 1 to 64 lanes");
  }
  std::vector<NoteLane> lanes;
  for (size_t i = 0; i < json["lanes"].size(); ++i) {
    TIMBRE_TRY(NoteLane lane, LaneOf(json["lanes"][i], std::string(name) + ": lanes[" + std::to_string(i) + "]"));
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

const std::vector<NoteLane>& DefaultNoteLanes() {
  // Tested: what is compiled in can be read.
  static const std::vector<NoteLane> lanes =
      ParseNoteLanes(kTable, "docs/notes.yaml").value_or(std::vector<NoteLane>());
  return lanes;
}

Result<NotesScene> MakeNotesScene(const MidiSong& song, const std::vector<NoteLane>& lanes) {
  const std::vector<double> seconds = song.NoteSeconds();
  if (seconds.empty()) return Fail(ErrorCode::kInvalidArgument, "the MIDI file has no notes.");
  if (!(seconds.back() <= kLongestScene)) {
    return Fail(ErrorCode::kUnsupported, "the MIDI file is longer than four hours.");
  }
  const bool drums =
      std::any_of(song.notes.begin(), song.notes.end(), [](const MidiNote& n) { return n.channel == 10; });
  struct Place {
    size_t lane, voice;
  };
  std::map<int, Place> places;
  for (size_t l = 0; l < lanes.size(); ++l) {
    for (size_t v = 0; v < lanes[l].voices.size(); ++v) places.emplace(lanes[l].voices[v].note, Place{l, v});
  }
  NotesScene scene;
  std::vector<NoteLane> all = lanes;
  for (const MidiNote& note : song.notes) {
    if ((drums && note.channel != 10) || places.contains(note.note)) continue;
    const std::string name = "Note " + std::to_string(note.note);
    places[note.note] = {all.size(), 0};
    all.push_back({name, {150, 150, 150}, {{note.note, name, NoteShape::kBox}}});
    scene.unknown.push_back(note.note);
  }
  std::vector<int> used(all.size(), -1);
  std::vector<bool> seen(all.size());
  for (const MidiNote& note : song.notes) {
    if (!drums || note.channel == 10) seen[places.at(note.note).lane] = true;
  }
  for (size_t l = 0; l < all.size(); ++l) {
    if (!seen[l]) continue;
    used[l] = static_cast<int>(scene.lanes.size());
    scene.lanes.push_back(all[l]);
  }
  for (size_t i = 0; i < song.notes.size(); ++i) {
    const MidiNote& note = song.notes[i];
    if (drums && note.channel != 10) continue;
    const Place place = places.at(note.note);
    const SceneNote next{seconds[i], used[place.lane], static_cast<int>(place.voice), note.velocity};
    // Two of the same at once are one.
    bool known = false;
    for (size_t back = scene.notes.size(); back-- > 0 && scene.notes[back].seconds == next.seconds && !known;) {
      SceneNote& other = scene.notes[back];
      if (other.lane != next.lane || other.voice != next.voice) continue;
      other.velocity = std::max(other.velocity, next.velocity);
      known = true;
    }
    if (!known) scene.notes.push_back(next);
  }
  AddBeats(song, scene.last() + 8, scene);
  AddCount(song, scene);
  return scene;
}

}  // namespace timbre
