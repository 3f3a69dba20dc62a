// Where a signal of any length is cut into tiles of one size, and how the tiles' results are added up again. A plan is
// data: it holds positions and weights, never samples.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace timbre {

// Samples of a tile's input that are taken from the signal: input[to + i] = signal[from + i * step], i in [0, count).
struct TileRun {
  int64_t to = 0, from = 0, count = 0;
  int step = 1;  // 1, or -1 where the signal is reflected
};

struct Tile {
  std::vector<TileRun> input;  // what no run covers is zero
  // The signal's samples that the runs read lie in [first, last). Neither decreases from a tile to the next, so that
  // what lies before `first` may be dropped for good.
  int64_t first = 0, last = 0;
  // Samples [trim, trim + length) of the tile's output are added to the signal's [begin, begin + length), which lie
  // within it.
  int64_t begin = 0, trim = 0, length = 0;
  int layer = 0;
  // Factors of the `length` samples used, and what they add to the sum that the result is divided by; often the same.
  std::shared_ptr<const std::vector<float>> weight, envelope;
  int64_t weight_begin = 0;  // weight[weight_begin + i] belongs to sample begin + i
};

// Every layer covers the whole signal on its own; the result is the mean of the layers.
struct TilePlan {
  int64_t length = 0;  // of the signal
  int64_t tile = 0;    // samples of each tile's input and output
  int layers = 1;
  std::vector<Tile> tiles;  // by `begin`
};

// The plan of demucs.apply: chunks of `tile` samples every (1 - overlap) * tile, centred in real neighbouring audio
// where the end cuts them short, triangular weights to the power `transition_power`; one layer for each of `shifts`,
// which begin that many zeros before the signal (none: one layer, not shifted). Errors: overlap outside [0, 1),
// transition_power < 1, a negative shift, a tile without samples.
Result<TilePlan> PlanCentred(int64_t length, int64_t tile, double overlap, double transition_power,
                             std::span<const int64_t> shifts = {});

// The plan of ZFTurbo's demix(): chunks every `step`, linear fades of `fade` samples, both ends extended by reflection
// where the signal is long enough, the last chunk reflected where it is more than half full. `batch` is the reference's
// batch size: it decides which chunks of the last batch lose their fade (1: the last one).
Result<TilePlan> PlanFaded(int64_t length, int64_t tile, int64_t step, int64_t fade, int batch = 1);

// The plan of audio-separator for the same networks: chunks every `step` from the beginning, weighted by a symmetric
// Hamming window; those that would pass the end are the last `tile` samples instead, as often as there are such.
Result<TilePlan> PlanHamming(int64_t length, int64_t tile, int64_t step);

// The plan of ZFTurbo's demix() for Demucs: chunks every `step` from the beginning, of which every sample
// counts the same; beyond the end the signal is zero.
Result<TilePlan> PlanEven(int64_t length, int64_t tile, int64_t step);

// Tiles of `step + 2 * context` samples every `step`, of which only the middle counts: for processors whose output
// depends on no more than `context` samples to each side. Beyond both ends the signal is zero.
Result<TilePlan> PlanContext(int64_t length, int64_t step, int64_t context);

// The factors by which samples [trim, trim + length) of tile `index` enter the result: weight / (sum of the layer's
// envelopes) / layers. `out` has tile.length elements. An error where the sum is not above zero.
Status TileFactors(const TilePlan& plan, size_t index, std::span<float> out);

// Fills a tile's input of `plan.tile` frames of `channels` interleaved samples. `signal` points at sample
// `signal_begin`, and holds at least [tile.first, tile.last).
void GatherTile(const TilePlan& plan, const Tile& tile, const float* signal, int64_t signal_begin, int channels,
                float* out);

}  // namespace timbre
