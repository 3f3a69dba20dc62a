#include <nlohmann/json.hpp>

#include "pipelines/drums/drums_hits.h"
#include "pipelines/drums/drums_midi.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {
      R"({"seconds": 4, "tempo_bpm": 120, "tempo_steady": true, "metre": "6/8", "beats": [0.25, 0.75, 1.25], "downbeat": 1, "stems": [
              {"name": "kick", "hits": [{"seconds": 0.25, "kept": true, "voice": "kick", "note": 36, "velocity": 100},
              {"seconds": 1, "note": 99, "velocity": 1}, {"seconds": 2, "kept": false}]}, {"name": "snare", "hits": []}]})"};
}

}  // namespace

TIMBRE_FUZZ_TARGET(DrumHits, Seeds, 2000) {
  static const timbre::DrumsConfig config = *timbre::LoadDrumsConfig("", {});
  const auto json = nlohmann::ordered_json::parse(bytes, nullptr, false);
  if (json.is_discarded()) return;
  const auto analysis = timbre::DrumsFromJson(config, json);
  if (!analysis) return;
  timbre::MidiSong song = timbre::DrumsToMidi(*analysis);
  timbre::Quantise(song, {.steps_per_quarter = 6, .swing = 0.6});
}
