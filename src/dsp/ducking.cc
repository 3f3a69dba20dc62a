#include "dsp/ducking.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {
double Keep(double ms, double rate) { return ms <= 0 ? 0 : std::exp(-1000 / (ms * rate)); }
}  // namespace

Ducker::Ducker(const DuckingOptions& options, double sample_rate)
    : options_(options),
      attack_(Keep(options.attack_ms, sample_rate)),
      release_(Keep(options.release_ms, sample_rate)) {}

// The feed-forward compressor of Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design" (JAES 60:6,
// 2012): the static curve with its quadratic knee, equation 4, then the smooth branching detector, equation 17, on the
// reduction in dB.
float Ducker::Next(float key) {
  const double magnitude = std::isfinite(key) ? std::abs(key) : 0;
  const double over = 20 * std::log10(std::max(magnitude, 1e-6)) - options_.threshold_db;
  const double slope = 1 - 1 / options_.ratio, knee = options_.knee_db;
  double wanted = 0;
  if (2 * over >= knee) {
    wanted = slope * over;
  } else if (2 * over > -knee) {
    wanted = slope * (over + knee / 2) * (over + knee / 2) / (2 * knee);
  }
  const double keep = wanted > reduction_db_ ? attack_ : release_;
  reduction_db_ = keep * reduction_db_ + (1 - keep) * wanted;
  const double wet = std::pow(10, -reduction_db_ / 20);
  return static_cast<float>(1 - options_.mix + options_.mix * wet);
}

void Ducker::Process(std::span<float> signal, std::span<const float> key) {
  for (size_t i = 0; i < signal.size(); ++i) signal[i] *= Next(key[i]);
}

}  // namespace timbre
