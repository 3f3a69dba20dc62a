// Tempo and beats from the onsets of a drum kit, steady or drifting, straight or swung.
#pragma once

#include <optional>
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

// Bars of so many notes of 1 / unit. In compound metres, 6/8 and its multiples by eighths in threes, the beat that
// people tap is three of them; else it is one.
struct Metre {
  int notes = 4, unit = 4;

  bool compound() const { return unit == 8 && notes % 3 == 0 && notes > 3; }
  int beats() const { return compound() ? notes / 3 : notes; }  // a bar
  double quarters_per_beat() const { return (compound() ? 12.0 : 4.0) / unit; }
  bool operator==(const Metre&) const = default;
};

struct TempoOptions {
  double min_bpm = 60, max_bpm = 200;
  double prior_bpm = 115;      // what the tempo is nearer to, where nothing else decides between octaves
  std::optional<Metre> metre;  // empty: 4/4, 3/4, 6/8 or 12/8, as the onsets say
};

struct BeatGrid {
  std::vector<double> beats;  // seconds, ascending; empty where there are too few onsets to tell
  double bpm = 0;             // of the whole; 0 where unknown
  bool steady = false;        // one tempo explains every beat
  int downbeat = 0;           // index of the first beat that begins a bar
  Metre metre;
  // How often such a metre is right, by how much better it explains the onsets than the next one: 0.5 where both are
  // alike, 1 where it was given, 0 where nothing was found.
  double metre_confidence = 0;
};

// Sorted onsets of a signal of `seconds` in, its beats out, from its begin to its end.
BeatGrid EstimateBeats(std::span<const BeatOnset> onsets, double seconds, const TempoOptions& options);

}  // namespace timbre
