#include "dsp/biquad.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace timbre {
namespace {

constexpr double kPi = std::numbers::pi;

double Clamped(double hz, double sample_rate) { return std::clamp(hz, 0.01, sample_rate / 2 - 100); }

// Of the cookbook: the cosine of the angular frequency, and alpha.
template <typename T>
struct Angle {
  T cosine, sine;
};
template <typename T>
Angle<T> AngleOf(double hz, double sample_rate) {
  const T w = T(2) * T(kPi) * T(Clamped(hz, sample_rate)) / T(sample_rate);
  return {std::cos(w), std::sin(w)};
}

template <typename T>
BasicBiquad<T> Scaled(T b0, T b1, T b2, T a0, T a1, T a2) {
  const T over = T(1) / a0;
  return {b0 * over, b1 * over, b2 * over, a1 * over, a2 * over};
}

// The square root of a gain's factor.
template <typename T>
T RootOf(double gain_db) {
  return std::sqrt(T(std::pow(10.0, gain_db / 20)));
}

// The two shelves are each other's mirror: `sign` is 1 for the low one.
template <typename T>
BasicBiquad<T> Shelf(double hz, double gain_db, double q, double sample_rate, T sign) {
  const auto [c, sine] = AngleOf<T>(hz, sample_rate);
  const T a = RootOf<T>(gain_db), less = a - 1, more = a + 1;
  const T s = sine * std::sqrt(a) / T(q), turned = sign * less * c;
  return Scaled<T>(a * (more - turned + s), sign * 2 * a * (less - sign * more * c), a * (more - turned - s),
                   more + turned + s, -sign * 2 * (less + sign * more * c), more + turned - s);
}

}  // namespace

template <typename T>
double BasicBiquad<T>::Response(double hz, double sample_rate) const {
  const std::complex<double> z = std::polar(1.0, -2 * kPi * hz / sample_rate);
  const auto at = [&z](T x0, T x1, T x2) { return double{x0} + z * (double{x1} + z * double{x2}); };
  return std::abs(at(b0, b1, b2) / at(1, a1, a2));
}

template <typename T>
BasicBiquad<T> FirstOrderHighPass(double hz, double sample_rate) {
  const T n = std::tan(T(kPi) * T(Clamped(hz, sample_rate)) / T(sample_rate));
  return Scaled<T>(1, -1, 0, n + 1, n - 1, 0);
}

template <typename T>
BasicBiquad<T> FirstOrderLowPass(double hz, double sample_rate) {
  const T n = std::tan(T(kPi) * T(Clamped(hz, sample_rate)) / T(sample_rate));
  return Scaled<T>(n, n, 0, n + 1, n - 1, 0);
}

Biquad HighPass(double hz, double q, double sample_rate) {
  const auto [c, sine] = AngleOf<double>(hz, sample_rate);
  const double alpha = sine / (2 * q);
  return Scaled((1 + c) / 2, -(1 + c), (1 + c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

Biquad LowPass(double hz, double q, double sample_rate) {
  const auto [c, sine] = AngleOf<double>(hz, sample_rate);
  const double alpha = sine / (2 * q);
  return Scaled((1 - c) / 2, 1 - c, (1 - c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

template <typename T>
BasicBiquad<T> PeakFilter(double hz, double gain_db, double q, double sample_rate) {
  const auto [c, sine] = AngleOf<T>(hz, sample_rate);
  const T a = RootOf<T>(gain_db), alpha = sine / (T(q) * 2);
  return Scaled<T>(1 + alpha * a, -2 * c, 1 - alpha * a, 1 + alpha / a, -2 * c, 1 - alpha / a);
}

template <typename T>
BasicBiquad<T> LowShelf(double hz, double gain_db, double q, double sample_rate) {
  return Shelf<T>(hz, gain_db, q, sample_rate, 1);
}

template <typename T>
BasicBiquad<T> HighShelf(double hz, double gain_db, double q, double sample_rate) {
  return Shelf<T>(hz, gain_db, q, sample_rate, -1);
}

template <typename T>
void BasicBiquadChain<T>::Process(float* interleaved, int64_t frames) {
  for (size_t f = 0; f < filters_.size(); ++f) {
    const BasicBiquad<T> filter = filters_[f];
    for (int c = 0; c < channels_; ++c) {
      State state = states_[f * static_cast<size_t>(channels_) + static_cast<size_t>(c)];
      for (int64_t i = 0; i < frames; ++i) {
        float& sample = interleaved[i * channels_ + c];
        const T x = sample, y = filter.b0 * x + state.s1;
        state.s1 = filter.b1 * x - filter.a1 * y + state.s2;
        state.s2 = filter.b2 * x - filter.a2 * y;
        sample = static_cast<float>(y);
      }
      states_[f * static_cast<size_t>(channels_) + static_cast<size_t>(c)] = state;
    }
  }
}

#define TIMBRE_BIQUADS_OF(T)                                             \
  template struct BasicBiquad<T>;                                        \
  template class BasicBiquadChain<T>;                                    \
  template BasicBiquad<T> FirstOrderHighPass<T>(double, double);         \
  template BasicBiquad<T> FirstOrderLowPass<T>(double, double);          \
  template BasicBiquad<T> PeakFilter<T>(double, double, double, double); \
  template BasicBiquad<T> LowShelf<T>(double, double, double, double);   \
  template BasicBiquad<T> HighShelf<T>(double, double, double, double)
TIMBRE_BIQUADS_OF(float);
TIMBRE_BIQUADS_OF(double);

}  // namespace timbre
