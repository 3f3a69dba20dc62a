// The configurations beside a song's weights: whatever they say, they are refused or describe networks within bounds.
#include <cstdlib>

#include "models/song/bigvgan.h"
#include "models/song/dit.h"
#include "models/song/mulan.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace timbre;

std::vector<std::string> Seeds() {
  return {R"({"dim": 64, "depth": 3, "heads": 4, "ff_mult": 4, "mel_dim": 16, "text_num_embeds": 520, "conv_layers": 0,
              "long_skip_connection": false, "block_size": 4, "repa_depth": 2, "repa_dims": [24, 16]})",
          R"({"resblock": "1", "upsample_rates": [5, 4, 3, 2], "upsample_kernel_sizes": [10, 8, 7, 4],
              "upsample_initial_channel": 64, "in_channels": 16, "sampling_rate": 48000, "activation": "snakebeta",
              "snake_logscale": true, "use_tanh_at_final": false, "use_bias_at_final": false,
              "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]]})",
          R"({"mulan": {"sr": 24000, "clip_secs": 1, "dim_latent": 20}, "audio_model": {"use_layer_idx": -1},
              "audio_transformer": {"dim": 24, "tf_depth": 2, "heads": 2, "dim_head": 16, "ff_mult": 4},
              "text_transformer": {"dim": 24, "tf_depth": 2, "heads": 2, "dim_head": 16, "ff_mult": 4},
              "encoder_dim": 32, "encoder_depth": 2, "conv_dim": 8, "stat": {"melspec_2048_mean": 6.7,
              "melspec_2048_std": 18.4}, "w2v2_config": {"num_attention_heads": 4, "intermediate_size": 64},
              "vocab_size": 200, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
              "intermediate_size": 48, "max_position_embeddings": 40})"};
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

TIMBRE_FUZZ_TARGET(SongConfig, Seeds, 5000) {
  const auto dit = ParseDitConfig(bytes);
  Require(dit ? dit->dim == dit->heads * dit->head() && dit->head() % 2 == 0 && dit->block_size > 0
              : !dit.error().message.empty());
  const auto decoder = ParseBigvganConfig(bytes);
  Require(decoder ? decoder->hop() > 0 && decoder->hop() <= 1 << 20 &&
                        decoder->upsample_rates.size() == decoder->upsample_kernel_sizes.size()
                  : !decoder.error().message.empty());
  const auto mulan = ParseMulanConfig(bytes, bytes, bytes);
  Require(mulan ? mulan->dim % mulan->heads == 0 && mulan->clip_samples() > 0 && mulan->most_tokens() > 0
                : !mulan.error().message.empty());
}
