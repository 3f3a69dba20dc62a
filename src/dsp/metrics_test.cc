#include "dsp/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

namespace timbre {
namespace {

// White noise in [-1, 1) by a linear congruential generator that any language repeats bit for bit.
std::vector<double> Noise(int64_t length, uint32_t seed) {
  std::vector<double> noise(length);
  for (double& value : noise) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>(seed >> 8) / 8388608.0 - 1.0;
  }
  return noise;
}

// Two tones and noise at 10 kHz under a 3 Hz envelope, with a pause from 1.0 to 1.5 s.
std::vector<float> SpeechLike() {
  const int64_t length = 30000;
  const std::vector<double> noise = Noise(length, 1);
  std::vector<float> signal(length);
  for (int64_t n = 0; n < length; ++n) {
    const double t = static_cast<double>(n) / 10000, turn = 2 * std::numbers::pi * t;
    const double envelope = t >= 1.0 && t < 1.5 ? 0.0 : 0.5 - 0.5 * std::cos(3 * turn);
    const double tones = std::sin(220 * turn) + 0.5 * std::sin(1300 * turn);
    signal[n] = static_cast<float>(envelope * (0.3 * tones + 0.2 * noise[n]));
  }
  return signal;
}

std::vector<float> Degraded(const std::vector<float>& reference, double noise_gain) {
  const std::vector<double> noise = Noise(static_cast<int64_t>(reference.size()), 2);
  std::vector<float> estimate(reference.size());
  for (size_t n = 0; n < estimate.size(); ++n) {
    estimate[n] = static_cast<float>(0.8 * reference[n] + noise_gain * noise[n]);
  }
  return estimate;
}

// Expected values: SDR and its framewise values from mir_eval 0.8.2 (bss_eval_images, bss_eval_images_framewise with
// window = hop = 2500, median over the frames that are not NaN), SI-SDR from fast_bss_eval 0.1.4 (zero_mean=False),
// segmental SNR from the SNRseg function of DeepFilterNet's df/sepm.py at d375b2d8, STOI and ESTOI from pystoi 0.4.1;
// all on the same signals in NumPy 2.4. 1e-6 allows for another order of summation and another libm.
constexpr double kTolerance = 1e-6;

TEST(MetricsTest, AgreesWithIndependentImplementationsOnMildNoise) {
  const std::vector<float> reference = SpeechLike(), estimate = Degraded(reference, 0.05);
  EXPECT_NEAR(*Sdr(reference, estimate), 11.095183617784976, kTolerance);
  EXPECT_NEAR(*MedianFrameSdr(reference, estimate, 2500), 11.404260451724216, kTolerance);
  EXPECT_NEAR(*SiSdr(reference, estimate), 12.247456270764784, kTolerance);
  EXPECT_NEAR(*SegmentalSnr(reference, estimate, 10000), 3.949429018008778, kTolerance);
  EXPECT_NEAR(*Stoi(reference, estimate), 0.965525134, kTolerance);
  EXPECT_NEAR(*ExtendedStoi(reference, estimate), 0.679017627, kTolerance);
}

TEST(MetricsTest, AgreesWithIndependentImplementationsOnHeavyNoise) {
  const std::vector<float> reference = SpeechLike(), estimate = Degraded(reference, 0.5);
  EXPECT_NEAR(*Sdr(reference, estimate), -5.8688113312336565, kTolerance);
  EXPECT_NEAR(*MedianFrameSdr(reference, estimate, 2500), -5.249179182364028, kTolerance);
  EXPECT_NEAR(*SiSdr(reference, estimate), -7.6140397209067, kTolerance);
  EXPECT_NEAR(*SegmentalSnr(reference, estimate, 10000), -6.817657676263143, kTolerance);
  EXPECT_NEAR(*Stoi(reference, estimate), 0.490154477, kTolerance);
  EXPECT_NEAR(*ExtendedStoi(reference, estimate), 0.110410905, kTolerance);
}

TEST(MetricsTest, EqualSignalsReachTheUpperLimits) {
  const std::vector<float> x = SpeechLike();
  EXPECT_EQ(*Sdr(x, x), kRatioLimitDb);
  EXPECT_EQ(*MedianFrameSdr(x, x, 2500), kRatioLimitDb);
  EXPECT_GT(*SiSdr(x, x), 140);  // α comes out within rounding of 1
  EXPECT_NEAR(*Stoi(x, x), 1, 1e-9);
  EXPECT_NEAR(*ExtendedStoi(x, x), 1, 1e-9);
}

TEST(MetricsTest, SilentEstimate) {
  const std::vector<float> x = SpeechLike(), silence(x.size());
  EXPECT_EQ(*Sdr(x, silence), 0);
  EXPECT_EQ(*SiSdr(x, silence), -kRatioLimitDb);
  EXPECT_EQ(*Stoi(x, silence), 0);
  EXPECT_EQ(*ExtendedStoi(x, silence), 0);
  EXPECT_FALSE(MedianFrameSdr(x, silence, 2500).has_value());
}

TEST(MetricsTest, ScaleInvariantRatioIgnoresScale) {
  const std::vector<float> x = SpeechLike();
  std::vector<float> y = Degraded(x, 0.05);
  const double before = *SiSdr(x, y);
  for (float& value : y) value *= 0.25f;
  EXPECT_NEAR(*SiSdr(x, y), before, 1e-9);
}

TEST(MetricsTest, MedianOfAnOddAndAnEvenNumberOfFrames) {
  // Frame k of four values 1 with an error of 10^-k in each: 20k dB.
  std::vector<float> x(12, 1.0f), y(12);
  for (int n = 0; n < 12; ++n) y[n] = 1.0f + std::pow(10.0f, -static_cast<float>(n / 4 + 1));
  EXPECT_NEAR(*MedianFrameSdr(x, y, 4), 40, 1e-3);
  EXPECT_NEAR(*MedianFrameSdr(std::span(x).first(8), std::span(y).first(8), 4), 30, 1e-3);
  EXPECT_NEAR(*MedianFrameSdr(std::span(x).first(11), std::span(y).first(11), 4), 30, 1e-3);  // the rest is left out
}

TEST(MetricsTest, RefusesWhatCannotBeMeasured) {
  const std::vector<float> x = SpeechLike(), silence(x.size());
  std::vector<float> broken = x;
  broken[100] = std::numeric_limits<float>::quiet_NaN();
  const auto refused = [](const Result<double>& r) { return !r && r.error().code == ErrorCode::kInvalidArgument; };
  EXPECT_TRUE(refused(Sdr(x, std::span(x).first(10))));
  EXPECT_TRUE(refused(Sdr({}, {})));
  EXPECT_TRUE(refused(SiSdr(silence, x)));
  EXPECT_TRUE(refused(SiSdr(x, broken)));
  EXPECT_TRUE(refused(Stoi(broken, x)));
  EXPECT_TRUE(refused(SegmentalSnr(std::span(x).first(350), std::span(x).first(350), 10000)));
  EXPECT_TRUE(refused(Stoi(std::span(x).subspan(1000, 3000), std::span(x).subspan(1000, 3000))));
  EXPECT_TRUE(refused(MedianFrameSdr(x, x, 0)));
}

}  // namespace
}  // namespace timbre
