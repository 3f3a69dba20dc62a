#include "dsp/pitch_shift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace timbre {
namespace {

constexpr double kRate = 44100;

std::vector<float> Sine(double hz, int64_t frames, int channels = 1) {
  std::vector<float> samples;
  for (int64_t i = 0; i < frames; ++i) {
    for (int c = 0; c < channels; ++c) {
      samples.push_back(static_cast<float>(0.5 * std::sin(2 * M_PI * hz * (c + 1) * static_cast<double>(i) / kRate)));
    }
  }
  return samples;
}

// Frequency by its zero crossings, of the middle.
double PitchOf(const std::vector<float>& samples) {
  std::vector<double> crossings;
  for (size_t i = samples.size() / 4; i < 3 * samples.size() / 4; ++i) {
    if (samples[i - 1] < 0 && samples[i] >= 0) {
      crossings.push_back(static_cast<double>(i) - samples[i] / (samples[i] - samples[i - 1]));
    }
  }
  if (crossings.size() < 2) return 0;
  return kRate * static_cast<double>(crossings.size() - 1) / (crossings.back() - crossings.front());
}

std::vector<float> Shifted(std::vector<float> samples, double ratio, int channels = 1) {
  const auto frames = static_cast<int64_t>(samples.size()) / channels;
  samples.resize(samples.size() + static_cast<size_t>(PitchShifter::kLatency * channels));
  PitchShifter shifter(ratio, channels);
  shifter.Process(samples.data(), frames + PitchShifter::kLatency);
  samples.erase(samples.begin(), samples.begin() + PitchShifter::kLatency * channels);
  return samples;
}

TEST(PitchShift, ATonesPitchIsAsFarAsAskedAndItsLevelStays) {
  for (const double ratio : {0.125, 0.5, 0.75, std::exp2(-1 / 12.0), std::exp2(3 / 12.0), 2.0, 3.9, 8.0}) {
    const double hz = 440;
    const std::vector<float> shifted = Shifted(Sine(hz, 60000), ratio);
    ASSERT_EQ(shifted.size(), 60000u);
    EXPECT_NEAR(PitchOf(shifted), hz * ratio, 0.002 * hz * ratio) << ratio;
    double power = 0;
    for (size_t i = 15000; i < 45000; ++i) power += shifted[i] * shifted[i];
    EXPECT_NEAR(std::sqrt(power / 30000), 0.5 / std::sqrt(2), 0.02) << ratio;
  }
}

// What begins at once is there at once.
TEST(PitchShift, TheFirstSamplesAreNotSwallowed) {
  for (const double ratio : {0.125, 0.25, 0.5, 0.9, 2.0}) {
    const std::vector<float> shifted = Shifted(Sine(2000, 20000), ratio);
    const auto period = static_cast<size_t>(kRate / 2000 / ratio) + 1;
    EXPECT_GT(*std::max_element(shifted.begin(), shifted.begin() + static_cast<std::ptrdiff_t>(period)), 0.45) << ratio;
  }
}

TEST(PitchShift, ARatioOfOneIsTheSoundItself) {
  const std::vector<float> sine = Sine(331, 20000, 2), same = Shifted(sine, 1, 2);
  for (size_t i = 4; i + 4 < sine.size(); ++i) ASSERT_NEAR(same[i], sine[i], 1e-6) << i;
}

TEST(PitchShift, BlocksOfAnySizeGiveTheSame) {
  const std::vector<float> whole = Shifted(Sine(220, 30000, 2), 1.3, 2);
  std::vector<float> pieces = Sine(220, 30000, 2);
  pieces.resize(pieces.size() + 2 * PitchShifter::kLatency);
  PitchShifter shifter(1.3, 2);
  const auto all = static_cast<int64_t>(pieces.size()) / 2;
  for (int64_t at = 0, size = 1; at < all; at += size, size = size * 3 % 4099) {
    shifter.Process(pieces.data() + 2 * at, std::min(size, all - at));
  }
  pieces.erase(pieces.begin(), pieces.begin() + 2 * PitchShifter::kLatency);
  EXPECT_EQ(pieces, whole);
}

TEST(PitchShift, SilenceStaysSilent) {
  for (const float sample : Shifted(std::vector<float>(10000), 0.7)) ASSERT_EQ(sample, 0);
}

// A hit stays where it was in time: to less than a grain.
TEST(PitchShift, TimesStay) {
  std::vector<float> samples(60000);
  for (size_t i = 0; i < 400; ++i) samples[30000 + i] = static_cast<float>((i % 7 * 0.1 - 0.3) * std::exp(-0.01 * i));
  for (const double ratio : {0.6, 1.5}) {
    const std::vector<float> shifted = Shifted(samples, ratio);
    const auto loudest =
        std::max_element(shifted.begin(), shifted.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
    EXPECT_NEAR(static_cast<double>(loudest - shifted.begin()), 30000, 2048) << ratio;
  }
}

}  // namespace
}  // namespace timbre
