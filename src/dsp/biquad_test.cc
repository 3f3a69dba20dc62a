#include "dsp/biquad.h"

#include <gtest/gtest.h>

#include <cmath>

namespace timbre {
namespace {

double Db(const Biquad& filter, double hz, double rate = 48000) { return 20 * std::log10(filter.Response(hz, rate)); }

TEST(Biquad, GainsAreWhatTheyAreNamedFor) {
  EXPECT_NEAR(Db(PeakFilter(1000, 6, 1, 48000), 1000), 6, 1e-9);
  EXPECT_NEAR(Db(PeakFilter(1000, 6, 1, 48000), 1), 0, 1e-4);
  EXPECT_NEAR(Db(LowShelf(200, -4, 0.7071, 48000), 1), -4, 1e-3);
  EXPECT_NEAR(Db(LowShelf(200, -4, 0.7071, 48000), 200), -2, 1e-9);
  EXPECT_NEAR(Db(LowShelf(200, -4, 0.7071, 48000), 20000), 0, 1e-3);
  EXPECT_NEAR(Db(HighShelf(5000, 3, 0.7071, 48000), 23999), 3, 1e-3);
  EXPECT_NEAR(Db(HighShelf(5000, 3, 0.7071, 48000), 5000), 1.5, 1e-9);
  EXPECT_NEAR(Db(HighPass(30, std::sqrt(0.5), 48000), 30), -3.0103, 1e-4);
  EXPECT_NEAR(Db(HighPass(1000, std::sqrt(0.5), 48000), 100) - Db(HighPass(1000, std::sqrt(0.5), 48000), 50), 12.04,
              0.1);
  EXPECT_NEAR(Db(LowPass(5000, std::sqrt(0.5), 48000), 5000), -3.0103, 1e-4);
  EXPECT_NEAR(Db(FirstOrderHighPass(1000, 48000), 1000), -3.0103, 1e-4);
  EXPECT_NEAR(Db(FirstOrderHighPass(1000, 48000), 100) - Db(FirstOrderHighPass(1000, 48000), 50), 6.0, 0.1);
  EXPECT_NEAR(Db(FirstOrderLowPass(1000, 48000), 1000), -3.0103, 1e-4);
}

TEST(Biquad, TheImpulseResponseIsThatOfTheFormula) {
  const Biquad f = PeakFilter(3000, -4, 1.5, 44100);
  std::vector<float> impulse(2 * 400);
  impulse[0] = 1;
  BiquadChain({f}, 2).Process(impulse.data(), 400);
  double x1 = 0, x2 = 0, y1 = 0, y2 = 0;
  for (int n = 0; n < 400; ++n) {
    const double x = n == 0 ? 1 : 0, y = f.b0 * x + f.b1 * x1 + f.b2 * x2 - f.a1 * y1 - f.a2 * y2;
    EXPECT_NEAR(impulse[static_cast<size_t>(2 * n)], y, 1e-7);
    EXPECT_EQ(impulse[static_cast<size_t>(2 * n + 1)], 0);
    x2 = x1, x1 = x, y2 = y1, y1 = y;
  }
}

TEST(Biquad, AFrequencyBeyondTheRateIsHeldBelowIt) {
  for (const double rate : {8000.0, 44100.0}) {
    for (const Biquad& f : {HighShelf(20000, 6, 0.7, rate), LowPass(20000, 0.7, rate), FirstOrderLowPass(1e9, rate)}) {
      EXPECT_TRUE(std::isfinite(f.Response(1000, rate)));
      EXPECT_LT(std::abs(f.a2), 1);  // stable
    }
  }
}

}  // namespace
}  // namespace timbre
