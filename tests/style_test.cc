// What distances of style say, and what brings clips nearer to one another.
#include "pipelines/studio/style.h"

#include <gtest/gtest.h>

#include <cmath>

#include "audio/loudness.h"
#include "dsp/biquad.h"
#include "tests/style_synth.h"

namespace timbre {
namespace {

using testing::RandomStyleSet;
using testing::StyleClipOf;

SoundFeatures Analyse(std::span<const float> mono) {
  auto analyser = SoundAnalyser::Create();
  EXPECT_TRUE(analyser);
  analyser->Push(mono);
  return analyser->Finish();
}

// Of one frame, as numbers that are easily changed.
SoundFeatures Plain() {
  SoundFeatures f;
  f.seconds = 10;
  f.centroid.Add(2000);
  f.bandwidth.Add(1500);
  f.rolloff.Add(4000);
  f.power.Add(0.01);
  for (RunningMean& band : f.contrast) band.Add(20);
  for (RunningMean& c : f.mfcc) c.Add(1);
  f.chroma[0].Add(1);
  for (size_t i = 1; i < kPitchClasses; ++i) f.chroma[i].Add(0);
  f.harmonic = f.percussive = 1;
  f.tone.fill(1);
  return f;
}

TEST(StyleDistance, NamesWhatCausesIt) {
  SoundFeatures clip = Plain();
  EXPECT_EQ(DistanceOf(clip, Plain()).value, 0);
  clip.centroid.mean *= 2;  // an octave, at 0.12 octaves a unit
  clip.power.mean /= 10;    // 10 dB less, at 1 dB
  const StyleDistance distance = DistanceOf(clip, Plain());
  ASSERT_EQ(distance.terms.size(), 8u);  // no tempo
  EXPECT_EQ(distance.terms[0].feature, StyleFeature::kLevel);
  EXPECT_NEAR(distance.terms[0].z, -10, 1e-9);
  EXPECT_EQ(distance.terms[1].feature, StyleFeature::kCentroid);
  EXPECT_NEAR(distance.terms[1].z, 1 / 0.12, 1e-9);
  EXPECT_NEAR(distance.value, std::sqrt((100 + std::pow(1 / 0.12, 2)) / 8), 1e-9);
}

TEST(StyleDistance, TempiAnOctaveApartAreAlike) {
  const auto at = [](double bpm) {
    SoundFeatures f = Plain();
    const double angle = 2 * std::numbers::pi * std::log2(bpm);
    f.tempo = {10 * std::cos(angle), 10 * std::sin(angle)};
    return f;
  };
  EXPECT_NEAR(DistanceOf(at(75), at(150)).value, 0, 1e-9);
  // Across the octave's end: 127 and 129 are 0.0225 octaves apart, not 0.9775.
  const StyleDistance near = DistanceOf(at(129), at(127));
  EXPECT_EQ(near.terms[0].feature, StyleFeature::kTempo);
  EXPECT_NEAR(near.terms[0].z, std::log2(129.0 / 127) / 0.02, 1e-9);
}

TEST(StyleDistance, ClipsMadeAlikeAreNearAndOthersAreNot) {
  constexpr double kSeconds = 3;
  const auto set = RandomStyleSet(1), other = RandomStyleSet(2);
  const SoundFeatures a = Analyse(StyleClipOf(set, 1, kSeconds)), b = Analyse(StyleClipOf(set, 2, kSeconds));
  const SoundFeatures stranger = Analyse(StyleClipOf(other, 3, kSeconds));
  EXPECT_LT(DistanceOf(a, b).value, kStyleMark);
  EXPECT_GT(DistanceOf(stranger, a).value, kStyleMark);
}

TEST(StyleMatch, ToneIsBroughtBackByFiveBands) {
  SoundFeatures from = Plain();
  const SoundFeatures to = Plain();
  // What an equaliser took away, and a level that doesn't count.
  for (int b = 0; b < kToneBands; ++b) {
    const double hz = ToneBandHz(b);
    const double db = ToDb(LowShelf(100, 3, 0.7, 48000).Response(hz, 48000)) +
                      ToDb(PeakFilter(2000, -4, 1, 48000).Response(hz, 48000));
    from.tone[static_cast<size_t>(b)] *= std::pow(10, (db - 12) / 10);
  }
  const std::vector<ChainBand> bands = MatchTone(from, to, 48000);
  ASSERT_EQ(bands.size(), 5u);
  const double wanted[] = {-3, 0, 4, 0, 0};
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(bands[i].db, wanted[i], 0.25) << i;
  // Never more than 6 dB, and nothing where the two are alike.
  for (size_t b = 0; b < 8; ++b) from.tone[b] *= 1e4;
  for (const ChainBand& band : MatchTone(from, to, 48000)) EXPECT_LE(std::abs(band.db), 6.0);
  for (const ChainBand& band : MatchTone(to, to, 48000)) EXPECT_EQ(band.db, 0);
}

TEST(StyleMatch, AllTogetherWeighByLength) {
  std::vector<StyleClip> clips(3);
  clips[0].seconds = 30;
  clips[0].loudness.integrated = -20;
  clips[1].seconds = 10;
  clips[1].loudness.integrated = -10;
  for (size_t i = 0; i < 2; ++i) clips[i].features = Plain();
  for (StyleClip& clip : clips) clip.sample_rate = 44100;
  clips[2].seconds = 100;  // silence
  const Style style = CompareClips(clips);
  const double together = 10 * std::log10((30 * 0.01 + 10 * 0.1) / 40);
  ASSERT_TRUE(style.integrated);
  EXPECT_NEAR(*style.integrated, together, 1e-9);
  EXPECT_NEAR(*clips[0].gain_db, together + 20, 1e-9);
  EXPECT_FALSE(clips[2].gain_db);
  EXPECT_FALSE(clips[2].distance);
  ASSERT_TRUE(clips[0].distance);
  EXPECT_EQ(clips[0].distance->value, 0);
}

TEST(StyleVector, DirectionsAreMeansOfDirections) {
  // A vector's length says nothing: the long one doesn't outweigh the other.
  const std::vector<float> mean = MeanDirection({{10, 0}, {0, 1}});
  EXPECT_NEAR(mean[0], std::sqrt(0.5), 1e-6);
  EXPECT_NEAR(mean[1], std::sqrt(0.5), 1e-6);
  const std::vector<float> blend = BlendDirections({1, 0}, {0, 1}, 0.7);
  EXPECT_NEAR(blend[0] / blend[1], 0.7 / 0.3, 1e-5);
  EXPECT_NEAR(Cosine(blend, blend), 1, 1e-9);
  EXPECT_NEAR(blend[0] * blend[0] + blend[1] * blend[1], 1, 1e-6);
}

}  // namespace
}  // namespace timbre
