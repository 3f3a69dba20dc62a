// Where programs that play sampled drums have the sounds of General MIDI's percussion.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/midi.h"

namespace timbre {

struct DrumMapEntry {
  int general = 0;            // General MIDI's note
  int note = 0;               // the program's
  std::string_view stand_in;  // which sound takes its place, where the program has none that is like it; else empty
};

struct DrumMap {
  std::string_view name;                  // as --map takes it
  std::string_view program;               // with the version whose layout this is
  std::span<const DrumMapEntry> entries;  // of what has a place, ascending
};

// Of programs whose notes are not General MIDI's.
std::span<const DrumMap> DrumMaps();

// Gives every note the program's number. What the program has no place for is left out; of two that become one sound at
// one time the louder one stays. The value says in sentences what was left out, and what took the place of what.
std::vector<std::string> MapDrums(const DrumMap& map, MidiSong& song);

}  // namespace timbre
