#include "dsp/true_peak.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>

#include "tests/support/true_peak.h"

namespace timbre {
namespace {

using testing::PeakBetweenSamples, testing::PeakCase, testing::WorstCases;

std::vector<float> Limited(const std::vector<float>& x, int channels, double ceiling, size_t block = 1000) {
  TruePeakLimiter limiter(ceiling, 100, 48000, channels);
  std::vector<float> out;
  for (size_t at = 0; at < x.size(); at += block * static_cast<size_t>(channels)) {
    const size_t count = std::min(block * static_cast<size_t>(channels), x.size() - at);
    limiter.Process(&x[at], static_cast<int64_t>(count) / channels, &out);
  }
  limiter.Finish(&out);
  return out;
}

TEST(TruePeakLimiter, NoSampleExceedsTheCeilingAndLittleLiesBetween) {
  for (const PeakCase& one : WorstCases()) {
    const double ceiling = 0.9;
    const std::vector<float> y = Limited(one.samples, 1, ceiling);
    ASSERT_EQ(y.size(), one.samples.size()) << one.name;
    for (const float sample : y) ASSERT_LE(std::abs(sample), ceiling) << one.name;
    const double over = 20 * std::log10(PeakBetweenSamples(y, 0.6 * ceiling) / ceiling);
    EXPECT_LT(over, one.name == "white noise" ? 0.6 : 0.35) << one.name;
    EXPECT_GT(over, -0.1) << one.name;  // and it is no lower than it need be
  }
}

TEST(TruePeakMeter, FindsWhatAnotherMeterFinds) {
  for (const PeakCase& one : WorstCases()) {
    const double want = PeakBetweenSamples(one.samples, 0.3);
    TruePeakMeter meter(0.5, 1);
    for (size_t at = 0; at < one.samples.size(); at += 777) {
      meter.Add(&one.samples[at], static_cast<int64_t>(std::min<size_t>(777, one.samples.size() - at)));
    }
    const double off = 20 * std::log10(meter.Finish() / want);
    EXPECT_NEAR(off, 0, 0.005) << one.name;
  }
}

TEST(TruePeakMeter, ATonesPeakIsItsAmplitude) {
  TruePeakMeter meter(0.1, 1);
  std::vector<float> tone;
  // In and out over a while, so that neither end has a peak of its own.
  for (int n = 0; n < 9600; ++n) {
    const double envelope = std::min({1.0, n / 2000.0, (9600 - n) / 2000.0});
    tone.push_back(static_cast<float>(0.5 * envelope * std::sin(2 * std::numbers::pi * (n / 4.0 + 0.125))));
  }
  meter.Add(tone.data(), 9600);
  EXPECT_NEAR(20 * std::log10(meter.Finish() / 0.5), 0, 0.01);
}

TEST(TruePeakLimiter, WhatStaysBelowPassesBitByBit) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-0.2f, 0.2f);
  std::vector<float> x;
  for (int i = 0; i < 2 * 5000; ++i) x.push_back(uniform(random));
  EXPECT_EQ(Limited(x, 2, 0.9), x);
}

TEST(TruePeakLimiter, BlocksOfAnySizeGiveTheSameBits) {
  const std::vector<float> x = WorstCases()[0].samples;
  const std::vector<float> whole = Limited(x, 2, 0.9, 3000);
  for (const size_t block : {1, 7, 513}) EXPECT_EQ(Limited(x, 2, 0.9, block), whole) << block;
}

TEST(TruePeakLimiter, ShortStreamsAreAsLongAsTheyWere) {
  for (const size_t frames : {0, 1, 16, 71, 72, 73, 88, 200}) {
    const std::vector<float> x(frames, 0.5f);
    EXPECT_EQ(Limited(x, 1, 0.9).size(), frames);
  }
}

TEST(TruePeakLimiter, TheGainComesBackAfterAPeak) {
  std::vector<float> x(48000, 0.1f);
  x[1000] = 2;
  TruePeakLimiter limiter(0.9, 50, 48000, 1);
  std::vector<float> y;
  limiter.Process(x.data(), 48000, &y);
  limiter.Finish(&y);
  EXPECT_LE(std::abs(y[1000]), 0.9f);
  EXPECT_EQ(y[500], 0.1f);
  EXPECT_LT(y[1200], 0.08f);
  EXPECT_NEAR(y[20000], 0.1f, 1e-4);
  EXPECT_LT(limiter.lowest_gain(), 0.46);
}

}  // namespace
}  // namespace timbre
