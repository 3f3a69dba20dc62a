// Whole checkpoint files of every kind.
#include "formats/checkpoint.h"
#include "tests/e2e/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"
#include "tests/support/places.h"
#include "tests/support/small_htdemucs.h"
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
  const timbre::TensorMap weights = {{"a.weight", timbre::HostTensor::FromF32({2, 2}, std::vector<float>{1, 2, 3, 4})}};
  seeds.push_back(timbre::testing::TorchFile(weights));
  seeds.push_back(timbre::testing::TorchFile(weights, {"state_dict", "module"}));
  seeds.push_back(timbre::testing::SmallHtdemucsPackage(weights));
  return seeds;
}

}  // namespace

TIMBRE_FUZZ_TARGET(Checkpoint, Seeds) {
  const auto checkpoint = timbre::ReadCheckpoint(timbre::SharedBytes::Own(std::string(bytes)));
  if (!checkpoint) return;
  timbre::testing::Checksum(*checkpoint->tensors);
  timbre::testing::Checksum(checkpoint->State());
}
