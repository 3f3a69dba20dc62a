// Drums as MIDI: written with the tempo map of the beats, and read back corrected to fit the thresholds to it.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/midi.h"
#include "pipelines/drums/drums.h"

namespace timbre {

// The kept hits, with tempi and metres such that the beats of the grid lie a beat's ticks apart, and bars begin anew at
// the first of them. Times are those of the audio: second 0 is tick 0, from which on the song's own tempo holds.
// Without a grid the tempo is 120 throughout.
MidiSong DrumsToMidi(const DrumAnalysis& analysis);

// Of notes of one sound each lasts no longer than until the next.
void EndNotesBeforeTheNext(MidiSong& song);

struct DrumLearning {
  struct Stem {
    std::string name;
    int wanted = 0;                      // notes of the corrected file that belong to the stem
    int found = 0;                       // of those, with a detection, kept or rejected, within 50 ms
    double f1_before = 0, f1_after = 0;  // of what is kept, against the corrected notes
  };
  std::vector<Stem> stems;
  std::string yaml;  // a configuration that holds what changed
};

// Fits to `corrected` what the analysis was made with: for every stem the conditions of `keep`, the limits between its
// voices, and its time offset. `corrected` must hold notes of at least one stem; a note belongs to the stem whose
// voices have it.
Result<DrumLearning> LearnDrums(const DrumAnalysis& analysis, const MidiSong& corrected);

}  // namespace timbre
