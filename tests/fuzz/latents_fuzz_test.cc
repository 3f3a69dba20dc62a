// Latents to be decoded: refused, or numbers within bounds.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "pipelines/frames/latents.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  std::vector<std::string> files;
  for (const char* header : {R"({"latents":{"dtype":"F32","shape":[1,2,3,1,1],"data_offsets":[0,24]}})",
                             R"({"x":{"dtype":"BF16","shape":[2,1,2,3],"data_offsets":[0,24]}})"}) {
    std::string file(8, '\0');
    file[0] = static_cast<char>(std::string(header).size());
    files.push_back(file + header + std::string(24, '\1'));
  }
  return files;
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

TIMBRE_FUZZ_TARGET(Latents, Seeds, 5000) {
  const auto file = ReadSafetensors(SharedBytes::Own(std::string(bytes)));
  if (!file) return;
  const auto latents = LatentsIn(*file, "latents.safetensors", 2);
  Require(latents ? latents->frames > 0 && latents->channels == 2 &&
                        std::all_of(latents->values.begin(), latents->values.end(),
                                    [](float x) { return std::isfinite(x); })
                  : !latents.error().message.empty());
}
