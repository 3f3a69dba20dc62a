// Tempo and beats from the onsets of a drum kit, steady or drifting, straight or swung.
#pragma once

#include <span>
#include <vector>

namespace timbre {

// What an onset says about the beat: kicks tend to fall on the first and third of four beats, snares and claps on the
// second and fourth, everything else on beats and their subdivisions.
enum class BeatRole { kLow, kBack, kOther };

struct BeatOnset {
  double seconds = 0;
  BeatRole role = BeatRole::kOther;
  double weight = 1;  // 0 to 1: how loud
};

struct TempoOptions {
  double min_bpm = 60, max_bpm = 200;
  double prior_bpm = 115;  // what the tempo is nearer to, where nothing else decides between octaves
  int beats_per_bar = 4;
};

struct BeatGrid {
  std::vector<double> beats;  // seconds, ascending; empty where there are too few onsets to tell
  double bpm = 0;             // of the whole; 0 where unknown
  bool steady = false;        // one tempo explains every beat
  int downbeat = 0;           // index of the first beat that begins a bar
};

// Sorted onsets of a signal of `seconds` in, its beats out, from its begin to its end.
BeatGrid EstimateBeats(std::span<const BeatOnset> onsets, double seconds, const TempoOptions& options);

}  // namespace timbre
