// Standard MIDI Files: notes, tempo map and metres. Written by libsmf; read by our own bounded reader, because what is
// read comes from outside.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre {

class OutputSet;

struct MidiNote {
  int64_t tick = 0, length = 0;  // in ticks
  int channel = 10;              // counted from 1
  int note = 0, velocity = 0;    // 0 to 127, 1 to 127
};

struct MidiTempo {
  int64_t tick = 0;
  int microseconds_per_beat = 500000;
};

struct MidiMetre {
  int64_t tick = 0;
  int beats = 4;  // notes of 1 / unit a bar
  int unit = 4;   // a power of two, up to 128
};

struct MidiSong {
  int ticks_per_beat = 960;
  std::vector<MidiTempo> tempi;   // ascending; 120 beats a minute before the first
  std::vector<MidiMetre> metres;  // ascending
  std::vector<MidiNote> notes;    // ascending
  std::string track_name;         // of the notes; UTF-8

  // When each note begins.
  std::vector<double> NoteSeconds() const;
  // The nearest tick to a time of 0 or more.
  int64_t TickAt(double seconds) const;
};

// Format 1: a track of tempi and metres, and one of notes. Fails where a value is out of what the format holds, and
// where the file cannot be written; it appears complete or not at all, with `outputs` together with those.
Status WriteMidi(const MidiSong& song, const std::string& path, OutputSet* outputs = nullptr);

// Formats 0 and 1, all tracks in one; notes that are never released last until the end. Fails with kCorrupt on what is
// no MIDI file, kUnsupported on format 2 and on SMPTE time.
Result<MidiSong> ParseMidi(std::span<const std::byte> bytes);
Result<MidiSong> ReadMidi(const std::string& path);

}  // namespace timbre
