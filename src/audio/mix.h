// From any number of channels to stereo, and from stereo back to mono.
#pragma once

#include <cstdint>
#include <vector>

#include "audio/buffer.h"
#include "base/result.h"

namespace timbre {

// Mono is duplicated and two channels pass unchanged. More are mixed by the coefficients of ITU-R BS.775-3, table 2:
// the front at 1, the center and each surround at 1/sqrt(2) into its side, a back center and any other at 1/2 into
// both, the low-frequency channel left out. Nothing is scaled down to avoid clipping: samples are floats, and clipping
// is dealt with at the output.
class StereoMix {
 public:
  // kUnsupported for no channel or more than 8.
  static Result<StereoMix> Create(const std::vector<Speaker>& speakers);

  int channels() const { return static_cast<int>(left_.size()); }
  // [frames, channels()] -> [frames, 2]. `in` and `out` must not overlap.
  void Apply(const float* in, int64_t frames, float* out) const;

 private:
  std::vector<float> left_, right_;  // a factor for each channel
};

// The mean of two channels: [frames, 2] -> [frames]. Undoes the duplication of mono exactly. May be done in place.
void FoldToMono(const float* stereo, int64_t frames, float* mono);

}  // namespace timbre
