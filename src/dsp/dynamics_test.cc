#include "dsp/dynamics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace timbre {
namespace {

constexpr CompressorOptions kOptions = {
    .threshold_db = -20, .ratio = 4, .attack_ms = 10, .release_ms = 100, .knee_db = 6};

TEST(LinkedCompressor, TheCurveIsThatOfTheSoftKnee) {
  const LinkedCompressor compressor(kOptions, 48000, 2);
  EXPECT_EQ(compressor.Reduction(-23.1), 0);
  EXPECT_NEAR(compressor.Reduction(-20), -0.75 * 9 / 12, 1e-12);  // (1/R - 1) (W/2)^2 / (2 W)
  EXPECT_NEAR(compressor.Reduction(-17), -0.75 * 3, 1e-12);
  EXPECT_NEAR(compressor.Reduction(-8), -0.75 * 12, 1e-12);
}

TEST(LinkedCompressor, ASteadyLevelIsTurnedDownByTheCurveAndChannelsAlike) {
  LinkedCompressor compressor(kOptions, 48000, 2);
  std::vector<float> steady;
  for (int i = 0; i < 48000; ++i) {
    steady.push_back(0.5f);
    steady.push_back(0.01f);
  }
  compressor.Process(steady.data(), 48000);
  const double wanted = compressor.Reduction(20 * std::log10(0.5));
  EXPECT_NEAR(20 * std::log10(steady[2 * 47999] / 0.5), wanted, 1e-3);
  EXPECT_NEAR(20 * std::log10(steady[2 * 47999 + 1] / 0.01), wanted, 1e-3);
  // 63 % of the way after the attack's time.
  EXPECT_NEAR(20 * std::log10(steady[2 * 479] / 0.5), wanted * (1 - std::exp(-1.0)), 0.01);
}

TEST(LinkedCompressor, WhatIsQuietPassesBitByBit) {
  LinkedCompressor compressor(kOptions, 48000, 1);
  std::vector<float> quiet;
  for (int i = 0; i < 1000; ++i) quiet.push_back(0.05f * static_cast<float>(std::sin(i)));
  const std::vector<float> before = quiet;
  compressor.Process(quiet.data(), 1000);
  EXPECT_EQ(quiet, before);
}

TEST(ClassicLimiter, RaisesTheLevelAsItsThresholdFalls) {
  // A tone at -30 dBFS, far below all thresholds: 3.75 dB and what the threshold lacks to full scale.
  for (const auto& [threshold, level] : {std::pair(-4.0, -22.25), {-1.0, -25.25}, {-0.1, -26.15}}) {
    ClassicLimiter limiter(threshold, 100, 44100, 1);
    std::vector<float> tone;
    for (int i = 0; i < 44100; ++i) tone.push_back(static_cast<float>(std::pow(10, -1.5) * std::sin(i * 0.0626893772)));
    limiter.Process(tone.data(), 44100);
    float peak = 0;
    for (const float sample : tone) peak = std::max(peak, std::abs(sample));
    EXPECT_NEAR(20 * std::log10(peak), level, 0.005) << threshold;
  }
}

}  // namespace
}  // namespace timbre
