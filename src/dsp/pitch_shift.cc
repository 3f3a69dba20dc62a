#include "dsp/pitch_shift.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace timbre {
namespace {

constexpr int64_t kHop = 1024;  // between grains of twice that, in the stretched sound
constexpr int64_t kGrain = 2 * kHop;
constexpr int64_t kSearch = 512;  // frames about its place, within which a grain is looked for
constexpr int64_t kRing = 1 << 15;
constexpr int64_t kMask = kRing - 1;
constexpr int64_t kPhases = 256;
constexpr int64_t kHalfTaps = 8;  // times the ratio where that is above 1
constexpr int64_t kCoarse = 4;    // of places and of frames that are compared

static_assert(PitchShifter::kLatency == kGrain + kSearch + 128);

// A sample of a ring; of places ahead of its first as well.
float& At(std::vector<float>& ring, int64_t place) { return ring[static_cast<size_t>(place & kMask)]; }
float At(const std::vector<float>& ring, int64_t place) { return ring[static_cast<size_t>(place & kMask)]; }

int64_t Rounded(double value) { return static_cast<int64_t>(std::floor(value + 0.5)); }

// Sinc under half a cosine, one row for each part of a frame that is read at.
std::vector<float> MakeKernel(double ratio, int64_t half) {
  const int64_t taps = 2 * half;
  const double cutoff = std::min(1.0, 1 / ratio);
  std::vector<float> kernel(static_cast<size_t>((kPhases + 1) * taps));
  for (int64_t phase = 0; phase <= kPhases; ++phase) {
    float* const row = kernel.data() + phase * taps;
    double sum = 0;
    for (int64_t i = 0; i < taps; ++i) {
      const double x = static_cast<double>(i - half + 1) - static_cast<double>(phase) / kPhases;
      const double sinc = x == 0 ? 1 : std::sin(M_PI * cutoff * x) / (M_PI * cutoff * x);
      const double near = std::abs(x) >= static_cast<double>(half) ? 0 : 0.5 + 0.5 * std::cos(M_PI * x / half);
      row[i] = static_cast<float>(sinc * near);
      sum += row[i];
    }
    for (int64_t i = 0; i < taps; ++i) row[i] = static_cast<float>(row[i] / sum);
  }
  return kernel;
}

}  // namespace

PitchShifter::PitchShifter(double ratio, int channels)
    : ratio_(ratio),
      channels_(channels),
      half_(static_cast<int64_t>(std::ceil(kHalfTaps * std::max(1.0, ratio)))),
      window_(kGrain),
      kernel_(MakeKernel(ratio, half_)),
      input_(static_cast<size_t>(channels), std::vector<float>(kRing)),
      stretched_(input_),
      last_(-2 * kHop) {
  for (int64_t i = 0; i < kGrain; ++i) {
    window_[static_cast<size_t>(i)] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * M_PI * (static_cast<double>(i) + 0.5) / kGrain));
  }
}

void PitchShifter::Process(float* samples, int64_t frames) {
  for (int64_t i = 0; i < frames; ++i) {
    float* const frame = samples + i * channels_;
    for (int c = 0; c < channels_; ++c) At(input_[static_cast<size_t>(c)], taken_) = frame[c];
    ++taken_;
    const int64_t at = given_++ - kLatency;
    for (int c = 0; c < channels_; ++c) frame[c] = at < 0 ? 0 : Read(c, at);
  }
}

float PitchShifter::Read(int channel, int64_t at) {
  const double place = static_cast<double>(at) * ratio_;
  const auto whole = static_cast<int64_t>(std::floor(place));
  while (grain_ * kHop <= whole + half_) LayGrain();
  const std::vector<float>& ring = stretched_[static_cast<size_t>(channel)];
  const int64_t taps = 2 * half_;
  const float* const row = kernel_.data() + Rounded((place - static_cast<double>(whole)) * kPhases) * taps;
  double sum = 0;
  for (int64_t i = 0; i < taps; ++i) sum += static_cast<double>(row[i]) * At(ring, whole - half_ + 1 + i);
  return static_cast<float>(sum);
}

void PitchShifter::LayGrain() {
  const int64_t place = grain_++ * kHop;
  const int64_t nominal = Rounded(static_cast<double>(place) / ratio_);
  const int64_t natural = last_ + kHop;  // what would go on from the one before
  int64_t start = natural;
  if (natural != nominal && place >= 0) {  // ahead of the sound there is nothing that could be alike
    const int64_t near = Search(nominal, natural, -kSearch, kSearch, kCoarse);
    const int64_t least = std::max(-kSearch, near - kCoarse + 1), most = std::min(kSearch, near + kCoarse - 1);
    start = nominal + Search(nominal, natural, least, most, 1);
  }
  last_ = start;
  for (size_t c = 0; c < input_.size(); ++c) {
    for (int64_t i = 0; i < kGrain; ++i) {
      const double sample =
          start + i < 0 ? 0 : static_cast<double>(At(input_[c], start + i)) * window_[static_cast<size_t>(i)];
      float& into = At(stretched_[c], place + i);
      into = static_cast<float>(i < kHop ? into + sample : sample);
    }
  }
}

int64_t PitchShifter::Search(int64_t nominal, int64_t natural, int64_t least, int64_t most, int64_t step) const {
  const auto sum_at = [this](int64_t place) {
    double sum = 0;
    for (const std::vector<float>& ring : input_) sum += At(ring, place);
    return sum;
  };
  int64_t best = 0;
  double score = -std::numeric_limits<double>::infinity();
  for (int64_t shift = least; shift <= most; shift += step) {
    double product = 0, power = 1e-9;
    for (int64_t i = 0; i < kHop; i += kCoarse) {
      const double there = sum_at(nominal + shift + i);
      product += sum_at(natural + i) * there;
      power += there * there;
    }
    const double like = product / std::sqrt(power);
    if (like > score) {
      best = shift;
      score = like;
    }
  }
  return best;
}

}  // namespace timbre
