// What says how htdemucs-small, a network of the reference cases, is built.
#pragma once

#include <string>

#include "tests/support/torch_writer.h"

namespace timbre::testing {

// The configuration of htdemucs-small as Music-Source-Separation-Training writes it.
inline constexpr char kSmallHtdemucsYaml[] = R"(audio:
  chunk_size: 44100
  hop_length: 1024

training:
  batch_size: 8
  segment: 1
  samplerate: 44100
  channels: 2
  instruments: ['drums', 'bass', 'other', 'vocals']
  target_instrument: null
  lr: 9.0e-05
  use_amp: true # enable or disable usage of mixed precision

inference:
  num_overlap: 4
  batch_size: 8

model: htdemucs

htdemucs:  # see demucs/htdemucs.py
  channels: 8
  channels_time:
  growth: 2
  num_subbands: 1
  nfft: 4096
  wiener_iters: 0
  cac: true
  depth: 4
  rewrite: true
  multi_freqs: []
  emb_smooth: true
  dconv_mode: 3
  dconv_init: 1e-3
  bottom_channels: 64
  t_layers: 3
  t_layer_scale: True
  t_emb: sin
  t_cape_glob_loc_scale: [5000.0, 1.0, 1.4]
  t_norm_in_group: False
  t_lr:
  rescale: 0.1
)";

// The options that a package of htdemucs-small holds.
inline std::string SmallHtdemucsPackage(const TensorMap& state) {
  return DemucsFile({{"sources", PickleTexts({"drums", "bass", "other", "vocals"})},
                     {"channels", PickleInt(8)},
                     {"bottom_channels", PickleInt(64)},
                     {"t_layers", PickleInt(3)},
                     {"dconv_mode", PickleInt(3)},
                     {"t_gelu", PickleBool(true)},
                     {"segment", PickleFraction("1/1")}},
                    state);
}

}  // namespace timbre::testing
