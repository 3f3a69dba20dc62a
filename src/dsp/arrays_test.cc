#include "dsp/arrays.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace timbre {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Lengths around those of vectors.
const int64_t kLengths[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 100};

std::vector<float> Wave(int64_t count, float step) {
  std::vector<float> x(static_cast<size_t>(count));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(step * static_cast<float>(i) + 0.1f);
  return x;
}

TEST(Arrays, ProductsOfAnyLength) {
  for (const int64_t n : kLengths) {
    const std::vector<float> a = Wave(n, 0.7f), b = Wave(n, 1.3f), c = Wave(n, 0.2f);
    std::vector<float> out(a.size() + 1, 5.0f);
    Multiply(a.data(), b.data(), out.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[i], a[i] * b[i]);
    MultiplyAdd(a.data(), b.data(), c.data(), out.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(out[i], a[i] * b[i] + c[i], 1e-6f);
    ASSERT_EQ(out[n], 5.0f);
  }
}

TEST(Arrays, SaneIsFiniteAndBounded) {
  for (const int64_t n : kLengths) {
    for (int64_t at = 0; at < n; ++at) {
      for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
        std::vector<float> x = Wave(n, 0.5f), out(x.size());
        ASSERT_TRUE(AllFinite(x.data(), n));
        x[at] = bad;
        ASSERT_FALSE(AllFinite(x.data(), n));
        ASSERT_FALSE(std::isfinite(LargestMagnitude(x.data(), n)));
        CopySane(x.data(), 2.0f, out.data(), n);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[i], i == at ? 0.0f : x[i]);
      }
      std::vector<float> x = Wave(n, 0.5f), out(x.size());
      x[at] = -3.0f;
      ASSERT_EQ(LargestMagnitude(x.data(), n), 3.0f);
      CopySane(x.data(), 2.0f, out.data(), n);
      ASSERT_EQ(out[at], -2.0f);
    }
  }
}

TEST(Arrays, BandsAreMeasuredAndScaled) {
  const std::vector<int> widths = {1, 2, 2, 3, 5, 8, 17, 1};
  const int bins = std::accumulate(widths.begin(), widths.end(), 0);
  const std::vector<float> x = Wave(2 * bins, 0.9f);
  std::vector<float> decibels(widths.size()), gains(widths.size()), scaled = x;
  BandDecibels(x.data(), widths, 1e-3f, decibels.data());
  for (size_t b = 0; b < gains.size(); ++b) gains[b] = static_cast<float>(b) + 0.5f;
  ScaleBands(widths, gains.data(), scaled.data());
  int64_t at = 0;
  for (size_t b = 0; b < widths.size(); ++b) {
    double power = 0;
    for (int64_t i = 0; i < 2 * widths[b]; ++i, ++at) {
      power += static_cast<double>(x[at]) * x[at];
      EXPECT_EQ(scaled[at], x[at] * gains[b]);
    }
    EXPECT_NEAR(decibels[b], 10 * std::log10(power / widths[b] + 1e-3), 1e-5);
  }
}

TEST(Arrays, BinsAreNormalisedByTheirRunningMeans) {
  constexpr float kKeep = 0.9f, kLeast = 0.05f;
  for (const int64_t n : kLengths) {
    const std::vector<float> x = Wave(2 * n, 0.9f);
    std::vector<float> means = Wave(n, 0.01f), out(x.size());
    const std::vector<float> before = means;
    NormaliseByRunningMean(x.data(), n, kKeep, kLeast, means.data(), out.data());
    for (int64_t i = 0; i < n; ++i) {
      const float mean = std::max(kLeast, kKeep * before[i] + (1 - kKeep) * std::hypot(x[2 * i], x[2 * i + 1]));
      ASSERT_NEAR(means[i], mean, 1e-6f);
      ASSERT_NEAR(out[2 * i], x[2 * i] / std::sqrt(mean), 1e-5f);
      ASSERT_NEAR(out[2 * i + 1], x[2 * i + 1] / std::sqrt(mean), 1e-5f);
    }
  }
}

}  // namespace
}  // namespace timbre
