// Conversion between sample rates, by soxr at its very high quality.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"

namespace timbre {

// round(frames * out_rate / in_rate), halves up: the length of resampled audio. Exact for any length below 2^40.
int64_t ResampledLength(int64_t frames, int in_rate, int out_rate);

// A stream of interleaved frames from one rate to another. The filter's delay is removed: output sample i lies at input
// time i * in_rate / out_rate. Equal rates pass samples through unchanged.
class Resampler {
 public:
  // Rates from 1 kHz to 768 kHz, 1 to 64 channels.
  static Result<Resampler> Create(int in_rate, int out_rate, int channels);
  Resampler(Resampler&&) noexcept;
  Resampler& operator=(Resampler&&) noexcept;
  ~Resampler();

  // Takes `frames` frames and appends those that are ready to `out`.
  Status Push(const float* in, int64_t frames, std::vector<float>* out);

  // Ends the stream and appends the rest, so that all output together is `total` frames: by default (negative),
  // ResampledLength of the input. On the way back to an original rate, give the original length: rounding twice may
  // differ from it by a few frames. What lies behind the input is the filter's answer to silence.
  Status Finish(std::vector<float>* out, int64_t total = -1);

 private:
  struct Free {
    void operator()(void* soxr) const;
  };
  Resampler() = default;
  Status Process(const float* in, int64_t frames, std::vector<float>* out);

  int in_rate_ = 0, out_rate_ = 0, channels_ = 0;
  int64_t taken_ = 0, given_ = 0;       // frames
  std::unique_ptr<void, Free> stream_;  // empty where the rates are equal
};

}  // namespace timbre
