// The configuration of the drum analysis: docs/drums.yaml, which documents every entry, is compiled in as the default.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dsp/ducking.h"
#include "dsp/onset.h"
#include "dsp/tempo.h"

namespace timbre {

// `feature` within [min, max].
struct DrumCondition {
  OnsetFeature feature = OnsetFeature::kStrength;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool Holds(const Onset& onset) const { return onset[feature] >= min && onset[feature] <= max; }
};

struct DrumVoice {
  std::string name;
  int note = 0;                           // General MIDI
  std::vector<DrumCondition> conditions;  // all must hold
};

struct DrumStemRules {
  std::string name;
  std::vector<std::string> aliases;
  double low_hz = 0, high_hz = 0;
  PickOptions pick;
  double offset_ms = 0;
  BeatRole role = BeatRole::kOther;
  std::vector<DrumCondition> keep;
  std::vector<DrumVoice> voices;  // the first whose conditions hold
  double pitch_semitones = 2, pitch_low_hz = 110, pitch_high_hz = 150;
  int velocity_min = 1, velocity_max = 127;
  double velocity_range_db = 30;
};

struct DrumDucking {
  std::string stem, by;
  DuckingOptions options;
};

struct DrumsConfig {
  std::vector<DrumStemRules> stems;
  std::vector<DrumDucking> ducking;
  TempoOptions tempo;
  int midi_channel = 10;  // counted from 1
  int ticks_per_beat = 960;
  double note_ms = 60;

  // The rules of the stem of that name or alias, or null.
  const DrumStemRules* Find(std::string_view stem) const;
};

// The default, with the YAML of `file` (empty: none) over it, and then each of `settings`, "path.to.value=YAML". Errors
// name the entry, and suggest the nearest where a name is unknown.
Result<DrumsConfig> LoadDrumsConfig(const std::string& file, std::span<const std::string> settings);
// The same from text; `name` stands for it in errors.
Result<DrumsConfig> ParseDrumsConfig(std::string_view yaml, std::string_view name,
                                     std::span<const std::string> settings);

// The text of the default.
std::string_view DefaultDrumsConfig();

// Settings whose values the command line has parted at commas, which YAML has within one, whole again.
std::vector<std::string> JoinDrumSettings(std::span<const std::string> pieces);

}  // namespace timbre
