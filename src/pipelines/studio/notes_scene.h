// Falling notes: what a MIDI song looks like, before anything is drawn.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/midi.h"

namespace timbre {

enum class NoteShape : uint8_t { kBox, kRing, kDiamond, kCross, kBar };

struct NoteVoice {
  int note = 0;  // General MIDI
  std::string name;
  NoteShape shape = NoteShape::kBox;
};

struct NoteLane {
  std::string name;
  std::array<uint8_t, 3> colour = {};  // sRGB
  std::vector<NoteVoice> voices;
  bool bar() const { return !voices.empty() && voices[0].shape == NoteShape::kBar; }
};

// docs/notes.yaml, or a table of its form.
Result<std::vector<NoteLane>> ParseNoteLanes(std::string_view yaml, std::string_view name);
const std::vector<NoteLane>& DefaultNoteLanes();

struct SceneNote {
  double seconds = 0;
  int lane = 0;   // of the scene
  int voice = 0;  // of the lane
  int velocity = 0;
  bool ghost() const { return velocity < 40; }
};

struct SceneBeat {
  double seconds = 0;
  int bar = 0;         // from 1
  bool first = false;  // of its bar
};

struct NotesScene {
  std::vector<NoteLane> lanes;   // those that are used, in the table's order
  std::vector<SceneNote> notes;  // in order of time; of several that are the same at once the loudest
  std::vector<SceneBeat> beats;
  // For counting in: a beat, how many a bar has, and when the bar begins that they lead to.
  double beat_seconds = 0.5;
  int beats_per_bar = 4;
  double count_until = 0;
  std::vector<int> unknown;  // notes that no lane of the table has
  double last() const { return notes.empty() ? 0 : notes.back().seconds; }
};

inline constexpr double kLongestScene = 4 * 3600;  // seconds

// The notes of channel 10 where there are any, else all. Fails with kUnsupported on a song beyond four hours, and with
// kInvalidArgument where it has no notes.
Result<NotesScene> MakeNotesScene(const MidiSong& song, const std::vector<NoteLane>& lanes);

}  // namespace timbre
