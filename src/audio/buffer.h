// Samples in memory and what a channel of them is.
#pragma once

#include <cstdint>
#include <vector>

namespace timbre {

// Where a channel is meant to be heard.
enum class Speaker : uint8_t {
  kFrontLeft,
  kFrontRight,
  kFrontCenter,
  kLowFrequency,
  kBackLeft,
  kBackRight,
  kBackCenter,
  kSideLeft,
  kSideRight,
  kFrontLeftOfCenter,
  kFrontRightOfCenter,
  kOther,
};

// Interleaved float samples, features last as everywhere in timbre: [frames, channels]. Full scale is 1.
struct AudioBuffer {
  int sample_rate = 0;
  int channels = 0;
  std::vector<float> samples;

  int64_t frames() const { return channels == 0 ? 0 : static_cast<int64_t>(samples.size()) / channels; }
};

}  // namespace timbre
