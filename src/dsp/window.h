// Analysis windows. Computed in float64 and rounded once.
#pragma once

#include <cstddef>
#include <vector>

namespace timbre {

enum class WindowKind {
  kHann,      // 0.5 - 0.5 cos(2 pi i / n): periodic, as torch.hann_window
  kSqrtHann,  // its square root
  kVorbis,    // sin(pi/2 sin^2(pi (i + 1/2) / n)), as the Vorbis I specification, section 4.3.1
};

std::vector<float> MakeWindow(WindowKind kind, size_t n);

}  // namespace timbre
