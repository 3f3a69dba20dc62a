// Peaks between the samples: a limiter that holds them, and a meter that finds what it leaves.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace timbre {

// A sinc under a Kaiser window that gives the values between samples.
class PeakInterpolator {
 public:
  // `factor` - 1 values between neighbours, each of the 2 * `half` samples around it; at most 31.
  PeakInterpolator(int factor, int half, double beta);

  int half() const { return half_; }
  // For each i in [0, count) the largest magnitude between x[i] and x[i + 1], without these. Reads x from -(half - 1)
  // to count - 1 + half.
  void Between(const float* x, int64_t count, float* peaks) const;
  // The same between x[0] and x[1] alone.
  float After(const float* x) const;

 private:
  int factor_, half_;
  std::vector<float> taps_;      // [factor - 1][2 half]
  std::vector<float> by_place_;  // [2 half][32], 0 behind
};

// Holds the true peak of a stream at a ceiling: by a gain that reaches what it must be before the peak comes (within
// 1.5 ms), and goes back over the release time. Channels get the same gain. Where nothing is above the ceiling, samples
// pass bit by bit; samples never exceed it. Between the samples the moving gain lets some of it through, 0.2 dB of
// pink noise, half a decibel of white: who must be certain measures (TruePeakMeter) and runs it again with a lower
// ceiling.
class TruePeakLimiter {
 public:
  // `ceiling` is a factor of full scale, above 0.
  TruePeakLimiter(double ceiling, double release_ms, double sample_rate, int channels);

  // Takes [frames, channels] and appends what is ready: each sample at its own place, nothing is added in front.
  void Process(const float* interleaved, int64_t frames, std::vector<float>* out);
  // Appends the rest: as many frames came out as went in.
  void Finish(std::vector<float>* out);

  // The lowest gain so far.
  double lowest_gain() const { return lowest_; }
  // Samples that it looks ahead.
  int64_t lookahead() const { return window_ - 1 + interpolator_.half(); }

 private:
  void Advance(std::vector<float>* out);
  void Step(float peak, std::vector<float>* out);

  PeakInterpolator interpolator_;
  const double ceiling_;
  const int channels_;
  const int64_t window_;                    // samples that the gain is led in over
  double release_;                          // the share of the way back in a sample
  std::vector<std::vector<float>> planes_;  // a channel each: input from sample `first_` on
  int64_t first_;                           // of planes_; begins with what lies before the stream
  int64_t taken_ = 0;                       // samples of input
  int64_t next_ = 0;                        // the sample whose peak is next
  float between_ = 0;                       // the largest value between the last sample and that one
  // Gains as whole numbers, of which sums are exact however long they run.
  std::deque<std::pair<int64_t, int64_t>> lowest_ahead_;  // (sample, gain), ascending in both
  std::vector<int64_t> smoothed_;                         // the last `window_`
  int64_t sum_, last_;
  double lowest_ = 1;
};

// The true peak of a stream, 32 values a sample where four a sample come near what counts.
class TruePeakMeter {
 public:
  // Exact where the peak is above `floor`, a factor of full scale: below it four values a sample have to do.
  TruePeakMeter(double floor, int channels);
  // [frames, channels].
  void Add(const float* interleaved, int64_t frames);
  // Ends the stream: the peak as a factor of full scale.
  double Finish();

 private:
  void Advance(int64_t until);

  PeakInterpolator coarse_, fine_;
  const float near_;
  const int channels_;
  std::vector<std::vector<float>> planes_;
  std::vector<float> peaks_;
  double peak_ = 0;
};

}  // namespace timbre
