// HunyuanVideo's autoencoder as its folder holds it: config.json and diffusion_pytorch_model.safetensors, or Tencent's
// pytorch_model.pt.
#pragma once

#include <memory>
#include <string>

#include "graph/weights.h"
#include "models/frames/hunyuan_vae.h"

namespace timbre {

inline constexpr const char* kDefaultFramesModel = "hunyuan-vae";

enum class FramesHalf : uint8_t { kDecoder, kEncoder };

struct FramesModel {
  std::string name;  // of the catalogue, or of the folder
  std::string path;
  HunyuanVaeConfig config;
  std::shared_ptr<const TensorMap> weights;  // of the half that was asked for; mapped where they can be
};

// A folder, one that has such a folder `vae` in it, a file of weights (with the configuration beside it, or in the
// released shape), or a name of the catalogue whose files have been fetched. The other half's weights are not looked
// at. Errors: kNotFound for a file that is missing, kCorrupt and kUnsupported for what is in one.
Result<FramesModel> OpenFramesModel(const std::string& name, FramesHalf half);

}  // namespace timbre
