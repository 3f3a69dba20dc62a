// Hybrid Transformer Demucs (Rouard, Massa, Défossez, "Hybrid Transformers for Music Source Separation", ICASSP 2023),
// as demucs 4.0 runs it: a U-Net over the spectrogram and one over the waveform, joined by a transformer between them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"

namespace timbre {

// The constructor's options, under its names and with its defaults; those that only training reads are left out.
struct HtdemucsOptions {
  std::vector<std::string> sources{"drums", "bass", "other", "vocals"};
  int audio_channels = 2;
  int channels = 48, growth = 2, depth = 4;
  int nfft = 4096;
  bool rewrite = true;
  double freq_emb = 0.2, emb_scale = 10;
  int kernel_size = 8, stride = 4;
  int context = 1, context_enc = 0;
  int norm_starts = 4, norm_groups = 4;
  int dconv_mode = 1, dconv_depth = 2;
  double dconv_comp = 8;
  int bottom_channels = 0;
  int t_layers = 5, t_heads = 8;
  double t_hidden_scale = 4;
  bool t_norm_in = true, t_norm_first = true, t_norm_out = true, t_layer_scale = true, t_gelu = true,
       t_cross_first = false;
  int t_norm_in_group = 0, t_group_norm = 0;  // groups; 0: off
  double t_max_period = 10000, t_weight_pos_embed = 1;
  int samplerate = 44100;
  double segment = 10;
  bool use_train_segment = true;

  // Those of the released four-stem network, 955717e8.
  static HtdemucsOptions Released();
  int64_t training_samples() const;
};

// Options from outside are bounded and fit together. Errors name the option.
Status CheckHtdemucs(const HtdemucsOptions& options);

struct DemucsPackage;
// The options that a Demucs package was made with. Every option of demucs 4.0's constructor is known; a value that no
// released model has and that would change the network is an error that names the option.
Result<HtdemucsOptions> ReadHtdemucsOptions(const DemucsPackage& package);

// How a track is cut and what is done to it before.
struct HtdemucsTiling {
  int num_overlap = 0;  // chunks every 1 / num_overlap of a segment, which all count the same; 0: as demucs.apply does
  bool normalise = true;  // the whole track, as demucs does
};

// What a YAML file of ZFTurbo's Music-Source-Separation-Training says: the network, and how its program cuts tracks.
struct HtdemucsConfig {
  HtdemucsOptions network;
  HtdemucsTiling tiling;
};

// Whether these are weights of an HTDemucs, whatever its options.
bool IsHtdemucs(const TensorMap& weights);

// Reads the YAML text that belongs to `weights`, which have the last word on the channels of sound. Everything is
// bounded; errors name the entry.
Result<HtdemucsConfig> ParseHtdemucsConfig(const std::string& yaml, const TensorMap& weights);

// The graph of `batch` tiles of `tile` samples: "mix" [batch, tile, audio_channels] -> "stems"
// [batch, tile, sources * audio_channels]. Weights have the names and layouts of demucs' state dict. With `taps`, the
// outputs of the encoders, decoders and of the transformer are graph outputs too, under the names of demucs' modules
// ("encoder.0").
Result<Graph> BuildHtdemucs(const HtdemucsOptions& options, Weights& weights, int64_t tile, int batch,
                            bool taps = false);

// The model of `options` with `weights`, which hold nothing but its parameters.
Result<std::shared_ptr<const SeparationModel>> MakeHtdemucs(HtdemucsOptions options,
                                                            std::shared_ptr<const TensorMap> weights,
                                                            HtdemucsTiling tiling = {});

}  // namespace timbre
