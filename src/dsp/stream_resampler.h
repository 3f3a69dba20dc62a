// Changing the sample rate of an endless signal, a few samples at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/state_stream.h"

namespace timbre {

// Band-limited interpolation (J. O. Smith, "Digital Audio Resampling"): a sinc under a Kaiser window, a polyphase
// filter of which every phase is stored, or 1024 of them and straight lines between where there would be more. Flat to
// 91 % of the lower half rate, 110 dB down from the half rate on. Output sample k is the signal at exactly k * from /
// to: no delay is added, it only takes kept-back input to make it. Nothing allocates after Create. Not thread-safe.
class StreamResampler {
 public:
  // Rates in Hz, from 1000 to 768000, at most 64 apart in ratio. `most_input`: the most samples that one call brings.
  static Result<StreamResampler> Create(int from, int to, int channels, int64_t most_input);

  // The samples of input beyond the moment of an output sample that it waits for.
  int64_t lookahead() const { return half_; }
  // The most output that one call of Process can give.
  int64_t MostOutput() const { return most_output_; }

  // Takes `count` samples of each channel (zeros where `in` is null) and writes what can be made: its length.
  int64_t Process(const float* const* in, int64_t count, float* const* out);
  void Reset();
  void Visit(StateStream& stream);

 private:
  StreamResampler() = default;
  bool same() const { return up_ == down_; }

  int channels_ = 0;
  int64_t up_ = 1, down_ = 1;  // the ratio in lowest terms
  int64_t half_ = 0;           // half of the filter's length, in input samples
  int64_t phases_ = 1;
  int64_t most_input_ = 0, most_output_ = 0;
  std::vector<float> filter_;  // [phases + 1][2 half]
  int64_t room_ = 0;           // samples of each channel in buffer_
  int64_t filled_ = 0;         // of them valid
  int64_t step_ = 0;           // the next output's phase, in 1 / up of an input sample; its window begins at buffer_[0]
  std::vector<float> buffer_;  // [channel][room]
};

}  // namespace timbre
