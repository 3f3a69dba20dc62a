// Spleeter (R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient music source separation
// tool with pre-trained models", Journal of Open Source Software 2020): one U-Net an instrument over the magnitudes of
// a spectrogram, whose results' squares share the mixture out.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"

namespace timbre {

struct SpleeterOptions {
  std::vector<std::string> stems;
  int sample_rate = 44100;
  int n_fft = 4096, hop = 1024;
  int frames = 512;            // of a block, which the networks see alone
  int bins = 1024;             // that they see
  std::vector<int> filters;    // of the six convolutions
  bool elu_down = false;       // the activation on the way down: ELU, else leaky ReLU of slope 0.2
  bool elu_up = false;         // and up: ELU, else ReLU
  bool softmax = false;        // the stems' masks compete before they are applied
  bool average_above = false;  // bins above those seen get the mean of a frame's mask; else no stem has them
  int exponent = 2;            // of the magnitudes that share the mixture out
};

// The published shapes, and how each is known: by the number of its instruments. kUnsupported where none has so many.
Result<SpleeterOptions> ReleasedSpleeter(size_t stems);

// Changes `options`, made for the number of instruments, into what a model's base_config.json says. Bounded; errors
// name the entry.
Status ReadSpleeterConfig(std::string_view json, SpleeterOptions* options);

// The graph of `batch` tiles: "mix" [batch, tile, 2] -> "stems" [batch, tile, 2 * stems], overlap-added but not divided
// by the windows' sum. Weights of instrument K: "K.conv1" to "K.conv6" (on the way down), "K.norm1" to "K.norm5",
// "K.up1" to "K.up6", "K.up_norm1" to "K.up_norm6", "K.mask".
Result<Graph> BuildSpleeter(const SpleeterOptions& options, Weights& weights, int batch);

// TensorFlow's names and layouts, which count layers in the order they were made in, as BuildSpleeter wants them, and
// what the tensors themselves say of the options: the number of instruments, their filters. Errors name a tensor that
// is missing or that is none of this network.
Result<SpleeterOptions> FromSpleeterBundle(const TensorMap& bundle, TensorMap* weights);

Result<std::shared_ptr<const SeparationModel>> MakeSpleeter(SpleeterOptions options,
                                                            std::shared_ptr<const TensorMap> weights);

// A folder with a TensorFlow checkpoint, its index, or the archive (tar.gz) of such a folder; beside the checkpoint
// there may be the configuration, base_config.json. Errors don't name `path`.
Result<std::shared_ptr<const SeparationModel>> LoadSpleeter(const std::string& path);

}  // namespace timbre
