#include "dsp/tempo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

// Kick on one and three, snare on two and four, hi-hat in eighths, the second of each pair delayed by `swing` (0.5 is
// straight).
std::vector<BeatOnset> Rock(double bpm, int bars, double start, double swing = 0.5) {
  std::vector<BeatOnset> onsets;
  const double beat = 60 / bpm;
  for (int i = 0; i < 4 * bars; ++i) {
    const double t = start + i * beat;
    onsets.push_back({t, i % 2 == 0 ? BeatRole::kLow : BeatRole::kBack, 0.9});
    onsets.push_back({t, BeatRole::kOther, 0.7});
    onsets.push_back({t + swing * beat, BeatRole::kOther, 0.5});
  }
  return onsets;
}

TEST(Tempo, FindsSteadyTempiAndTheirBeats) {
  for (double bpm : {60.0, 73.3, 90.0, 117.9, 140.0, 171.0, 200.0}) {
    for (double swing : {0.5, 0.6, 0.667}) {
      const double start = 0.21, seconds = start + 8 * 4 * 60 / bpm;
      const BeatGrid grid = EstimateBeats(Rock(bpm, 8, start, swing), seconds, {});
      EXPECT_NEAR(grid.bpm, bpm, 0.001 * bpm) << swing;
      EXPECT_TRUE(grid.steady) << bpm;
      ASSERT_GE(grid.beats.size(), 31u);
      for (double b : grid.beats) {
        const double place = (b - start) * bpm / 60;
        EXPECT_NEAR(place, std::round(place), 0.01) << bpm << " at " << b;
      }
      // The bar begins with a kick.
      const double bar = (grid.beats[static_cast<size_t>(grid.downbeat)] - start) * bpm / 60;
      EXPECT_EQ(std::lround(bar) % 2, 0) << bpm;
    }
  }
}

TEST(Tempo, FollowsOneThatDrifts) {
  std::vector<BeatOnset> onsets;
  std::vector<double> beats;
  double t = 0.3;
  for (int i = 0; i < 64; ++i) {
    beats.push_back(t);
    const double period = 60 / (100 + 0.3 * i);
    onsets.push_back({t, i % 2 == 0 ? BeatRole::kLow : BeatRole::kBack, 0.9});
    onsets.push_back({t, BeatRole::kOther, 0.7});
    onsets.push_back({t + period / 2, BeatRole::kOther, 0.6});
    t += period;
  }
  const BeatGrid grid = EstimateBeats(onsets, t, {});
  EXPECT_FALSE(grid.steady);
  for (double beat : beats) {
    const auto nearest = std::min_element(grid.beats.begin(), grid.beats.end(),
                                          [&](double a, double b) { return std::abs(a - beat) < std::abs(b - beat); });
    EXPECT_NEAR(*nearest, beat, 0.01);
  }
}

TEST(Tempo, TooFewOnsetsGiveNoGrid) {
  EXPECT_TRUE(EstimateBeats({}, 10, {}).beats.empty());
  const std::vector<BeatOnset> few(4, {1.0, BeatRole::kLow, 1.0});
  EXPECT_TRUE(EstimateBeats(few, 10, {}).beats.empty());
  const std::vector<BeatOnset> together(40, {1.0, BeatRole::kLow, 1.0});
  EXPECT_TRUE(EstimateBeats(together, 10, {}).beats.empty());
}

TEST(Tempo, AnyOnsetsGiveAscendingBeatsWithinTheSignal) {
  uint64_t state = 7;
  auto random = [&] {
    return static_cast<double>((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) / 0x1p31;
  };
  for (int round = 0; round < 20; ++round) {
    std::vector<BeatOnset> onsets;
    const double seconds = 1 + 20 * random();
    for (int i = 0; i < 40; ++i) onsets.push_back({seconds * random(), static_cast<BeatRole>(i % 3), random()});
    std::sort(onsets.begin(), onsets.end(), [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
    const BeatGrid grid = EstimateBeats(onsets, seconds, {});
    for (size_t i = 0; i < grid.beats.size(); ++i) {
      ASSERT_GE(grid.beats[i], 0);
      if (i > 0) {
        ASSERT_GT(grid.beats[i], grid.beats[i - 1]);
      }
    }
    if (!grid.beats.empty()) {
      EXPECT_GE(grid.bpm, 50);
      EXPECT_LE(grid.bpm, 225);
    }
  }
}

}  // namespace
}  // namespace timbre
