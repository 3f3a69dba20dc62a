#include "dsp/stream_resampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace timbre {
namespace {

std::vector<float> Sine(double hz, int rate, int64_t samples) {
  std::vector<float> x(static_cast<size_t>(samples));
  for (int64_t i = 0; i < samples; ++i) {
    x[i] = static_cast<float>(std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate + 0.3));
  }
  return x;
}

std::vector<float> Resample(const std::vector<float>& in, int from, int to, int64_t piece) {
  auto r = StreamResampler::Create(from, to, 1, piece);
  EXPECT_TRUE(r) << r.error().message;
  std::vector<float> out, part(static_cast<size_t>(r->MostOutput()));
  float* row = part.data();
  for (size_t at = 0; at < in.size(); at += static_cast<size_t>(piece)) {
    const float* from_row = in.data() + at;
    const int64_t count = std::min<int64_t>(piece, static_cast<int64_t>(in.size() - at));
    const int64_t made = r->Process(&from_row, count, &row);
    EXPECT_LE(made, r->MostOutput());
    out.insert(out.end(), part.begin(), part.begin() + made);
  }
  return out;
}

struct Ratio {
  int from, to;
};

class Ratios : public ::testing::TestWithParam<Ratio> {};

TEST_P(Ratios, TonesKeepTheirTimeAndSize) {
  const auto [from, to] = GetParam();
  const double half = std::min(from, to) / 2.0;
  for (const double hz : {0.02 * half, 0.5 * half, 0.9 * half}) {
    const std::vector<float> out = Resample(Sine(hz, from, from / 2), from, to, 1000);
    const std::vector<float> expected = Sine(hz, to, static_cast<int64_t>(out.size()));
    double signal = 0, error = 0;
    for (size_t i = out.size() / 4; i < out.size() * 3 / 4; ++i) {
      signal += expected[i] * expected[i];
      error += (out[i] - expected[i]) * (out[i] - expected[i]);
    }
    EXPECT_GT(10 * std::log10(signal / error), 95.0) << hz << " Hz";
  }
}

TEST_P(Ratios, WhatTheLowerRateCannotHoldIsGone) {
  const auto [from, to] = GetParam();
  if (to >= from) return;
  const std::vector<float> out = Resample(Sine(0.505 * to, from, from / 2), from, to, 1000);
  for (size_t i = out.size() / 4; i < out.size() * 3 / 4; ++i) ASSERT_LT(std::abs(out[i]), 1e-4f);
}

TEST_P(Ratios, PiecesDoNotMatter) {
  const auto [from, to] = GetParam();
  const std::vector<float> in = Sine(440, from, from / 8);
  const std::vector<float> whole = Resample(in, from, to, static_cast<int64_t>(in.size()));
  EXPECT_EQ(Resample(in, from, to, 1), whole);
  EXPECT_EQ(Resample(in, from, to, 37), whole);
}

INSTANTIATE_TEST_SUITE_P(Sweep, Ratios,
                         ::testing::Values(Ratio{44100, 48000}, Ratio{48000, 44100}, Ratio{48000, 16000},
                                           Ratio{16000, 48000}, Ratio{8000, 48000}, Ratio{96000, 48000},
                                           Ratio{44056, 48000}, Ratio{48000, 44057}, Ratio{48000, 48000}));

TEST(StreamResampler, RefusesRatesOutOfBounds) {
  EXPECT_FALSE(StreamResampler::Create(999, 48000, 1, 10));
  EXPECT_FALSE(StreamResampler::Create(48000, 768001, 1, 10));
  EXPECT_FALSE(StreamResampler::Create(768000, 1000, 1, 10));
}

}  // namespace
}  // namespace timbre
