#include "dsp/window.h"

#include <cmath>
#include <numbers>

namespace timbre {

std::vector<float> MakeWindow(WindowKind kind, size_t n) {
  constexpr double kPi = std::numbers::pi;
  std::vector<float> window(n);
  for (size_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(i) / static_cast<double>(n);
    double value = 0;
    switch (kind) {
      case WindowKind::kHann: value = std::pow(std::sin(kPi * x), 2); break;
      case WindowKind::kSqrtHann: value = std::sin(kPi * x); break;
      case WindowKind::kVorbis:
        value = std::sin(kPi / 2 * std::pow(std::sin(kPi * (x + 0.5 / static_cast<double>(n))), 2));
        break;
    }
    window[i] = static_cast<float>(value);
  }
  return window;
}

}  // namespace timbre
