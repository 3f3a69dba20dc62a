// What the reference cases of HunyuanVideo's autoencoder have in common.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "formats/formula_weights.h"
#include "models/frames/frames_model.h"
#include "pipelines/frames/volume.h"
#include "tests/support/golden.h"

namespace timbre::testing {

// The small ones are in the repository.
inline std::string VaeCase(const std::string& name) {
  const std::string here = DataPath("vae/" + name);
  return std::filesystem::exists(here) ? here : SharedPath("goldens/vae/" + name);
}

// The weights of one half, and the configuration that the case states.
inline FramesModel FormulaFramesModel(const Safetensors& file, FramesHalf half,
                                      const std::string& weights = "vae-tiny.weights.json") {
  FramesModel model{.name = "vae"};
  const auto config = ParseHunyuanVaeConfig(file.metadata.at("config"));
  EXPECT_TRUE(config) << config.error().message;
  const auto all = ReadFormulaWeights(VaeCase(weights));
  EXPECT_TRUE(all) << all.error().message;
  TensorMap wanted;
  for (const auto& [name, tensor] : **all) {
    const bool decoder = name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
    if (decoder == (half == FramesHalf::kDecoder)) wanted.emplace(name, tensor);
  }
  model.config = *config;
  model.weights = std::make_shared<const TensorMap>(std::move(wanted));
  return model;
}

// Laid out as the official one, with the small case's weights, which are stored so.
inline void MakeVaeFolder(const std::filesystem::path& folder, const HunyuanVaeConfig& config,
                          DType dtype = DType::kF32) {
  const auto all = ReadFormulaWeights(VaeCase("vae-tiny.weights.json"));
  ASSERT_TRUE(all) << all.error().message;
  TensorMap stored = **all;
  for (auto& [name, tensor] : stored) {
    if (dtype == DType::kF16) tensor = HostTensor::Half(tensor);
  }
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteSafetensors((folder / "diffusion_pytorch_model.safetensors").string(), stored));
  std::ofstream(folder / "config.json") << ToJson(config);
}

// A tensor [channels, frames, height, width] of the reference as a volume.
inline Volume VolumeOf(const Safetensors& file, const std::string& name) {
  const std::vector<float> values = Values(file, name);
  if (values.empty()) return {};
  const Shape& shape = file.tensors->at(name).shape;
  Volume volume(shape[1], shape[2], shape[3], shape[0]);
  const auto places = static_cast<int64_t>(values.size()) / volume.channels;
  volume.values = Transposed(values, volume.channels, places);
  return volume;
}

}  // namespace timbre::testing
