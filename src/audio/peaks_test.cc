#include "audio/peaks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "audio/test_files.h"

namespace timbre {
namespace {

using Levels = std::array<std::vector<int8_t>, PeakPyramid::kLevels>;

Levels PeaksOf(const std::vector<float>& samples, int channels, int64_t step) {
  Levels levels;
  PeakPyramid pyramid(channels, [&](int level, std::span<const int8_t> pairs) -> Status {
    levels[level].insert(levels[level].end(), pairs.begin(), pairs.end());
    return {};
  });
  const int64_t frames = static_cast<int64_t>(samples.size()) / channels;
  for (int64_t at = 0; at < frames; at += step) {
    EXPECT_TRUE(pyramid.Push(samples.data() + at * channels, std::min(step, frames - at)));
  }
  EXPECT_TRUE(pyramid.Finish());
  EXPECT_EQ(pyramid.frames(), frames);
  return levels;
}

TEST(Peaks, AreTheExtremesOfEachStretchOnEachLevel) {
  for (const int64_t frames : {int64_t{1}, int64_t{255}, int64_t{256}, int64_t{257}, int64_t{70001}}) {
    const std::vector<float> samples = NoiseFrames(frames, 2, 1.3f);
    const Levels levels = PeaksOf(samples, 2, 1000);
    for (int level = 0; level < PeakPyramid::kLevels; ++level) {
      const int64_t width = PeakPyramid::FramesOf(level), bins = (frames + width - 1) / width;
      ASSERT_EQ(levels[level].size(), static_cast<size_t>(bins * 4));
      for (int64_t bin = 0; bin < bins; ++bin) {
        for (int c = 0; c < 2; ++c) {
          float low = 2, high = -2;
          for (int64_t i = bin * width; i < std::min(frames, (bin + 1) * width); ++i) {
            low = std::min(low, samples[i * 2 + c]);
            high = std::max(high, samples[i * 2 + c]);
          }
          ASSERT_EQ(levels[level][(bin * 2 + c) * 2], std::clamp(std::floor(low * 127), -128.0f, 127.0f));
          ASSERT_EQ(levels[level][(bin * 2 + c) * 2 + 1], std::clamp(std::ceil(high * 127), -128.0f, 127.0f));
        }
      }
    }
  }
}

TEST(Peaks, DoNotDependOnHowTheSamplesCome) {
  const std::vector<float> samples = NoiseFrames(30000, 1);
  const Levels whole = PeaksOf(samples, 1, 30000);
  for (const int64_t step : {1, 255, 256, 4097}) EXPECT_EQ(PeaksOf(samples, 1, step), whole) << step;
}

// A click of one step of 16 bits is no silence.
TEST(Peaks, ShowWhatIsHardlyThere) {
  std::vector<float> samples(1000);
  samples[300] = -1.0f / 32768;
  const Levels levels = PeaksOf(samples, 1, 1000);
  EXPECT_EQ(levels[0][0], 0);
  EXPECT_EQ(levels[0][2], -1);
  EXPECT_EQ(levels[7][0], -1);
}

}  // namespace
}  // namespace timbre
