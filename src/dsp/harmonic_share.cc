#include "dsp/harmonic_share.h"

#include <algorithm>
#include <array>

namespace timbre {
namespace {

float MedianOf(float* values, int64_t count) {
  std::nth_element(values, values + count / 2, values + count);
  return values[count / 2];
}

}  // namespace

void HarmonicShares(std::span<const float* const> rows, size_t middle, int64_t bins, float* shares) {
  std::array<float, 2 * kHarmonicReach + 1> values;
  const float* row = rows[middle];
  for (int64_t k = 0; k < bins; ++k) {
    int64_t count = 0;
    for (const float* other : rows) values[count++] = other[k];
    const float harmonic = MedianOf(values.data(), count);
    const int64_t lo = std::max<int64_t>(0, k - kHarmonicReach), hi = std::min(bins, k + kHarmonicReach + 1);
    std::copy(row + lo, row + hi, values.begin());
    const float percussive = MedianOf(values.data(), hi - lo);
    const float sum = harmonic * harmonic + percussive * percussive;
    shares[k] = sum > 0 ? harmonic * harmonic / sum : 0.5f;
  }
}

}  // namespace timbre
