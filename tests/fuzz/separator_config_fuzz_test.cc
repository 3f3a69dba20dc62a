// The YAML files of trainers that say how a separation network is built.
#include "models/separate/htdemucs.h"
#include "models/separate/mdx23c.h"
#include "tests/e2e/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/places.h"
#include "tests/support/small_htdemucs.h"

namespace {

std::vector<std::string> Seeds() {
  return {timbre::testing::kSmallHtdemucsYaml,
          timbre::testing::ReadAll(timbre::testing::SourceDir() + "/tests/data/official/mdx23c-tiny.yaml")};
}

}  // namespace

TIMBRE_FUZZ_TARGET(SeparatorConfig, Seeds, 2000) {
  const timbre::TensorMap none;
  const std::string text(bytes);
  if (const auto config = timbre::ParseHtdemucsConfig(text, none)) {
    if (!timbre::CheckHtdemucs(config->network)) __builtin_trap();
  }
  if (const auto options = timbre::ParseMdx23cConfig(text)) {
    if (!timbre::CheckMdx23c(*options)) __builtin_trap();
  }
}
