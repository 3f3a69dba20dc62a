// The pickle machine and what is made of its result, without the archive's checksums in the way.
#include "formats/checkpoint.h"
#include "formats/zip.h"
#include "tests/e2e/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"
#include "tests/support/places.h"
#include "tests/support/zip_builder.h"

namespace {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"zip.pt", "protocol4.pt", "module.pt"}) {
    const std::string file = timbre::testing::ReadAll(timbre::testing::SourceDir() + "/tests/data/formats/" + name);
    auto archive = timbre::ZipArchive::Open(timbre::SharedBytes::Own(file));
    if (!archive) continue;
    for (const timbre::ZipEntry& entry : archive->entries()) {
      if (entry.name.ends_with("data.pkl")) seeds.emplace_back(archive->Read(entry)->text());
    }
  }
  return seeds;
}

}  // namespace

TIMBRE_FUZZ_TARGET(Pickle, Seeds) {
  // One storage for every tensor of the seeds.
  static const std::vector<std::string> storages(16, std::string(256, '\1'));
  const std::string archive = timbre::testing::BuildTorchZip(std::string(bytes), storages);
  const auto checkpoint = timbre::ReadCheckpoint(timbre::SharedBytes::Own(archive));
  if (!checkpoint) return;
  timbre::testing::Checksum(*checkpoint->tensors);
  if (const auto package = timbre::ToDemucsPackage(*checkpoint)) {
    const timbre::PickleValue& kwargs = package->kwargs;
    for (size_t i = 0; i < kwargs.size(); ++i) {
      kwargs.Value(i).Number();
      kwargs.Value(i).Strings();
    }
  }
}
