// Filters of first and second order, as equalisers are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace timbre {

// y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]. T is float or double: what it is computed in. Float
// is for those who want the very bits of plug-ins that compute so; of low frequencies its rounding is heard by meters.
template <typename T>
struct BasicBiquad {
  T b0 = 1, b1 = 0, b2 = 0, a1 = 0, a2 = 0;

  // The factor of a tone of `hz`.
  double Response(double hz, double sample_rate) const;
};
using Biquad = BasicBiquad<double>;

// Of first order, 6 dB an octave (bilinear transform). A frequency is clamped to [0.01, sample_rate / 2 - 100] Hz, here
// and below.
template <typename T = double>
BasicBiquad<T> FirstOrderHighPass(double hz, double sample_rate);
template <typename T = double>
BasicBiquad<T> FirstOrderLowPass(double hz, double sample_rate);
// Of second order: R. Bristow-Johnson's cookbook. Shelves are given by Q.
Biquad HighPass(double hz, double q, double sample_rate);
Biquad LowPass(double hz, double q, double sample_rate);
template <typename T = double>
BasicBiquad<T> PeakFilter(double hz, double gain_db, double q, double sample_rate);
template <typename T = double>
BasicBiquad<T> LowShelf(double hz, double gain_db, double q, double sample_rate);
template <typename T = double>
BasicBiquad<T> HighShelf(double hz, double gain_db, double q, double sample_rate);

// Several filters in a row over a stream of several channels (transposed direct form II). Blocks of any size give the
// same bits.
template <typename T>
class BasicBiquadChain {
 public:
  BasicBiquadChain(std::vector<BasicBiquad<T>> filters, int channels)
      : filters_(std::move(filters)), channels_(channels), states_(filters_.size() * static_cast<size_t>(channels)) {}

  // [frames, channels], in place.
  void Process(float* interleaved, int64_t frames);

 private:
  struct State {
    T s1 = 0, s2 = 0;
  };
  std::vector<BasicBiquad<T>> filters_;
  int channels_;
  std::vector<State> states_;  // [filter][channel]
};
using BiquadChain = BasicBiquadChain<double>;

}  // namespace timbre
