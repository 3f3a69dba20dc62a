#include <nlohmann/json.hpp>

#include "pipelines/studio/timeline.h"
#include "pipelines/studio/yaml_json.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {R"({"sample_rate": 44100, "channels": 2, "crossfade": 2.0, "clips": [{"id": "c1", "asset": "a", "name": "A",
              "role": "intro", "asset_length": 1000, "from": 10, "length": 500, "gain_db": -3, "mute": false,
              "solo": true, "crossfade": 1.5, "chain": {"bands": [{"type": "peak", "hz": 100, "db": 1}]}},
              {"id": "c2", "asset": "b", "asset_length": 7, "length": 7}], "master": {"limiter": {"ceiling_db": -1}}})",
          "sample_rate: 48000\nclips:\n- {id: x, asset: y, asset_length: 1099511627776, length: 1099511627776}\n"};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Timeline, Seeds, 2000) {
  const auto json = timbre::ParseYaml(bytes, "fuzz");
  if (!json) return;
  auto timeline = timbre::Timeline::FromJson(*json);
  if (!timeline) return;
  // What was read can be worked on, and is the same when it is read again.
  (void)timeline->Places();
  const std::string once = timeline->ToJson(true).dump();
  const auto again = timbre::Timeline::FromJson(timeline->ToJson(true));
  if (!again || again->ToJson(true).dump() != once) __builtin_trap();
  if (!timeline->clips().empty() && timeline->Duplicate(timeline->clips()[0].id)) (void)timeline->Undo();
  if (timeline->ToJson(true).dump() != once) __builtin_trap();
}
