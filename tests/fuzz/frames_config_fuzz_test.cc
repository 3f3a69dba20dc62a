// What lies beside an autoencoder's weights: refused, or a network within bounds.
#include <cstdlib>

#include "models/frames/hunyuan_vae.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  return {ToJson(HunyuanVaeConfig()),
          R"({"_class_name": "AutoencoderKLCausal3D", "block_out_channels": [16, 24, 32, 32], "layers_per_block": 1,
              "norm_num_groups": 8, "sample_size": 256, "sample_tsize": 64, "time_compression_ratio": 4})"};
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

TIMBRE_FUZZ_TARGET(FramesConfig, Seeds, 5000) {
  const auto config = ParseHunyuanVaeConfig(bytes);
  Require(config ? config->block_out_channels.size() == 4 && config->latent_channels > 0 &&
                       config->scaling_factor > 0 && config->block_out_channels[0] % config->norm_num_groups == 0
                 : !config.error().message.empty());
}
