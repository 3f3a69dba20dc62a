// Hits that a person has corrected, and hits moved onto the beat.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/midi.h"
#include "pipelines/drums/drums.h"

namespace timbre {

// The kept hits and the beats, as a person edits them:
//
//   {"seconds": 12.5, "tempo_bpm": 118, "tempo_steady": true, "metre": "4/4", "downbeat": 0, "beats": [0.2, 0.708, …],
//    "stems": [{"name": "snare", "hits": [{"seconds": 0.71, "voice": "snare", "note": 38, "velocity": 90}, …]}, …]}
//
// Seconds are those of the audio, rounded to a tenth of a millisecond.
nlohmann::ordered_json DrumHitsToJson(const DrumAnalysis& analysis);

// Of that form, or what DrumsToJson gives, after a person has changed it: of each stem "name" and "hits", of a hit
// "seconds", "velocity" and "voice" or "note"; all else may be missing. A hit that says "kept": false counts as
// rejected and needs its seconds alone. A note that none of the stem's voices has is one of its own. Beats, tempo,
// metre and downbeat make the tempo map as they made it before. Errors (kInvalidArgument) name the place.
Result<DrumAnalysis> DrumsFromJson(DrumsConfig config, const nlohmann::ordered_json& json);
// What BeatGridToJson gave; any of it may be missing.
Result<BeatGrid> BeatGridFromJson(const nlohmann::ordered_json& json);
// "6/8".
Result<Metre> ParseMetre(std::string_view text);
// The same of a file: of that form, or a report of `timbre drums` with one track.
Result<DrumAnalysis> ReadDrumHits(DrumsConfig config, const std::string& path);

// The steps that notes can be moved to, "1/4" to "1/32", and "1/8t" and "1/16t" of triplets.
struct QuantiseStep {
  std::string_view name;
  int per_quarter = 4;
  bool triplets = false;  // which cannot be swung
};
std::span<const QuantiseStep> QuantiseSteps();

struct QuantiseOptions {
  int steps_per_quarter = 4;
  double swing = 0.5;  // where between two even steps the odd one lies: 0.5 is straight, 2/3 a triplet's
};

// Moves each note, with its length, to the nearest step of the grid that the last metre begins, which reaches back to
// the song's begin. Two of one sound on one step become the louder one.
void Quantise(MidiSong& song, const QuantiseOptions& options);

}  // namespace timbre
