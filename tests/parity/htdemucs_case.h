// HTDemucs as a reference case states it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "models/separate/htdemucs.h"

namespace timbre::testing {

// The network that a case's metadata describes.
inline HtdemucsOptions OptionsOf(const Safetensors& file) {
  const auto config = nlohmann::json::parse(file.metadata.at("config"));
  HtdemucsOptions o;
  o.sources = config.at("sources").get<std::vector<std::string>>();
  o.channels = config.at("channels");
  o.growth = config.at("growth");
  o.nfft = config.at("nfft");
  o.depth = config.at("depth");
  o.bottom_channels = config.at("bottom_channels");
  o.t_layers = config.at("t_layers");
  o.dconv_mode = config.at("dconv_mode");
  o.samplerate = config.at("samplerate");
  o.use_train_segment = config.at("use_train_segment");
  const std::string segment = config.at("segment");
  const size_t slash = segment.find('/');
  o.segment = std::stod(segment) / (slash == std::string::npos ? 1.0 : std::stod(segment.substr(slash + 1)));
  return o;
}

}  // namespace timbre::testing
