// LarsNet (Mezza, Giampiccolo, Bernardini, Sarti, "Toward Deep Drum Source Separation", Pattern Recognition Letters
// 2024): one U-Net a stem over the magnitudes of a drum mixture's spectrogram.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "models/separate/separation_model.h"

namespace timbre {

struct LarsnetOptions {
  std::vector<std::string> stems{"kick", "snare", "toms", "hihat", "cymbals"};
  double wiener = 0;  // exponent of the alpha-Wiener filter across the stems; 0: each stem's own mask
  int n_fft = 4096;   // the hop is a quarter
  int frames = 512;   // of one tile
  int bins = 2048;    // that the networks see; those above are zero in every stem
};

// The graph of `batch` tiles: "mix" [batch, tile, 2], "valid" [batch, frames, 1, 1] (1 for frames of the signal, 0
// beyond its end)
// -> "stems" [batch, tile, 2 * stems], overlap-added but not divided by the windows' sum. Weights have the reference's
// names with the stem in front ("kick.enc1.conv.weight").
Result<Graph> BuildLarsnet(const LarsnetOptions& options, Weights& weights, int batch);

// `weights`: all stems' in one map, names with the stem in front.
Result<std::shared_ptr<const SeparationModel>> MakeLarsnet(LarsnetOptions options,
                                                           std::shared_ptr<const TensorMap> weights);

}  // namespace timbre
