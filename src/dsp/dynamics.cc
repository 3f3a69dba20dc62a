#include "dsp/dynamics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace timbre {
namespace {

double FactorOf(double db) { return std::pow(10.0, db / 20); }

// The share of the old value that stays after a sample.
double ClassicPole(double ms, double sample_rate) {
  return ms < 1e-3 ? 0 : std::exp(-2 * std::numbers::pi * 1000 / (sample_rate * ms));
}
double Pole(double ms, double sample_rate) { return ms <= 0 ? 0 : std::exp(-1000 / (sample_rate * ms)); }

}  // namespace

PeakCompressor::PeakCompressor(const CompressorOptions& options, double sample_rate, int channels)
    : channels_(channels),
      threshold_(FactorOf(options.threshold_db)),
      exponent_(1 / options.ratio - 1),
      attack_(ClassicPole(options.attack_ms, sample_rate)),
      release_(ClassicPole(options.release_ms, sample_rate)),
      envelopes_(static_cast<size_t>(channels)) {}

void PeakCompressor::Process(float* interleaved, int64_t frames) {
  for (int c = 0; c < channels_; ++c) {
    double y = envelopes_[static_cast<size_t>(c)];
    for (int64_t i = 0; i < frames; ++i) {
      float& sample = interleaved[i * channels_ + c];
      const double e = std::abs(static_cast<double>(sample));
      y += (1 - (e > y ? attack_ : release_)) * (e - y);
      if (y >= threshold_) sample = static_cast<float>(sample * std::pow(y / threshold_, exponent_));
    }
    envelopes_[static_cast<size_t>(c)] = y;
  }
}

ClassicLimiter::ClassicLimiter(double threshold_db, double release_ms, double sample_rate, int channels)
    : first_({.threshold_db = -10, .ratio = 4, .attack_ms = 2, .release_ms = 200}, sample_rate, channels),
      second_({.threshold_db = threshold_db, .ratio = 1000, .attack_ms = 0.001, .release_ms = release_ms}, sample_rate,
              channels),
      channels_(channels),
      gain_(static_cast<float>(std::pow(10.0, 7.5 / 40) * FactorOf(-threshold_db))) {}

void ClassicLimiter::Process(float* interleaved, int64_t frames) {
  first_.Process(interleaved, frames);
  second_.Process(interleaved, frames);
  for (int64_t i = 0; i < frames * channels_; ++i) interleaved[i] = std::clamp(interleaved[i] * gain_, -1.0f, 1.0f);
}

LinkedCompressor::LinkedCompressor(const CompressorOptions& options, double sample_rate, int channels)
    : options_(options),
      channels_(channels),
      attack_(Pole(options.attack_ms, sample_rate)),
      release_(Pole(options.release_ms, sample_rate)),
      quiet_(FactorOf(options.threshold_db - options.knee_db / 2)) {}

double LinkedCompressor::Reduction(double level_db) const {
  const double slope = 1 / options_.ratio - 1, knee = options_.knee_db, over = level_db - options_.threshold_db;
  if (2 * over < -knee) return 0;
  if (2 * std::abs(over) <= knee && knee > 0) return slope * (over + knee / 2) * (over + knee / 2) / (2 * knee);
  return slope * over;
}

void LinkedCompressor::Process(float* interleaved, int64_t frames) {
  for (int64_t i = 0; i < frames; ++i) {
    float* const frame = interleaved + i * channels_;
    float peak = 0;
    for (int c = 0; c < channels_; ++c) peak = std::max(peak, std::abs(frame[c]));
    const double wanted = peak < quiet_ ? 0 : Reduction(20 * std::log10(static_cast<double>(peak)));
    const double pole = wanted < reduction_ ? attack_ : release_;
    reduction_ = wanted + pole * (reduction_ - wanted);
    if (reduction_ > -1e-9) reduction_ = 0;  // what is left of a release is nothing to hear, and costs a power
    const double total = reduction_ + options_.makeup_db;
    if (total == 0) continue;
    const double gain = FactorOf(total);
    for (int c = 0; c < channels_; ++c) frame[c] = static_cast<float>(frame[c] * gain);
  }
}

}  // namespace timbre
