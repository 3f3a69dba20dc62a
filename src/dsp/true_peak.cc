#include "dsp/true_peak.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace timbre {
namespace {

constexpr int64_t kChunk = 512;  // samples interpolated at once
constexpr size_t kMostFactor = 32;
constexpr int64_t kRun = 16;
constexpr int64_t kOne = int64_t{1} << 40;
// At four values a sample a peak is read at most this much too low, at half the rate: cos(pi / 8).
constexpr double kCoarse = 0.92;

double Bessel(double x) {
  double sum = 1, term = 1;
  for (int k = 1; k < 64; ++k) {
    term *= (x / (2 * k)) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

}  // namespace

PeakInterpolator::PeakInterpolator(int factor, int half, double beta) : factor_(factor), half_(half) {
  for (int phase = 1; phase < factor; ++phase) {
    const double at = static_cast<double>(phase) / factor;
    double sum = 0;
    std::vector<double> taps;
    for (int k = -(half - 1); k <= half; ++k) {
      const double t = at - k, edge = t / half;
      taps.push_back(std::sin(std::numbers::pi * t) / (std::numbers::pi * t) *
                     Bessel(beta * std::sqrt(std::max(0.0, 1 - edge * edge))) / Bessel(beta));
      sum += taps.back();
    }
    for (const double tap : taps) taps_.push_back(static_cast<float>(tap / sum));
  }
  for (size_t k = 0; k < static_cast<size_t>(2 * half); ++k) {
    for (size_t phase = 0; phase < kMostFactor; ++phase) {
      by_place_.push_back(phase + 1 < static_cast<size_t>(factor) ? taps_[phase * static_cast<size_t>(2 * half) + k]
                                                                  : 0);
    }
  }
}

float PeakInterpolator::After(const float* x) const {
  std::array<float, kMostFactor> sums = {};
  const float* tap = by_place_.data();
  for (int k = -(half_ - 1); k <= half_; ++k, tap += kMostFactor) {
    for (size_t i = 0; i < kMostFactor; ++i) sums[i] += tap[i] * x[k];
  }
  float peak = 0;
  for (const float sum : sums) peak = std::max(peak, std::abs(sum));
  return peak;
}

void PeakInterpolator::Between(const float* x, int64_t count, float* peaks) const {
  std::fill_n(peaks, count, 0.0f);
  std::array<float, kChunk> sums;
  for (int64_t from = 0; from < count; from += kChunk) {
    const int64_t part = std::min(kChunk, count - from);
    const float* const begin = x + from - (half_ - 1);
    for (int phase = 0; phase + 1 < factor_; ++phase) {
      const float* const taps = &taps_[static_cast<size_t>(phase * 2 * half_)];
      std::fill_n(sums.begin(), part, 0.0f);
      // A tap after the other over the whole chunk: the vector units then run along the samples.
      for (int k = 0; k < 2 * half_; ++k) {
        const float tap = taps[k];
        const float* const in = begin + k;
        int64_t i = 0;
        for (; i + kRun <= part; i += kRun) {
          // Of a known length, so that the compiler makes vectors of it.
          for (int64_t j = 0; j < kRun; ++j) sums[static_cast<size_t>(i + j)] += tap * in[i + j];
        }
        for (; i < part; ++i) sums[static_cast<size_t>(i)] += tap * in[i];
      }
      for (int64_t i = 0; i < part; ++i) {
        peaks[from + i] = std::max(peaks[from + i], std::abs(sums[static_cast<size_t>(i)]));
      }
    }
  }
}

TruePeakLimiter::TruePeakLimiter(double ceiling, double release_ms, double sample_rate, int channels)
    : interpolator_(4, 16, 3),
      ceiling_(ceiling * (1 - 1.0 / (1 << 22))),  // products are rounded to float, never above it
      channels_(channels),
      window_(std::max<int64_t>(1, std::llround(0.0015 * sample_rate))),
      release_(1 - std::exp(-1000 / (sample_rate * std::max(0.01, release_ms)))),
      planes_(static_cast<size_t>(channels), std::vector<float>(static_cast<size_t>(interpolator_.half()))),
      first_(-interpolator_.half()),
      smoothed_(static_cast<size_t>(window_), kOne),
      sum_(window_ * kOne),
      last_(kOne) {}

void TruePeakLimiter::Process(const float* interleaved, int64_t frames, std::vector<float>* out) {
  for (int64_t from = 0; from < frames; from += kChunk) {
    const int64_t part = std::min(kChunk, frames - from);
    for (int c = 0; c < channels_; ++c) {
      std::vector<float>& plane = planes_[static_cast<size_t>(c)];
      for (int64_t i = from; i < from + part; ++i) plane.push_back(interleaved[i * channels_ + c]);
    }
    taken_ += part;
    Advance(out);
  }
}

void TruePeakLimiter::Finish(std::vector<float>* out) {
  const int64_t end = taken_;
  const std::vector<float> silence(static_cast<size_t>(kChunk * channels_));
  std::vector<float> rest;
  for (int64_t left = lookahead() + 1; left > 0; left -= kChunk) {
    Process(silence.data(), std::min(left, kChunk), &rest);
  }
  // What has come out so far, without what is the silence's.
  const int64_t given = std::max<int64_t>(0, next_ - (window_ - 1)) - static_cast<int64_t>(rest.size()) / channels_;
  rest.resize(static_cast<size_t>(std::max<int64_t>(0, end - given) * channels_));
  out->insert(out->end(), rest.begin(), rest.end());
}

void TruePeakLimiter::Advance(std::vector<float>* out) {
  const int64_t count = taken_ - interpolator_.half() - next_;
  if (count <= 0) return;
  std::vector<float> between(static_cast<size_t>(count)), loudest(static_cast<size_t>(count));
  std::vector<float> magnitude(static_cast<size_t>(count));
  for (const std::vector<float>& plane : planes_) {
    const float* const x = plane.data() + (next_ - first_);
    interpolator_.Between(x, count, between.data());
    for (int64_t i = 0; i < count; ++i) {
      const auto n = static_cast<size_t>(i);
      loudest[n] = std::max(loudest[n], between[n]);
      magnitude[n] = std::max(magnitude[n], std::abs(x[i]));
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const auto n = static_cast<size_t>(i);
    // What lies between two samples counts for both.
    Step(std::max({magnitude[n], between_, loudest[n]}), out);
    between_ = loudest[n];
  }
  // What neither the interpolation nor the delayed output needs any more.
  const int64_t keep = std::min(next_ - interpolator_.half(), next_ - window_);
  if (keep - first_ > 8 * kChunk) {
    for (std::vector<float>& plane : planes_) plane.erase(plane.begin(), plane.begin() + (keep - first_));
    first_ = keep;
  }
}

void TruePeakLimiter::Step(float peak, std::vector<float>* out) {
  const int64_t n = next_++;
  const int64_t needed =
      peak <= ceiling_ ? kOne : static_cast<int64_t>(std::floor(ceiling_ / peak * static_cast<double>(kOne)));
  // The lowest of the window that ends here.
  while (!lowest_ahead_.empty() && lowest_ahead_.back().second >= needed) lowest_ahead_.pop_back();
  lowest_ahead_.emplace_back(n, needed);
  if (lowest_ahead_.front().first <= n - window_) lowest_ahead_.pop_front();
  const int64_t lowest = lowest_ahead_.front().second;
  if (lowest < last_) {
    last_ = lowest;
  } else {
    const auto step = static_cast<int64_t>(release_ * static_cast<double>(lowest - last_));
    last_ = step == 0 ? lowest : last_ + step;
  }
  int64_t& oldest = smoothed_[static_cast<size_t>(n % window_)];
  sum_ += last_ - oldest;
  oldest = last_;
  const int64_t at = n - (window_ - 1);
  if (at < 0) return;
  const bool through = sum_ == window_ * kOne;
  const double gain = static_cast<double>(sum_) / (static_cast<double>(window_) * static_cast<double>(kOne));
  lowest_ = std::min(lowest_, gain);
  for (const std::vector<float>& plane : planes_) {
    const float x = plane[static_cast<size_t>(at - first_)];
    out->push_back(through ? x : static_cast<float>(gain * x));
  }
}

TruePeakMeter::TruePeakMeter(double floor, int channels)
    : coarse_(4, 16, 3),
      fine_(32, 96, 5),
      near_(static_cast<float>(kCoarse * floor)),
      channels_(channels),
      planes_(static_cast<size_t>(channels), std::vector<float>(static_cast<size_t>(fine_.half()))) {}

void TruePeakMeter::Add(const float* interleaved, int64_t frames) {
  for (int64_t from = 0; from < frames; from += kChunk) {
    const int64_t part = std::min(kChunk, frames - from);
    for (int c = 0; c < channels_; ++c) {
      std::vector<float>& plane = planes_[static_cast<size_t>(c)];
      for (int64_t i = from; i < from + part; ++i) plane.push_back(interleaved[i * channels_ + c]);
    }
    Advance(static_cast<int64_t>(planes_[0].size()) - fine_.half());
  }
}

// Looks at the places from half() to `until` of the planes, and leaves half() samples in front of what follows.
void TruePeakMeter::Advance(int64_t until) {
  const int64_t from = fine_.half(), count = until - from;
  if (count <= 0) return;
  peaks_.resize(static_cast<size_t>(count));
  for (std::vector<float>& plane : planes_) {
    const float* const x = plane.data() + from;
    coarse_.Between(x, count, peaks_.data());
    for (int64_t i = 0; i < count; ++i) {
      float peak = std::max(std::abs(x[i]), peaks_[static_cast<size_t>(i)]);
      // The few taps of the coarse values ripple: they only say where to look.
      if (std::max(peak, std::abs(x[i + 1])) >= near_) peak = std::max(std::abs(x[i]), fine_.After(x + i));
      peak_ = std::max(peak_, static_cast<double>(peak));
    }
    plane.erase(plane.begin(), plane.begin() + count);
  }
}

double TruePeakMeter::Finish() {
  const std::vector<float> silence(static_cast<size_t>(2 * fine_.half() * channels_));
  Add(silence.data(), 2 * fine_.half());
  return peak_;
}

}  // namespace timbre
