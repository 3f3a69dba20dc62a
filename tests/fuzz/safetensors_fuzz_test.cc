#include "formats/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"

namespace {

std::vector<std::string> Seeds() {
  const std::string header = R"({"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                             R"("y":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  return {file + header + std::string(14, '\1')};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Safetensors, Seeds) {
  const auto file = timbre::ReadSafetensors(timbre::SharedBytes::Own(std::string(bytes)));
  if (file) timbre::testing::Checksum(*file->tensors);
}
