#include "audio/mix.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

using enum Speaker;

std::vector<float> Mix(const std::vector<Speaker>& speakers, const std::vector<float>& in) {
  auto mix = StereoMix::Create(speakers);
  EXPECT_TRUE(mix);
  std::vector<float> out(in.size() / speakers.size() * 2);
  mix->Apply(in.data(), static_cast<int64_t>(in.size() / speakers.size()), out.data());
  return out;
}

TEST(Mix, MonoIsDuplicatedAndComesBackExactly) {
  std::vector<float> x{0.1f, -1.5f, 3e-30f};
  std::vector<float> stereo = Mix({kFrontCenter}, x);
  EXPECT_EQ(stereo, (std::vector<float>{0.1f, 0.1f, -1.5f, -1.5f, 3e-30f, 3e-30f}));
  FoldToMono(stereo.data(), 3, stereo.data());
  stereo.resize(3);
  EXPECT_EQ(stereo, x);
}

TEST(Mix, StereoIsUnchanged) {
  EXPECT_EQ(Mix({kFrontLeft, kFrontRight}, {1, 2, 3, 4}), (std::vector<float>{1, 2, 3, 4}));
}

TEST(Mix, SurroundFollowsTheRecommendation) {
  const float h = 0.70710678f;
  const auto near = [](const std::vector<float>& got, float left, float right) {
    EXPECT_FLOAT_EQ(got[0], left);
    EXPECT_FLOAT_EQ(got[1], right);
  };
  const std::vector<Speaker> five{kFrontLeft, kFrontRight, kFrontCenter, kLowFrequency, kSideLeft, kSideRight};
  near(Mix(five, {1, 2, 4, 100, 8, 16}), 1 + 4 * h + 8 * h, 2 + 4 * h + 16 * h);
  near(Mix({kFrontLeft, kFrontRight, kFrontCenter, kLowFrequency, kBackLeft, kBackRight, kSideLeft, kSideRight},
           {1, 2, 4, 100, 8, 16, 32, 64}),
       1 + h * (4 + 8 + 32), 2 + h * (4 + 16 + 64));
  near(Mix({kFrontLeft, kFrontRight, kFrontCenter, kBackCenter}, {0, 0, 0, 1}), 0.5f, 0.5f);
  near(Mix({kFrontLeft, kFrontRight, kBackLeft, kBackRight}, {1, 2, 4, 8}), 1 + 4 * h, 2 + 8 * h);
}

TEST(Mix, RefusesMoreThanEightChannels) {
  EXPECT_FALSE(StereoMix::Create({}));
  EXPECT_FALSE(StereoMix::Create(std::vector<Speaker>(9, kOther)));
}

}  // namespace
}  // namespace timbre
