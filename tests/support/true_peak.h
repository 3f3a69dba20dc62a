// A meter of true peaks that shares nothing with the library's, and what is hard for limiters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace timbre::testing {

// 32 values a sample in double, of the 256 samples around each place that comes near.
inline double PeakBetweenSamples(const std::vector<float>& x, double near) {
  constexpr int kHalf = 128, kFactor = 32;
  static const std::vector<double> taps = [] {
    std::vector<double> all;
    for (int phase = 1; phase < kFactor; ++phase) {
      for (int k = -kHalf + 1; k <= kHalf; ++k) {
        const double t = phase / 32.0 - k, w = std::numbers::pi * t;
        // A Blackman window.
        const double at = std::numbers::pi * (t / kHalf);
        all.push_back(std::sin(w) / w * (0.42 + 0.5 * std::cos(at) + 0.08 * std::cos(2 * at)));
      }
    }
    return all;
  }();
  double peak = 0;
  const auto size = static_cast<int64_t>(x.size());
  for (int64_t i = 0; i < size; ++i) {
    peak = std::max(peak, static_cast<double>(std::abs(x[static_cast<size_t>(i)])));
    if (std::abs(x[static_cast<size_t>(i)]) < near) continue;
    for (int64_t n = i - 1; n <= i; ++n) {
      for (int phase = 0; phase < kFactor - 1; ++phase) {
        double sum = 0;
        for (int k = -kHalf + 1; k <= kHalf; ++k) {
          if (n + k < 0 || n + k >= size) continue;
          sum += x[static_cast<size_t>(n + k)] * taps[static_cast<size_t>(phase * 2 * kHalf + k + kHalf - 1)];
        }
        peak = std::max(peak, std::abs(sum));
      }
    }
  }
  return peak;
}

struct PeakCase {
  std::string name;
  std::vector<float> samples;
};

// What is hard for limiters: white and pink noise far above full scale, squares, lone impulses, and tones at parts of
// the rate whose peaks lie between the samples.
inline std::vector<PeakCase> WorstCases() {
  constexpr int kFrames = 6000;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<PeakCase> cases;
  const auto add = [&](const char* name, const std::function<double(int)>& at) {
    PeakCase one{name, {}};
    for (int n = 0; n < kFrames; ++n) one.samples.push_back(static_cast<float>(at(n)));
    cases.push_back(std::move(one));
  };
  add("white noise", [&](int) { return 1.2 * normal(random); });
  double b0 = 0, b1 = 0, b2 = 0;
  add("pink noise", [&](int) {
    const double white = normal(random);
    b0 = 0.99765 * b0 + white * 0.0990460;
    b1 = 0.96300 * b1 + white * 0.2965164;
    b2 = 0.57000 * b2 + white * 1.0526913;
    return 0.6 * (b0 + b1 + b2 + white * 0.1848);
  });
  add("square", [](int n) { return (n / 37) % 2 == 0 ? 1.5 : -1.5; });
  add("impulses", [](int n) { return n % 991 == 5 ? 3.0 : n % 997 == 7 ? -2.0 : 0; });
  for (const double part : {4.0, 6.0, 8.0, 3.0}) {
    add("tone", [part](int n) { return 1.41 * std::sin(2 * std::numbers::pi * (n / part + 0.125)); });
  }
  return cases;
}

}  // namespace timbre::testing
