// Conversion between formats of audio in the middle of a stream: another rate, other speakers.
#pragma once

#include <cstdint>
#include <vector>

#include "audio/buffer.h"
#include "audio/mix.h"
#include "audio/resample.h"
#include "base/result.h"

namespace timbre {

// Rate and speakers of a stretch of audio.
struct StreamFormat {
  int sample_rate = 0;
  std::vector<Speaker> speakers;  // one a channel

  int channels() const { return static_cast<int>(speakers.size()); }
  bool operator==(const StreamFormat&) const = default;
};

// Interleaved frames of one format into another. Channels whose speaker the other format has too go to it; otherwise
// all are mixed to stereo as StereoMix does it, which goes to the front, or is folded to mono.
class FormatConverter {
 public:
  // kUnsupported where the channels are more than can be mixed.
  static Result<FormatConverter> Create(const StreamFormat& from, const StreamFormat& to);

  // Appends to `out` what is ready.
  Status Push(const float* in, int64_t frames, std::vector<float>* out);
  // Appends the rest.
  Status Finish(std::vector<float>* out) { return resampler_.Finish(out); }

 private:
  explicit FormatConverter(Resampler resampler) : resampler_(std::move(resampler)) {}

  Resampler resampler_;
  int from_ = 0, to_ = 0;       // channels
  std::vector<int> places_;     // of each channel among the others; empty: through `mix_`
  std::vector<StereoMix> mix_;  // one, where needed
  int left_ = 0, right_ = 1;    // where the stereo mix goes
  std::vector<float> stereo_, moved_;
};

}  // namespace timbre
