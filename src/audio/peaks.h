// What a picture of a wave needs: the least and the greatest sample of each stretch, at several widths.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"

namespace timbre {

// A pyramid of extremes. Level k has a pair (least, greatest) for each channel of each 256 * 4^k frames, as bytes of
// which 127 is full scale, rounded outwards so that what sounds is seen. Built from a stream; memory does not grow with
// it.
class PeakPyramid {
 public:
  static constexpr int kLevels = 8;
  static constexpr int64_t kFinest = 256;  // frames
  static constexpr int64_t FramesOf(int level) { return kFinest << (2 * level); }

  // Where pairs go as they are ready: [bins, channels, 2], a level's in order.
  using Sink = std::function<Status(int level, std::span<const int8_t> pairs)>;

  PeakPyramid(int channels, Sink sink);

  // Interleaved frames.
  Status Push(const float* samples, int64_t frames);
  // The stretches that are not full, and what has not been handed on yet.
  Status Finish();

  int64_t frames() const { return frames_; }

 private:
  struct Level {
    std::vector<float> low, high;  // of the stretch at work, one a channel
    int64_t filled = 0;            // frames on level 0, stretches of the level below on others
    std::vector<int8_t> pairs;     // not yet handed on
  };
  void Reset(Level& level) const;
  // Takes the stretch at work of a level as done, and the levels above it along.
  Status Close(int level);

  const size_t channels_;
  const Sink sink_;
  std::array<Level, kLevels> levels_;
  int64_t frames_ = 0;
};

}  // namespace timbre
