#include "audio/resample.h"

#include <gtest/gtest.h>

#include "audio/test_files.h"

namespace timbre {
namespace {

// In pieces of uneven length.
std::vector<float> Resample(const std::vector<float>& in, int channels, int from, int to, int64_t total = -1) {
  auto resampler = Resampler::Create(from, to, channels);
  EXPECT_TRUE(resampler) << resampler.error().message;
  std::vector<float> out;
  const int64_t frames = static_cast<int64_t>(in.size()) / channels;
  int64_t piece = 1;
  for (int64_t at = 0; at < frames; at += piece, piece = piece * 3 % 7001 + 1) {
    EXPECT_TRUE(resampler->Push(in.data() + at * channels, std::min(piece, frames - at), &out));
  }
  const Status status = resampler->Finish(&out, total);
  EXPECT_TRUE(status) << status.error().message;
  return out;
}

constexpr int kRates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000};

TEST(Resample, LengthIsExactThereAndBack) {
  for (int from : kRates) {
    for (int to : {16000, 44100, 48000}) {
      for (int64_t frames : {0, 1, 2, 3, 7, 441, 1000, 12345}) {
        SCOPED_TRACE(testing::Message() << from << " to " << to << ", " << frames << " frames");
        const std::vector<float> in = NoiseFrames(frames, 2);
        const std::vector<float> out = Resample(in, 2, from, to);
        const double ideal = static_cast<double>(frames) * to / from;
        ASSERT_EQ(static_cast<int64_t>(out.size()), 2 * static_cast<int64_t>(std::floor(ideal + 0.5)));
        ASSERT_EQ(Resample(out, 2, to, from, frames).size(), in.size());
      }
    }
  }
}

TEST(Resample, LengthOfAVeryLongTrack) {
  EXPECT_EQ(ResampledLength(int64_t{1} << 39, 44100, 48000),
            ((int64_t{1} << 39) / 44100) * 48000 + (((int64_t{1} << 39) % 44100) * 48000 + 22050) / 44100);
  EXPECT_EQ(ResampledLength(44100LL * 86400 * 365, 44100, 48000), 48000LL * 86400 * 365);
}

// Against the analytic signal: a delay of even a hundredth of a sample would show.
TEST(Resample, ASineStaysInPlaceAndShape) {
  for (int from : kRates) {
    for (int to : {44100, 48000}) {
      const int64_t frames = from / 2;
      std::vector<float> out = Resample(SineFrames(frames, 2, 997, from), 2, from, to);
      std::vector<float> want = SineFrames(static_cast<int64_t>(out.size()) / 2, 2, 997, to);
      // The ends ring: silence lies beyond them.
      const size_t edge = static_cast<size_t>(to / 10) * 2;
      EXPECT_GE(SignalToError({want.begin() + edge, want.end() - edge}, {out.begin() + edge, out.end() - edge}), 120)
          << from << " to " << to;
    }
  }
}

TEST(Resample, RoundTripGivesTheSignalBack) {
  const std::vector<float> in = SineFrames(48000, 1, 440, 48000);
  const std::vector<float> back = Resample(Resample(in, 1, 48000, 44100), 1, 44100, 48000, 48000);
  ASSERT_EQ(back.size(), in.size());
  EXPECT_GE(SignalToError({in.begin() + 4800, in.end() - 4800}, {back.begin() + 4800, back.end() - 4800}), 120);
}

TEST(Resample, EqualRatesPassThrough) {
  const std::vector<float> in = NoiseFrames(1001, 3);
  EXPECT_EQ(Resample(in, 3, 44100, 44100), in);
}

TEST(Resample, RefusesImpossibleRates) {
  EXPECT_FALSE(Resampler::Create(0, 44100, 2));
  EXPECT_FALSE(Resampler::Create(44100, 1 << 30, 2));
  EXPECT_FALSE(Resampler::Create(44100, 48000, 0));
  EXPECT_FALSE(Resampler::Create(44100, 48000, 65));
}

}  // namespace
}  // namespace timbre
