// Cuts a track into overlapping tiles of one size, and puts the tiles' results together again.
//
// A TilePlan is arithmetic only: any tile of it is computed on demand, and nothing grows with the track's length. The
// flow is
//
//   for (int64_t i = 0; i < plan.count(); ++i) {
//     const Tile tile = plan.at(i);
//     source.DropBefore(tile.read_begin);
//     // read until source.end() is tile.read_end, then for each channel:
//     plan.Gather(tile, source.begin(), source.channel(c), input);
//     // run the model on the input, then
//     plan.Weights(tile, weights);
//     TIMBRE_TRY(int64_t finished, overlap_add.Add(tile, weights, output, stride, finished_samples, stride));
//   }
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace timbre {

// What a tile sees before the track's begin and beyond its end.
enum class BeyondTrack {
  kZero,
  kReflect,  // the track mirrored at its first and last sample
};

// What fills the rest of a tile that reaches beyond the end of the timeline.
enum class LastTile {
  kCenter,  // the audio around the valid part, half before and half behind: TensorChunk.padded in demucs/apply.py
  kMirror,  // the valid part mirrored at its end where that is above half a tile, zeros otherwise: demix() in
            // utils/model_utils.py of Music-Source-Separation-Training
};

struct TilingOptions {
  int64_t tile = 0;  // samples that the model takes at once
  int64_t step = 0;  // samples from the begin of a tile to that of the next, at most `tile`
  int64_t lead = 0;  // the timeline that is tiled begins so many samples before the track
  int64_t tail = 0;  // and ends so many behind it
  BeyondTrack beyond = BeyondTrack::kZero;
  LastTile last = LastTile::kCenter;
  std::vector<float> window;  // a weight for each sample of a tile

  // With edge_fade > 0, so many samples at the end of each tile of the last group weigh 1, and at the begin of the
  // first tile as many where a group is one tile, one otherwise. The group is the reference's batch: its demix() treats
  // the tiles of the last batch alike, and the first tile apart only in a batch of its own.
  int64_t edge_fade = 0;
  int64_t edge_group = 1;
};

// apply_model() of demucs/apply.py: segments of `tile` samples, overlapping by `overlap` (0 to below 1), weighed by a
// triangle to the power of `transition_power` (at least 1). `lead` is the shift trick's: max_shift - offset.
TilingOptions DemucsTiling(int64_t tile, double overlap, double transition_power, int64_t lead = 0);

// demix() of Music-Source-Separation-Training for a track of `samples` samples: tile / overlaps apart, faded linearly
// over a tenth of a tile, the track extended by reflection where it is long enough. `batch` is the reference's
// batch_size.
TilingOptions DemixTiling(int64_t tile, int64_t overlaps, int64_t samples, int64_t batch = 1);

// One tile. All positions count samples of the track, from 0.
struct Tile {
  int64_t index = 0;
  int64_t read_begin = 0;   // the part of the track that this tile is made from, and that later tiles may still need:
  int64_t read_end = 0;     // [read_begin, read_end), within the track
  int64_t write_begin = 0;  // the part of the track that it contributes to: [write_begin, write_end)
  int64_t write_end = 0;
  int64_t done = 0;          // no later tile contributes to a sample before this one
  int64_t output_begin = 0;  // the sample of the model's output that belongs to write_begin

  int64_t start = 0;         // the position of the model's first input sample; may be below 0
  int64_t valid = 0;         // input samples on the timeline, for LastTile
  int64_t window_begin = 0;  // the window's sample that belongs to write_begin
  bool flat_begin = false;   // no fade at this end: edge_fade
  bool flat_end = false;
};

class TilePlan {
 public:
  // kInvalidArgument where the options don't fit together. `samples` is the track's length; 0 gives no tiles.
  static Result<TilePlan> Create(TilingOptions options, int64_t samples);

  const TilingOptions& options() const { return options_; }
  int64_t samples() const { return samples_; }
  // The tiles that contribute to the track.
  int64_t count() const { return last_ - first_; }
  // i in [0, count()).
  Tile at(int64_t i) const;

  // Fills the model's input of one channel, options().tile samples, from a stretch of the track that begins at sample
  // source_begin and covers [tile.read_begin, tile.read_end).
  void Gather(const Tile& tile, int64_t source_begin, const float* source, float* out) const;

  // The weights of samples [tile.write_begin, tile.write_end).
  void Weights(const Tile& tile, std::vector<float>* out) const;

 private:
  TilePlan(TilingOptions options, int64_t samples) : options_(std::move(options)), samples_(samples) {}
  int64_t Span() const { return options_.lead + samples_ + options_.tail; }
  int64_t WriteBegin(int64_t index) const;

  TilingOptions options_;
  int64_t samples_;
  int64_t total_ = 0;             // tiles of the timeline
  int64_t first_ = 0, last_ = 0;  // those of them that reach the track
};

// Adds weighted tiles up and gives back each sample once it is finished, divided by the sum of its weights. Holds one
// tile.
class OverlapAdd {
 public:
  OverlapAdd(int64_t channels, int64_t tile) : channels_(channels), tile_(tile), sums_((channels + 1) * tile) {}

  // Adds the model's output (sample i of channel c at output[c * output_stride + i], the whole tile) with its weights,
  // then writes the samples that are finished by it to out[c * out_stride + …], and returns how many: at most a tile.
  // Tiles come in the order of their plan. Fails with kInternal where the weights of a sample don't sum to more than
  // zero.
  Result<int64_t> Add(const Tile& tile, const std::vector<float>& weights, const float* output, int64_t output_stride,
                      float* out, int64_t out_stride);

 private:
  int64_t channels_;
  int64_t tile_;
  int64_t position_ = 0;     // of the first sample held
  std::vector<float> sums_;  // one row a channel, the last row for the weights
};

// The stretch of a track that tiles still need, planar.
class SampleWindow {
 public:
  explicit SampleWindow(int64_t channels) : planes_(channels) {}

  int64_t begin() const { return begin_; }
  int64_t end() const { return begin_ + (planes_.empty() ? 0 : static_cast<int64_t>(planes_[0].size()) - skip_); }
  // Sample begin() of a channel.
  const float* channel(int64_t c) const { return planes_[c].data() + skip_; }

  // Appends `frames` samples to each channel; channel c's come from planes[c].
  void Append(const float* const* planes, int64_t frames);
  void DropBefore(int64_t position);

 private:
  std::vector<std::vector<float>> planes_;
  int64_t begin_ = 0;
  int64_t skip_ = 0;  // samples dropped that are still in memory
};

}  // namespace timbre
