// What surrounds DeepFilterNet3's network: transform, features and filters, a frame at a time.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "dsp/arrays.h"
#include "dsp/window.h"
#include "models/speech/deepfilternet.h"

namespace timbre {

Result<DeepFilterFrames> DeepFilterFrames::Create(const DeepFilterNetConfig& config) {
  TIMBRE_TRY(auto fft, RealFft::Create(static_cast<size_t>(config.fft_size)));
  return DeepFilterFrames(config, std::move(fft));
}

DeepFilterFrames::DeepFilterFrames(const DeepFilterNetConfig& c, RealFft fft)
    : fft_(std::move(fft)),
      fft_size_(c.fft_size),
      hop_(c.hop_size),
      bins_(c.bins()),
      bands_(c.erb_bands),
      df_bins_(c.df_bins),
      decay_(NormDecay(c)),
      widths_(ErbWidths(c)),
      analysis_window_(MakeWindow(WindowKind::kVorbis, fft_size_)),
      synthesis_window_(analysis_window_),
      frame_(fft_size_),
      scratch_(fft_.ScratchFloats() + 2 * static_cast<size_t>(bins_)),
      state_(2 * (fft_size_ - hop_) + bands_ + df_bins_) {
  analysis_ = state_.data();
  synthesis_ = analysis_ + (fft_size_ - hop_);
  band_means_ = synthesis_ + (fft_size_ - hop_);
  bin_means_ = band_means_ + bands_;
  // Spectra are scaled by 2 hop / size^2. RealFft's inverse divides by the size, which that has done already.
  const float size = static_cast<float>(fft_size_), scale = 2.0f * static_cast<float>(hop_) / (size * size);
  for (float& v : analysis_window_) v *= scale;
  for (float& v : synthesis_window_) v *= size;
  Reset();
}

void DeepFilterFrames::Reset() {
  std::fill(analysis_, band_means_, 0.0f);
  // Where the running means start: a straight line over the bands, in dB, and over the bins.
  for (int i = 0; i < bands_; ++i)
    band_means_[i] = -60.0f - 30.0f / static_cast<float>(bands_ - 1) * static_cast<float>(i);
  for (int i = 0; i < df_bins_; ++i) {
    bin_means_[i] = 0.001f + (0.0001f - 0.001f) / static_cast<float>(df_bins_ - 1) * static_cast<float>(i);
  }
}

void DeepFilterFrames::Analyse(const float* hop, float* spectrum) {
  const int past = fft_size_ - hop_;
  Multiply(analysis_, analysis_window_.data(), frame_.data(), past);
  Multiply(hop, analysis_window_.data() + past, frame_.data() + past, hop_);
  std::copy(analysis_ + hop_, analysis_ + past, analysis_);
  std::copy(hop, hop + hop_, analysis_ + past - hop_);
  fft_.Forward(frame_.data(), spectrum, scratch_.data());
}

void DeepFilterFrames::Synthesise(const float* spectrum, float* hop) {
  const int past = fft_size_ - hop_;
  fft_.Inverse(spectrum, frame_.data(), scratch_.data());
  const float* window = synthesis_window_.data();
  MultiplyAdd(frame_.data(), window, synthesis_, hop, hop_);
  std::copy(synthesis_ + hop_, synthesis_ + past, synthesis_);
  std::fill(synthesis_ + past - hop_, synthesis_ + past, 0.0f);
  MultiplyAdd(frame_.data() + hop_, window + hop_, synthesis_, synthesis_, past);
}

void DeepFilterFrames::Features(const float* spectrum, float* erb, float* spec) {
  BandDecibels(spectrum, widths_, 1e-10f, erb);
  for (int band = 0; band < bands_; ++band) {
    band_means_[band] = erb[band] * (1.0f - decay_) + band_means_[band] * decay_;
    erb[band] = (erb[band] - band_means_[band]) / 40.0f;
  }
  // After minutes of digital silence the mean decays to nothing, and nothing over nothing is not a number.
  constexpr float kLeast = 1e-30f;
  NormaliseByRunningMean(spectrum, df_bins_, decay_, kLeast, bin_means_, spec);
}

void ApplyErbGains(std::span<const int> widths, const float* gains, float* spectrum) {
  ScaleBands(widths, gains, spectrum);
}

void ApplyDeepFilter(std::span<const float* const> frames, const float* coefs, int df_bins, float* out) {
  const int order = static_cast<int>(frames.size());
  for (int f = 0; f < df_bins; ++f) {
    float re = 0, im = 0;
    for (int n = 0; n < order; ++n) {
      const float a = frames[n][2 * f], b = frames[n][2 * f + 1];
      const float c = coefs[2 * (f * order + n)], d = coefs[2 * (f * order + n) + 1];
      re += a * c - b * d;
      im += a * d + b * c;
    }
    out[2 * f] = re;
    out[2 * f + 1] = im;
  }
}

void PostFilter(const float* noisy, int bins, float beta, float* enhanced) {
  constexpr float kEpsilon = 1e-12f;
  constexpr float kHalfPi = std::numbers::pi_v<float> / 2;
  for (int f = 0; f < bins; ++f) {
    const float before = std::sqrt(noisy[2 * f] * noisy[2 * f] + noisy[2 * f + 1] * noisy[2 * f + 1]);
    const float after = std::sqrt(enhanced[2 * f] * enhanced[2 * f] + enhanced[2 * f + 1] * enhanced[2 * f + 1]);
    const float gain = std::clamp(after / (before + kEpsilon), kEpsilon, 1.0f);
    const float bent = gain * std::max(std::sin(gain * kHalfPi), kEpsilon);
    const float ratio = gain / bent;
    const float factor = (1.0f + beta) / (1.0f + beta * ratio * ratio);
    enhanced[2 * f] *= factor;
    enhanced[2 * f + 1] *= factor;
  }
}

}  // namespace timbre
