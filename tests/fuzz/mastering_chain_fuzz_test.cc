#include "pipelines/studio/mastering_chain.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {
      "bands:\n  - {type: highpass, hz: 30}\n  - {type: peak, hz: 3000, db: 2.5, q: 1.2}\ncompressor: {threshold_db: "
      "-12, ratio: 2, attack_ms: 5, release_ms: 100}\nlimiter: {ceiling_db: -1, release_ms: 100}\n",
      R"({"title": "\u00e4", "bands": [{"type": "lowshelf", "hz": 1e2, "db": -3}], "limiter": {"ceiling_db": -2}})",
      "a: &a [1, 2]\nb: [*a, *a]\n? [x]\n: y\n"};
}

}  // namespace

TIMBRE_FUZZ_TARGET(MasterChain, Seeds, 2000) {
  const auto chain = timbre::ParseChain(bytes, "fuzz.yaml");
  if (!chain) return;
  // What can be read can be run.
  float block[64] = {0.5f, -0.5f, 1.0f};
  timbre::ChainProcessor(*chain, timbre::ChainEngine::kStudio, 44100, 2).Process(block, 32);
  timbre::ChainProcessor(*chain, timbre::ChainEngine::kClassic, 44100, 2).Process(block, 32);
}
