// The cases of EBU Tech 3341 and 3342 that are described by tones; 7 and 8 of the former, and 5 and 6 of the latter,
// are recordings of programmes.
#include "audio/loudness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "audio/test_files.h"

namespace timbre {
namespace {

constexpr int kRate = 48000;
const std::vector<Speaker> kStereo = {Speaker::kFrontLeft, Speaker::kFrontRight};

using Steps = std::vector<std::pair<double, double>>;  // level in dBFS, seconds

// 1 kHz, with steps in level, the phase running on; in every channel.
void AddTones(const Steps& steps, int repeated, LoudnessMeter& meter) {
  int64_t at = 0;
  std::vector<float> block;
  for (int i = 0; i < repeated; ++i) {
    for (const auto& [level, seconds] : steps) {
      block.resize(2 * std::lround(seconds * kRate));
      // A period has 48 samples.
      for (size_t n = 0; n < block.size() / 2; ++n, ++at) {
        static const std::vector<float> period = SineFrames(48, 1, 1000, kRate, 1);
        block[2 * n] = block[2 * n + 1] = static_cast<float>(FromDb(level)) * period[at % 48];
      }
      EXPECT_TRUE(meter.Add(block.data(), static_cast<int64_t>(block.size()) / 2));
    }
  }
}

Loudness OfTones(const Steps& steps, int repeated = 1) {
  LoudnessMeter meter = *LoudnessMeter::Create(kRate, kStereo, false);
  AddTones(steps, repeated, meter);
  return *meter.Measure();
}

TEST(Loudness, Tech3341Integrated) {
  EXPECT_NEAR(OfTones({{-23, 20}}).integrated, -23, 0.1);                                              // case 1
  EXPECT_NEAR(OfTones({{-33, 20}}).integrated, -33, 0.1);                                              // 2
  EXPECT_NEAR(OfTones({{-36, 10}, {-23, 60}, {-36, 10}}).integrated, -23, 0.1);                        // 3
  EXPECT_NEAR(OfTones({{-72, 10}, {-36, 10}, {-23, 60}, {-36, 10}, {-72, 10}}).integrated, -23, 0.1);  // 4
  EXPECT_NEAR(OfTones({{-26, 20}, {-20, 20.1}, {-26, 20}}).integrated, -23, 0.1);                      // 5
}

TEST(Loudness, Tech3341CaseOneOfAllThree) {
  const Loudness loudness = OfTones({{-23, 20}});
  EXPECT_NEAR(loudness.momentary_max, -23, 0.1);
  EXPECT_NEAR(loudness.short_term_max, -23, 0.1);
}

TEST(Loudness, Tech3341CaseSixOfFiveChannels) {
  const std::vector<Speaker> speakers = {Speaker::kFrontLeft, Speaker::kFrontRight, Speaker::kFrontCenter,
                                         Speaker::kBackLeft, Speaker::kBackRight};
  const double levels[] = {-28, -28, -24, -30, -30};
  LoudnessMeter meter = *LoudnessMeter::Create(kRate, speakers, false);
  const std::vector<float> period = SineFrames(48, 1, 1000, kRate, 1);
  std::vector<float> second(5 * kRate);
  for (int n = 0; n < kRate; ++n) {
    for (int c = 0; c < 5; ++c) second[5 * n + c] = static_cast<float>(FromDb(levels[c])) * period[n % 48];
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(meter.Add(second.data(), kRate));
  EXPECT_NEAR(meter.Measure()->integrated, -23, 0.1);
}

TEST(Loudness, Tech3341ShortTermAndMomentary) {
  EXPECT_NEAR(OfTones({{-20, 1.34}, {-30, 1.66}}, 5).short_term_max, -23, 0.1);  // case 9
  EXPECT_NEAR(OfTones({{-20, 0.18}, {-30, 0.22}}, 25).momentary_max, -23, 0.1);  // 12
}

// A tone of just a window's length, wherever it begins. Digital silence has no level in dB: -200 is below float's
// noise.
TEST(Loudness, Tech3341AToneOfOneWindow) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_NEAR(OfTones({{-200, 0.15 * i}, {-23, 3}, {-200, 1}}).short_term_max, -23, 0.1) << i;   // case 10
    EXPECT_NEAR(OfTones({{-200, 0.02 * i}, {-23, 0.4}, {-200, 1}}).momentary_max, -23, 0.1) << i;  // 13
  }
}

// What is shorter than a window has no maximum over it, and not one of 9 dB less.
TEST(Loudness, LessThanAWindowHasNoMaximum) {
  const Loudness second = OfTones({{-23, 1}});
  EXPECT_NEAR(second.integrated, -23, 0.1);
  EXPECT_NEAR(second.momentary_max, -23, 0.1);
  EXPECT_EQ(second.short_term_max, -HUGE_VAL);
  EXPECT_EQ(OfTones({{-23, 0.3}}).momentary_max, -HUGE_VAL);
}

TEST(Loudness, Tech3341TonesThatRiseInOneSignal) {
  LoudnessMeter short_term = *LoudnessMeter::Create(kRate, kStereo, false);  // case 11
  LoudnessMeter momentary = *LoudnessMeter::Create(kRate, kStereo, false);   // 14
  for (int i = 0; i < 20; ++i) {
    const double level = -38 + i;
    AddTones({{-200, 0.15 * i}, {level, 3}, {-200, 3 - 0.15 * i}}, 1, short_term);
    EXPECT_NEAR(short_term.Measure()->short_term_max, level, 0.1) << i;
    AddTones({{-200, 0.02 * i}, {level, 0.4}, {-200, 0.4 - 0.02 * i}}, 1, momentary);
    EXPECT_NEAR(momentary.Measure()->momentary_max, level, 0.1) << i;
  }
}

// Cases 20 to 23: a tone of which one peak, at full scale, lies on a sample or a quarter, a half, three quarters
// behind.
TEST(Loudness, Tech3341TruePeakBetweenSamples) {
  for (int quarters = 0; quarters < 4; ++quarters) {
    std::vector<float> tone(2 * kRate);
    const double centre = kRate / 2 + quarters / 4.0;
    for (int n = 0; n < kRate; ++n) {
      const double t = n - centre;
      // The higher peak fades in and out over a few periods, slowly enough to lie within the band.
      const double amplitude = (0.5 + 0.5 * std::exp(-t * t / (2 * 6 * 6))) * std::min(1.0, n / 4800.0);
      tone[2 * n] = tone[2 * n + 1] = static_cast<float>(amplitude * std::cos(2 * std::numbers::pi * t / 4));
    }
    LoudnessMeter meter = *LoudnessMeter::Create(kRate, kStereo);
    ASSERT_TRUE(meter.Add(tone.data(), kRate));
    EXPECT_LE(meter.Measure()->true_peak, 0.2) << quarters;
    EXPECT_GE(meter.Measure()->true_peak, -0.4) << quarters;
  }
}

TEST(Loudness, Tech3341TruePeak) {
  // Cases 15 to 19: a part of the rate, a phase in degrees, an amplitude, and what must be read, +0.2 -0.4 dB.
  const double cases[][4] = {{4, 0, 0.5, -6}, {4, 45, 0.5, -6}, {6, 60, 0.5, -6}, {8, 67.5, 0.5, -6}, {4, 45, 1.41, 3}};
  for (const auto& [part, degrees, amplitude, want] : cases) {
    LoudnessMeter meter = *LoudnessMeter::Create(kRate, kStereo);
    std::vector<float> tone(2 * kRate);
    for (int n = 0; n < kRate; ++n) {
      const double phase = 2 * std::numbers::pi * (n / part + degrees / 360);
      // In over a tenth of a second, so that the begin has no peak of its own.
      tone[2 * n] = tone[2 * n + 1] = static_cast<float>(amplitude * std::min(1.0, n / 4800.0) * std::sin(phase));
    }
    ASSERT_TRUE(meter.Add(tone.data(), kRate));
    const double peak = meter.Measure()->true_peak;
    EXPECT_LE(peak, want + 0.2) << "a tone at the rate over " << part;
    EXPECT_GE(peak, want - 0.4) << "a tone at the rate over " << part;
  }
}

TEST(Loudness, Tech3342Range) {
  EXPECT_NEAR(OfTones({{-20, 20}, {-30, 20}}).range, 10, 1);
  EXPECT_NEAR(OfTones({{-20, 20}, {-15, 20}}).range, 5, 1);
  EXPECT_NEAR(OfTones({{-40, 20}, {-20, 20}}).range, 20, 1);
  EXPECT_NEAR(OfTones({{-50, 20}, {-35, 20}, {-20, 20}, {-35, 20}, {-50, 20}}).range, 15, 1);
}

TEST(Loudness, BlocksOfAnySizeMeasureTheSame) {
  const std::vector<float> noise = NoiseFrames(5 * 44100, 2);
  const auto measured = [&](int64_t block) {
    LoudnessMeter meter = *LoudnessMeter::Create(44100, kStereo);
    for (int64_t at = 0; at < 5 * 44100; at += block) {
      EXPECT_TRUE(meter.Add(&noise[2 * at], std::min<int64_t>(block, 5 * 44100 - at)));
    }
    return *meter.Measure();
  };
  const Loudness whole = measured(5 * 44100), parts = measured(777);
  EXPECT_EQ(whole.integrated, parts.integrated);
  EXPECT_EQ(whole.short_term_max, parts.short_term_max);
  EXPECT_EQ(whole.momentary_max, parts.momentary_max);
  EXPECT_EQ(whole.true_peak, parts.true_peak);
}

TEST(Loudness, SilenceHasNone) {
  LoudnessMeter meter = *LoudnessMeter::Create(kRate, kStereo);
  const std::vector<float> silence(2 * kRate);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(meter.Add(silence.data(), kRate));
  const Loudness loudness = *meter.Measure();
  EXPECT_EQ(loudness.integrated, -HUGE_VAL);
  EXPECT_EQ(loudness.true_peak, -HUGE_VAL);
  EXPECT_EQ(loudness.range, 0);
}

TEST(Loudness, RefusesWhatCannotBeMeasured) {
  EXPECT_FALSE(LoudnessMeter::Create(8, kStereo));
  EXPECT_FALSE(LoudnessMeter::Create(kRate, {}));
}

}  // namespace
}  // namespace timbre
