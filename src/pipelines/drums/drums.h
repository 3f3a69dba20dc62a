// From drum stems to notes: bleed clean-up, onsets, what was struck and how hard, tempo and beats.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/drums/drums_config.h"

namespace timbre {

// One detection: kept as a note, or rejected and why.
struct DrumHit {
  Onset onset;
  double seconds = 0;  // with the stem's offset
  bool kept = false;
  std::string reason;                // of a rejection: "level_db -31.2 is below -24"
  std::string bleeding;              // the stem that most of bleed_db is from, or empty
  const DrumVoice* voice = nullptr;  // never null where kept; of the configuration
  int velocity = 0;
};

struct DrumStem {
  std::string name;  // as given
  const DrumStemRules* rules = nullptr;
  std::vector<DrumHit> hits;  // in order of time
  OnsetTrack track;
};

struct DrumAnalysis {
  std::shared_ptr<const DrumsConfig> config;  // what `rules` and `voice` point into
  double seconds = 0;
  std::vector<DrumStem> stems;
  BeatGrid grid;
};

// Is given the stems side by side, in blocks of any size. Not thread-safe.
class DrumAnalyser {
 public:
  // Each name must be a stem or alias of the configuration, and each stem come once; other names are errors.
  static Result<DrumAnalyser> Create(DrumsConfig config, std::span<const std::string> stems, double sample_rate);
  ~DrumAnalyser();
  DrumAnalyser(DrumAnalyser&&) noexcept;

  // The next block: mono samples of every stem, in the order of the names, all of one length.
  Status Push(std::span<const std::span<const float>> stems);
  DrumAnalysis Finish();

 private:
  struct State;
  explicit DrumAnalyser(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Tempo, metre and beats as reports have them: "tempo_bpm", "tempo_steady", "metre", "metre_confidence", "downbeat" and
// "beats". What nobody knows is null.
nlohmann::ordered_json BeatGridToJson(const BeatGrid& grid);

// Every detection with its features, kept or rejected and why; tempo and beats.
nlohmann::ordered_json DrumsToJson(const DrumAnalysis& analysis);

}  // namespace timbre
