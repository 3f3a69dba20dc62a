// Where files of models come from, in the words of the catalogue's tables.
#pragma once

#include <cstdint>
#include <string_view>

#include "models/catalogue.h"

#define ZFTURBO_URL(file) "https://github.com/ZFTurbo/Music-Source-Separation-Training/releases/download/" file
#define JARREDOU_URL(file) "https://github.com/jarredou/models/releases/download/" file
#define UVR_URL(file) "https://github.com/TRvlvr/model_repo/releases/download/all_public_uvr_models/" file
#define HUGGINGFACE_URL(repository, file) "https://huggingface.co/" repository "/resolve/main/" file

namespace timbre {

inline constexpr std::string_view kNoLicence = "not stated";
inline constexpr std::string_view kTrainerPage =
    "https://github.com/ZFTurbo/Music-Source-Separation-Training/blob/main/docs/pretrained_models.md";
inline constexpr std::string_view kUvrPage = "https://github.com/Anjok07/ultimatevocalremovergui";

// A file that is called what its address ends in. `bytes`: 0 where not published; `sha256`: as ModelFile's.
constexpr ModelFile WeightsAt(std::string_view url, int64_t bytes = 0, std::string_view sha256 = {}) {
  return {.name = url.substr(url.rfind('/') + 1), .url = url, .bytes = bytes, .sha256 = sha256};
}
constexpr ModelFile ConfigAt(std::string_view url) {
  return {.name = url.substr(url.rfind('/') + 1), .url = url, .role = ModelFileRole::kConfig};
}

}  // namespace timbre
