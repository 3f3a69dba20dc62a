#include "dsp/onset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace timbre {
namespace {

// Decaying sines at the given times: hits of one drum.
std::vector<float> Hits(double rate, double seconds, double hz, const std::vector<double>& times, double decay = 20) {
  std::vector<float> signal(static_cast<size_t>(rate * seconds), 0.0f);
  for (double time : times) {
    const auto begin = static_cast<size_t>(time * rate);
    for (size_t i = begin; i < signal.size(); ++i) {
      const double t = static_cast<double>(i - begin) / rate;
      signal[i] += static_cast<float>(0.5 * std::exp(-decay * t) * std::sin(2 * 3.14159265358979 * hz * t));
    }
  }
  return signal;
}

OnsetTrack Analyse(const std::vector<float>& signal, double rate, double low, double high, size_t block = 1 << 20) {
  auto analyser = OnsetAnalyser::Create(rate, low, high);
  EXPECT_TRUE(analyser);
  for (size_t at = 0; at < signal.size(); at += block) {
    analyser->Push(std::span(signal).subspan(at, std::min(block, signal.size() - at)));
  }
  return analyser->Finish();
}

TEST(Onset, TimesAreWithinMillisecondsAtAnyRate) {
  const std::vector<double> times = {0.0, 0.4031, 0.61, 0.775, 1.5007};
  for (double rate : {22050.0, 44100.0, 48000.0, 96000.0}) {
    const auto onsets = PickOnsets(Analyse(Hits(rate, 2, 100, times), rate, 40, 300), {});
    ASSERT_EQ(onsets.size(), times.size()) << rate;
    for (size_t i = 0; i < times.size(); ++i) EXPECT_NEAR(onsets[i].seconds, times[i], 0.005) << rate;
  }
}

TEST(Onset, MeasuresPitchDecayAndBand) {
  const double rate = 44100;
  const auto onsets = PickOnsets(Analyse(Hits(rate, 2, 130, {0.5, 1.2}), rate, 60, 500), {});
  ASSERT_EQ(onsets.size(), 2u);
  for (const Onset& onset : onsets) {
    EXPECT_NEAR(onset[OnsetFeature::kPitchHz], 130, 2);
    EXPECT_NEAR(onset[OnsetFeature::kDecayMs], 1000 * std::log(10) / 20, 15);  // 20 dB of exp(-20 t)
    EXPECT_GT(onset[OnsetFeature::kShare], 0.95);
    EXPECT_GT(onset[OnsetFeature::kRiseDb], 30);
    EXPECT_LT(onset[OnsetFeature::kHighShare], 0.01);
    EXPECT_NEAR(onset[OnsetFeature::kLevelDb], 0, 1);
  }
}

TEST(Onset, BlocksGiveWhatTheWholeGives) {
  const auto signal = Hits(44100, 1.5, 100, {0.1, 0.7, 0.9});
  const OnsetTrack whole = Analyse(signal, 44100, 40, 300), parts = Analyse(signal, 44100, 40, 300, 777);
  EXPECT_EQ(whole.flux, parts.flux);
  EXPECT_EQ(whole.envelope, parts.envelope);
  EXPECT_EQ(whole.power, parts.power);
  EXPECT_EQ(whole.overview, parts.overview);
  EXPECT_DOUBLE_EQ(whole.seconds, 1.5);
}

TEST(Onset, SilenceAndNothingGiveNone) {
  EXPECT_TRUE(PickOnsets(Analyse(std::vector<float>(44100, 0.0f), 44100, 40, 300), {}).empty());
  EXPECT_TRUE(PickOnsets(Analyse({}, 44100, 40, 300), {}).empty());
  EXPECT_TRUE(PickOnsets(Analyse({0.5f}, 44100, 40, 300), {}).size() <= 1);
}

TEST(Onset, WhatIsNotFiniteCountsAsSilence) {
  auto signal = Hits(44100, 1.5, 100, {0.1, 0.7});
  signal[40000] = std::numeric_limits<float>::quiet_NaN();
  signal[50000] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(PickOnsets(Analyse(signal, 44100, 40, 300), {.threshold = 0.3}).size(), 2u);
}

TEST(Onset, BandsAndRatesThatMakeNoSenseAreErrors) {
  EXPECT_FALSE(OnsetAnalyser::Create(44100, 300, 100));
  EXPECT_FALSE(OnsetAnalyser::Create(44100, 0, 100));
  EXPECT_FALSE(OnsetAnalyser::Create(4000, 50, 100));
  EXPECT_FALSE(OnsetAnalyser::Create(std::nan(""), 50, 100));
  EXPECT_FALSE(OnsetAnalyser::Create(8000, 4000, 9000));
}

}  // namespace
}  // namespace timbre
