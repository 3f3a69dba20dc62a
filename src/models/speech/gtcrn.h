// GTCRN: X. Rong, T. Sun, X. Zhang, Y. Hu, C. Zhu, J. Lu, "GTCRN: A Speech Enhancement Model Requiring Ultralow
// Computational Resources", ICASSP 2024. 48 thousand weights, 16 kHz, one complex gain a bin.
//
// As with DeepFilterNet, the graph is one block of frames, and its state stays in the session.
#pragma once

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

inline constexpr int kGtcrnRate = 16000;
inline constexpr int kGtcrnFft = 512;  // frames of this many samples under the square root of a Hann window
inline constexpr int kGtcrnHop = 256;
inline constexpr int kGtcrnBins = kGtcrnFft / 2 + 1;

// N = `batch` signals side by side, T = `frames`: input "spectrum" [N, T, bins, 2], output "enhanced" of the same
// shape. What is remembered from block to block is the session's state, zeros at the start.
Result<Graph> BuildGtcrn(Weights& weights, int batch, int frames);

}  // namespace timbre
