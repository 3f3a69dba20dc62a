#include "dsp/sound_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace timbre {
namespace {

using std::numbers::pi;

SoundFeatures Analyse(std::span<const float> mono, size_t block = SIZE_MAX) {
  auto analyser = SoundAnalyser::Create();
  EXPECT_TRUE(analyser);
  for (size_t at = 0; at < mono.size(); at += std::min(block, mono.size() - at)) {
    analyser->Push(mono.subspan(at, std::min(block, mono.size() - at)));
  }
  return analyser->Finish();
}

// A tone that dies away, one that rises, and noise of a linear congruence: 1.5 s.
std::vector<float> Mixture() {
  std::vector<float> mono(3 * kFeatureRate / 2);
  uint32_t x = 1;
  for (size_t i = 0; i < mono.size(); ++i) {
    const double t = static_cast<double>(i) / kFeatureRate;
    x = x * 1664525u + 1013904223u;
    mono[i] = static_cast<float>(0.3 * std::sin(2 * pi * 440 * t) * std::exp(-t) +
                                 0.2 * std::sin(2 * pi * 1318.5 * t * (1 + 0.1 * t)) + 0.05 * (x / 2147483648.0 - 1));
  }
  return mono;
}

// What Librosa 0.11.0 says of it: frames of 2048, a hop of 512, silence around, decibels without a limit below.
TEST(SoundFeatures, AreLibrosas) {
  const SoundFeatures f = Analyse(Mixture());
  EXPECT_EQ(f.centroid.count, 130);
  EXPECT_NEAR(f.centroid.mean, 7641.192, 0.01);
  EXPECT_NEAR(f.centroid.deviation(), 550.336, 0.01);
  EXPECT_NEAR(f.bandwidth.mean, 6988.493, 0.01);
  EXPECT_NEAR(f.rolloff.mean, 16976.943, 0.01);
  EXPECT_NEAR(f.rolloff.deviation(), 503.631, 0.01);
  EXPECT_NEAR(f.crossings.mean, 0.08189603, 1e-7);
  EXPECT_NEAR(f.power.mean, 0.0346532, 1e-6);
  const double contrast[] = {8.40288891, 7.42660301, 25.50795097, 24.37385916, 18.36483417, 13.33681098, 13.54040163};
  for (size_t b = 0; b < kContrastBands; ++b) EXPECT_NEAR(f.contrast[b].mean, contrast[b], 1e-3) << b;
  const double mfcc[] = {-158.84245, 17.371235, 4.9335833,  -4.287533,  -0.42459458, 7.870923,  5.6921515,
                         -8.587416,  -23.33457, -26.213476, -16.019812, -4.0791306,  -1.1290854};
  for (size_t c = 0; c < kMfccs; ++c) EXPECT_NEAR(f.mfcc[c].mean, mfcc[c], 2e-3) << c;
  EXPECT_NEAR(f.mfcc[1].deviation(), 9.7113695, 1e-3);
}

TEST(SoundFeatures, BlocksOfAnySizeGiveTheSame) {
  const std::vector<float> mono = Mixture();
  const SoundFeatures whole = Analyse(mono);
  for (const size_t block : {size_t{1000}, size_t{4097}}) {
    const SoundFeatures f = Analyse(mono, block);
    EXPECT_EQ(f.centroid.mean, whole.centroid.mean);
    EXPECT_EQ(f.mfcc[3].squares, whole.mfcc[3].squares);
    EXPECT_EQ(f.harmonic, whole.harmonic);
    EXPECT_EQ(f.percussive, whole.percussive);
    EXPECT_EQ(f.tone, whole.tone);
    EXPECT_EQ(f.bpm, whole.bpm);
  }
}

TEST(SoundFeatures, TellTonesFromClicks) {
  std::vector<float> tone(kFeatureRate), clicks(kFeatureRate);
  for (size_t i = 0; i < tone.size(); ++i) tone[i] = 0.3f * static_cast<float>(std::sin(2 * pi * 440 * i / 44100.0));
  for (size_t i = 2000; i < clicks.size(); i += 11025) clicks[i] = 0.9f;
  const SoundFeatures tonal = Analyse(tone), clicking = Analyse(clicks);
  EXPECT_GT(tonal.harmonic_db(), 20);
  EXPECT_LT(clicking.harmonic_db(), -20);
  EXPECT_NEAR(tonal.rms_db(), 20 * std::log10(0.3 / std::sqrt(2.0)), 0.2);
  // All of it is an A, in the band around 400 Hz.
  EXPECT_GT(tonal.chroma[9].mean, 0.95);
  const auto strongest = std::max_element(tonal.tone.begin(), tonal.tone.end()) - tonal.tone.begin();
  EXPECT_EQ(strongest, 9);
  EXPECT_NEAR(ToneBandHz(9), 400, 1e-9);
}

TEST(SoundFeatures, FindATempo) {
  std::vector<float> mono(6 * kFeatureRate);
  // Kick and hi-hat, 100 beats a minute.
  uint32_t x = 7;
  for (int eighth = 0; eighth < 19; ++eighth) {
    const auto at = static_cast<size_t>((0.1 + 0.3 * eighth) * kFeatureRate);
    for (size_t i = 0; i < 6000; ++i) {
      const double t = static_cast<double>(i) / kFeatureRate;
      x = x * 1664525u + 1013904223u;
      if (eighth % 2 == 0) mono[at + i] += static_cast<float>(0.7 * std::exp(-20 * t) * std::sin(2 * pi * 60 * t));
      mono[at + i] += static_cast<float>(0.1 * std::exp(-80 * t) * (x / 2147483648.0 - 1));
    }
  }
  const SoundFeatures f = Analyse(mono);
  EXPECT_NEAR(f.bpm, 100, 1);
  ASSERT_TRUE(f.tempo_octave());
  EXPECT_NEAR(*f.tempo_octave(), std::log2(100) - 6, 0.02);
}

TEST(SoundFeatures, SilenceHasNone) {
  const SoundFeatures f = Analyse(std::vector<float>(kFeatureRate));
  EXPECT_TRUE(f.silent());
  EXPECT_EQ(f.bpm, 0);
  EXPECT_FALSE(f.tempo_octave());
  EXPECT_EQ(f.seconds, 1);
  EXPECT_TRUE(Analyse({}).silent());
}

TEST(SoundFeatures, MergeAsIfTheyWereOneSound) {
  RunningMean first, second, both;
  for (int i = 0; i < 50; ++i) {
    const double x = std::sin(i * 1.7) + 0.1 * i;
    (i < 20 ? first : second).Add(x);
    both.Add(x);
  }
  first.Merge(second);
  EXPECT_EQ(first.count, 50);
  EXPECT_NEAR(first.mean, both.mean, 1e-12);
  EXPECT_NEAR(first.deviation(), both.deviation(), 1e-12);
  RunningMean nothing;
  nothing.Merge({});
  EXPECT_EQ(nothing.deviation(), 0);
  // Tempi merge but for their octaves: 75 and 150 are one.
  SoundFeatures slow, fast;
  slow.seconds = fast.seconds = 10;
  const double angle = 2 * pi * std::log2(75.0);
  slow.tempo = fast.tempo = {10 * std::cos(angle), 10 * std::sin(angle)};
  slow.Merge(fast);
  EXPECT_EQ(slow.seconds, 20);
  EXPECT_NEAR(*slow.tempo_octave(), std::log2(75.0) - 6, 1e-9);
}

}  // namespace
}  // namespace timbre
