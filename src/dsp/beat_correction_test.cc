#include "dsp/beat_correction.h"

#include <gtest/gtest.h>

#include <vector>

namespace timbre {
namespace {

using Times = BeatCorrection::Times;

// 120 a minute from 0.25 s to the end of 8 s; a bar begins with the third.
BeatGrid Grid() {
  BeatGrid grid{.bpm = 120, .steady = true, .downbeat = 2, .metre_confidence = 0.6};
  for (double beat = 0.25; beat <= 8; beat += 0.5) grid.beats.push_back(beat);
  return grid;
}

BeatGrid Corrected(const BeatCorrection& correction, double seconds = 8, BeatGrid grid = Grid()) {
  const auto corrected = CorrectBeats(std::move(grid), seconds, correction);
  EXPECT_TRUE(corrected) << corrected.error().message;
  return corrected.value_or(BeatGrid{});
}

void ExpectEven(const BeatGrid& grid, double first, double period, double seconds) {
  ASSERT_FALSE(grid.beats.empty());
  for (size_t i = 0; i < grid.beats.size(); ++i) {
    EXPECT_NEAR(grid.beats[i], first + static_cast<double>(i) * period, 1e-9) << i;
  }
  EXPECT_LT(grid.beats.front(), period);
  EXPECT_GT(grid.beats.back() + period, seconds);
}

TEST(BeatCorrection, NothingSaidIsNothingChanged) {
  const BeatGrid grid = Corrected({});
  EXPECT_EQ(grid.beats, Grid().beats);
  EXPECT_EQ(grid.downbeat, 2);
  EXPECT_EQ(grid.metre_confidence, 0.6);
}

TEST(BeatCorrection, AnotherTempoGoesOutFromTheBar) {
  const BeatGrid grid = Corrected({.bpm = 100});
  ExpectEven(grid, 0.05, 0.6, 8);  // 1.25 is where the bar began
  EXPECT_EQ(grid.downbeat, 2);
  EXPECT_EQ(grid.bpm, 100);
  EXPECT_TRUE(grid.steady);
  const BeatGrid anchored = Corrected({.bpm = 60, .first = 3.4});
  ExpectEven(anchored, 0.4, 1, 8);
  EXPECT_EQ(anchored.downbeat, 3);
  // Where nothing was heard it begins with the sound.
  ExpectEven(Corrected({.bpm = 90}, 5, {}), 0, 60.0 / 90, 5);
}

TEST(BeatCorrection, AFirstBeatTakesTheOthersAlong) {
  const BeatGrid later = Corrected({.first = 1.85});  // 1.75 is the nearest, the fourth
  ExpectEven(later, 0.35, 0.5, 8);
  EXPECT_EQ(later.downbeat, 3);
  EXPECT_NEAR(later.beats[3], 1.85, 1e-9);
  // So far ahead that one more has room at the end, and one goes at the begin.
  const BeatGrid earlier = Corrected({.first = 0});
  ExpectEven(earlier, 0, 0.5, 8);
  EXPECT_EQ(earlier.downbeat, 0);
  // A drift stays what it is.
  BeatGrid drifting{.beats = {0.1, 0.6, 1.2, 1.9}, .bpm = 100};
  const std::vector<double> moved = Corrected({.first = 1.3}, 2.2, drifting).beats;
  const double wanted[] = {0.2, 0.7, 1.3, 2};
  ASSERT_EQ(moved.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(moved[i], wanted[i], 1e-12);
}

TEST(BeatCorrection, TwiceAndHalfAsManyBeatsKeepTheBar) {
  const BeatGrid twice = Corrected({.times = Times::kDouble});
  ExpectEven(twice, 0, 0.25, 8);  // the one ahead of the first has room now
  EXPECT_EQ(twice.bpm, 240);
  EXPECT_NEAR(twice.beats[static_cast<size_t>(twice.downbeat) + 4], 1.25, 1e-9);
  const BeatGrid half = Corrected({.times = Times::kHalf});
  ExpectEven(half, 0.25, 1, 8);
  EXPECT_EQ(half.downbeat, 1) << "where it was";
  EXPECT_EQ(half.bpm, 60);
}

TEST(BeatCorrection, AnotherMetreCountsTheSameBeats) {
  const BeatGrid grid = Corrected({.metre = Metre{3, 4}});
  EXPECT_EQ(grid.beats, Grid().beats);
  EXPECT_EQ(grid.metre, (Metre{3, 4}));
  EXPECT_EQ(grid.downbeat, 2);
  EXPECT_EQ(grid.metre_confidence, 1);
  EXPECT_EQ(Corrected({.metre = Metre{6, 8}}).downbeat, 0)
      << "two beats a bar: one begins with the third, and the first";
  EXPECT_TRUE(Corrected({.metre = Metre{3, 4}}, 5, {}).beats.empty());
}

TEST(BeatCorrection, WhatMakesNoGridIsRefused) {
  const auto refused = [](const BeatCorrection& correction, double seconds, BeatGrid grid) {
    const auto corrected = CorrectBeats(std::move(grid), seconds, correction);
    return !corrected && corrected.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({.first = 1}, 8, {}));
  EXPECT_TRUE(refused({.times = Times::kHalf}, 8, {}));
  EXPECT_TRUE(refused({.first = 8.5}, 8, Grid()));
  EXPECT_TRUE(refused({.first = -1}, 8, Grid()));
  EXPECT_TRUE(refused({.bpm = 19}, 8, Grid()));
  EXPECT_TRUE(refused({.bpm = 401}, 8, Grid()));
  EXPECT_TRUE(refused({.bpm = 20}, 2, Grid())) << "a period of three seconds";
  EXPECT_TRUE(refused({.bpm = 400}, 24 * 3600, Grid()));
  BeatGrid fast = Grid();
  fast.bpm = 300;
  EXPECT_TRUE(refused({.times = Times::kDouble}, 8, fast));
  // Beats that lie so near that the sound has room for millions.
  EXPECT_TRUE(refused({.metre = Metre{3, 4}}, 24 * 3600, {.beats = {43200, 43200.0001}, .bpm = 120}));
}

}  // namespace
}  // namespace timbre
