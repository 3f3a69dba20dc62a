#include "dsp/ducking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace timbre {
namespace {

constexpr double kRate = 48000;

TEST(Ducking, TurnsDownByTheStaticCurveWhileTheKeyIsLoud) {
  const DuckingOptions options{
      .threshold_db = -30, .ratio = 4, .attack_ms = 1, .release_ms = 20, .knee_db = 6, .mix = 1};
  Ducker ducker(options, kRate);
  const std::vector<float> key(4800, 0.1f);  // 10 dB above the threshold: (1 - 1/4) * 10 = 7.5 dB down
  std::vector<float> signal(4800, 1.0f);
  ducker.Process(signal, key);
  EXPECT_NEAR(20 * std::log10(signal.back()), -7.5, 0.01);
  EXPECT_GT(signal.front(), 0.9f);

  const std::vector<float> silence(48000, 0.0f);
  std::vector<float> after(48000, 1.0f);
  ducker.Process(after, silence);
  EXPECT_LT(after.front(), 0.5f);
  EXPECT_NEAR(after.back(), 1, 1e-4);
}

TEST(Ducking, AttackReachesTwoThirdsInItsTime) {
  Ducker ducker({.threshold_db = -40, .ratio = 1000, .attack_ms = 10, .release_ms = 10, .knee_db = 0, .mix = 1}, kRate);
  const std::vector<float> key(4800, 1.0f);
  std::vector<float> signal(4800, 1.0f);
  ducker.Process(signal, key);
  const double wanted = 40 * 0.999;
  EXPECT_NEAR(-20 * std::log10(signal[479]) / wanted, 1 - std::exp(-1), 0.01);
}

TEST(Ducking, DryMixAndUnitRatioLeaveTheSignalAsItIs) {
  const std::vector<float> key(1000, 1.0f);
  for (const DuckingOptions& options : {DuckingOptions{.mix = 0}, DuckingOptions{.ratio = 1}}) {
    std::vector<float> signal(1000, 0.25f);
    Ducker(options, kRate).Process(signal, key);
    for (float v : signal) ASSERT_EQ(v, 0.25f);
  }
}

TEST(Ducking, BlocksGiveWhatTheWholeGives) {
  std::vector<float> key, whole;
  for (int i = 0; i < 5000; ++i) {
    key.push_back(0.5f * std::sin(0.01f * static_cast<float>(i * i % 977)));
    whole.push_back(0.3f);
  }
  std::vector<float> parts = whole;
  Ducker one({}, kRate), many({}, kRate);
  one.Process(whole, key);
  for (size_t at = 0, step = 1; at < parts.size(); at += step, step = step % 97 + 1) {
    step = std::min(step, parts.size() - at);
    many.Process(std::span(parts).subspan(at, step), std::span<const float>(key).subspan(at, step));
  }
  EXPECT_EQ(parts, whole);
}

}  // namespace
}  // namespace timbre
