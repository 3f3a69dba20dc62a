#include "pipelines/drums/drums_config.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {"stems: {kick: {keep: {rise_db: {min: 3}}, voices: {low: {note: 35, pitch_hz: {max: 50}}}}}\n",
          "tempo: {min_bpm: 70}\nducking:\n  - {stem: snare, by: kick, threshold_db: -20, ratio: 2, attack_ms: 1, "
          "release_ms: 5, knee_db: 0, mix: 1}\n",
          "a: &a [1, 2]\nb: [*a, *a]\n"};
}

}  // namespace

TIMBRE_FUZZ_TARGET(DrumsConfig, Seeds, 2000) { (void)timbre::ParseDrumsConfig(bytes, "fuzz.yaml", {}); }
