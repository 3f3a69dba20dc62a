// Whole checkpoint files of every kind.
#include "formats/checkpoint.h"
#include "tests/e2e/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"
#include "tests/support/places.h"
#include "tests/support/zip_builder.h"

namespace {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"zip.pt", "protocol4.pt", "legacy.pt", "complex.pt"}) {
    seeds.push_back(timbre::testing::ReadAll(timbre::testing::SourceDir() + "/tests/data/formats/" + name));
  }
  seeds.push_back(timbre::testing::BuildTorchZip("}.", {"abcd"}, true));
  seeds.push_back(
      timbre::testing::BuildZip({{"config.ini", "[a]\nb=1\n", true}, {"model.ckpt.best", seeds.back(), true}}));
  return seeds;
}

}  // namespace

TIMBRE_FUZZ_TARGET(Checkpoint, Seeds) {
  const auto checkpoint = timbre::ReadCheckpoint(timbre::SharedBytes::Own(std::string(bytes)));
  if (checkpoint) timbre::testing::Checksum(*checkpoint->tensors);
}
