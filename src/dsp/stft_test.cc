#include "dsp/stft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>

namespace timbre {
namespace {

std::vector<float> Noise(int64_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(n);
  for (float& v : x) v = uniform(random);
  return x;
}

double Decibels(double signal, double error) { return 10 * std::log10(signal / std::max(error, 1e-300)); }

// torch.stft restated: pad the whole array, cut frames, transform each by definition in float64.
std::vector<std::complex<double>> Reference(const std::vector<float>& x, const StftOptions& o, int64_t* frames) {
  std::vector<double> padded;
  const int64_t n = static_cast<int64_t>(x.size()), pad = o.center ? static_cast<int64_t>(o.n_fft / 2) : 0;
  for (int64_t i = -pad; i < n + pad; ++i) {
    const bool inside = i >= 0 && i < n;
    if (!inside && o.padding == FramePadding::kZero) {
      padded.push_back(0);
    } else {
      padded.push_back(x[i < 0 ? -i : i >= n ? 2 * n - 2 - i : i]);
    }
  }
  std::vector<std::complex<double>> out;
  const double pi = std::numbers::pi;
  *frames = 0;
  for (size_t begin = 0; begin + o.n_fft <= padded.size(); begin += o.hop, ++*frames) {
    for (size_t k = 0; k <= o.n_fft / 2; ++k) {
      std::complex<double> sum = 0;
      for (size_t i = 0; i < o.n_fft; ++i) {
        double w = 0.5 - 0.5 * std::cos(2 * pi * i / o.n_fft);
        if (o.window == WindowKind::kSqrtHann) w = std::sqrt(w);
        if (o.window == WindowKind::kVorbis) w = std::sin(pi / 2 * std::pow(std::sin(pi * (i + 0.5) / o.n_fft), 2));
        sum += w * padded[begin + i] * std::polar(1.0, -2 * pi * static_cast<double>(i * k % o.n_fft) / o.n_fft);
      }
      out.push_back(o.normalized ? sum / std::sqrt(static_cast<double>(o.n_fft)) : sum);
    }
  }
  return out;
}

TEST(Stft, AgreesWithTheDefinitionAndComesBack) {
  int cases = 0;
  for (size_t n_fft : {64, 96, 120}) {
    for (size_t hop : {n_fft / 4, n_fft / 2, n_fft / 3 + 1}) {
      for (WindowKind window : {WindowKind::kHann, WindowKind::kSqrtHann, WindowKind::kVorbis}) {
        for (bool center : {true, false}) {
          for (FramePadding padding : {FramePadding::kReflect, FramePadding::kZero}) {
            for (int64_t samples : {int64_t{61}, int64_t{200}, int64_t{1001}}) {
              const bool normalized = ++cases % 2 == 0;
              const StftOptions options{n_fft, hop, window, center, padding, normalized};
              auto stft = Stft::Create(options);
              ASSERT_TRUE(stft) << stft.error().message;
              const std::vector<float> x = Noise(samples);
              int64_t frames = 0;
              const auto want = Reference(x, options, &frames);
              ASSERT_EQ(stft->Frames(samples), frames);
              if (frames == 0) continue;
              const int64_t bins = static_cast<int64_t>(stft->bins());
              // Alternate between the two layouts.
              const SpectrumStrides strides =
                  cases % 3 == 0 ? SpectrumStrides{2, 2 * frames} : SpectrumStrides{2 * bins, 2};
              std::vector<float> spectrum(2 * bins * frames), scratch(stft->ScratchFloats());
              const int64_t cut = frames / 2;  // in two calls, as two threads would
              ASSERT_TRUE(stft->Forward(x.data(), samples, 0, cut, spectrum.data(), strides, scratch.data()));
              ASSERT_TRUE(stft->Forward(x.data(), samples, cut, frames - cut, spectrum.data() + cut * strides.frame,
                                        strides, scratch.data()));
              double signal = 0, error = 0;
              for (int64_t f = 0; f < frames; ++f) {
                for (int64_t k = 0; k < bins; ++k) {
                  const float* got = &spectrum[f * strides.frame + k * strides.bin];
                  const auto ref = want[f * bins + k];
                  signal += std::norm(ref);
                  error += std::norm(ref - std::complex<double>(got[0], got[1]));
                }
              }
              ASSERT_GE(Decibels(signal, error), 120);
              if (!center) continue;  // the first sample has no weight then
              const int64_t length = std::min(samples, stft->Samples(frames));
              std::vector<float> back(length);
              auto status = stft->Inverse(spectrum.data(), strides, frames, length, back.data(), scratch.data());
              ASSERT_TRUE(status) << status.error().message;
              signal = error = 0;
              for (int64_t i = 0; i < length; ++i) {
                signal += x[i] * x[i];
                error += std::pow(x[i] - back[i], 2);
              }
              // Where few windows overlap, the division amplifies rounding.
              ASSERT_GE(Decibels(signal, error), 100) << n_fft << " " << hop;
            }
          }
        }
      }
    }
  }
}

TEST(Stft, InverseOfAForeignSpectrumIsWeightedOverlapAdd) {
  const StftOptions options{64, 24, WindowKind::kHann, true, FramePadding::kZero, true};
  auto stft = Stft::Create(options);
  ASSERT_TRUE(stft);
  const int64_t frames = 9, bins = 33, length = stft->Samples(frames);
  const std::vector<float> spectrum = Noise(frames * bins * 2);
  std::vector<float> out(length), scratch(stft->ScratchFloats());
  ASSERT_TRUE(stft->Inverse(spectrum.data(), {2 * bins, 2}, frames, length, out.data(), scratch.data()));
  std::vector<double> sum(64 + 24 * frames), weight(sum.size());
  for (int64_t f = 0; f < frames; ++f) {
    for (int i = 0; i < 64; ++i) {
      double x = 0;
      for (int k = 0; k < bins; ++k) {
        const double angle = 2 * std::numbers::pi * k * i / 64;
        const float* z = &spectrum[(f * bins + k) * 2];
        x += (k == 0 || k == 32 ? 1 : 2) * (z[0] * std::cos(angle) - (k == 0 || k == 32 ? 0 : z[1] * std::sin(angle)));
      }
      const double w = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / 64);
      sum[f * 24 + i] += w * x * 8 / 64;  // sqrt(64) undoes the normalisation
      weight[f * 24 + i] += w * w;
    }
  }
  double signal = 0, error = 0;
  for (int64_t t = 0; t < length; ++t) {
    const double want = sum[t + 32] / weight[t + 32];
    signal += want * want;
    error += std::pow(want - out[t], 2);
  }
  EXPECT_GE(Decibels(signal, error), 120);
}

TEST(Stft, RefusesWhatCannotBeDone) {
  EXPECT_FALSE(Stft::Create({.n_fft = 14, .hop = 7}));
  EXPECT_FALSE(Stft::Create({.n_fft = 64, .hop = 0}));
  EXPECT_FALSE(Stft::Create({.n_fft = 64, .hop = 65}));
  EXPECT_FALSE(Stft::Create({.n_fft = 64, .hop = 64}));  // a Hann window is 0 at its begin
  auto stft = Stft::Create({.n_fft = 64, .hop = 16});
  ASSERT_TRUE(stft);
  std::vector<float> x(1000), out(1000 * 66), scratch(stft->ScratchFloats());
  EXPECT_FALSE(stft->Forward(x.data(), 32, 0, 1, out.data(), {66, 2}, scratch.data()));   // nothing to reflect
  EXPECT_FALSE(stft->Forward(x.data(), 100, 0, 8, out.data(), {66, 2}, scratch.data()));  // 7 frames only
  EXPECT_FALSE(stft->Inverse(out.data(), {66, 2}, 5, 65, x.data(), scratch.data()));      // 64 samples only
  auto plain = Stft::Create({.n_fft = 64, .hop = 16, .center = false});
  ASSERT_TRUE(plain);
  const Status status = plain->Inverse(out.data(), {66, 2}, 5, 100, x.data(), scratch.data());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("sample 0"), std::string::npos);
}

}  // namespace
}  // namespace timbre
