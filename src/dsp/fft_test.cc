#include "dsp/fft.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>
#include <vector>

namespace timbre {
namespace {

// By definition, in float64, with exact reduction of the angle. O(n^2): `stride` takes every so many bins only.
std::vector<std::complex<double>> Dft(const std::vector<float>& x, size_t stride) {
  const size_t n = x.size();
  std::vector<std::complex<double>> roots(n), out;
  for (size_t i = 0; i < n; ++i) roots[i] = std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(i) / n);
  for (size_t k = 0; k <= n / 2; k += stride) {
    std::complex<double> sum = 0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * roots[i * k % n];
    out.push_back(sum);
  }
  return out;
}

std::vector<float> Noise(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(n);
  for (float& v : x) v = uniform(random);
  return x;
}

double Decibels(double signal, double error) { return 10 * std::log10(signal / std::max(error, 1e-300)); }

// The worst lane's signal-to-error ratio of the forward transform and of the way back.
void Check(size_t n, size_t lanes, size_t stride) {
  SCOPED_TRACE(testing::Message() << "n " << n << " lanes " << lanes);
  auto fft = RealFft::Create(n);
  ASSERT_TRUE(fft) << fft.error().message;
  std::vector<float> in(n * lanes), out(fft->bins() * 2 * lanes), back(n * lanes), scratch(fft->ScratchFloats(lanes));
  std::vector<std::vector<float>> frames;
  for (size_t l = 0; l < lanes; ++l) {
    frames.push_back(Noise(n, static_cast<unsigned>(n + l)));
    for (size_t i = 0; i < n; ++i) in[i * lanes + l] = frames[l][i];
  }
  fft->Forward(in.data(), out.data(), scratch.data(), lanes);
  fft->Inverse(out.data(), back.data(), scratch.data(), lanes);
  for (size_t l = 0; l < lanes; ++l) {
    const auto want = Dft(frames[l], stride);
    double signal = 0, error = 0, back_signal = 0, back_error = 0;
    for (size_t j = 0; j < want.size(); ++j) {
      const size_t k = j * stride;
      const std::complex<double> got(out[2 * k * lanes + l], out[(2 * k + 1) * lanes + l]);
      signal += std::norm(want[j]);
      error += std::norm(want[j] - got);
    }
    EXPECT_GE(Decibels(signal, error), 130) << "forward, lane " << l;
    for (size_t i = 0; i < n; ++i) {
      back_signal += frames[l][i] * frames[l][i];
      back_error += std::pow(frames[l][i] - back[i * lanes + l], 2);
    }
    EXPECT_GE(Decibels(back_signal, back_error), 130) << "inverse, lane " << l;
  }
}

TEST(RealFft, AgreesWithTheDefinitionAtEveryLength) {
  for (size_t n = 2; n <= 600; n += 2) {
    size_t rest = n;
    for (size_t prime : {2, 3, 5}) {
      while (rest % prime == 0) rest /= prime;
    }
    if (rest == 1) {
      Check(n, 1, 1);
      Check(n, 2, 1);
      Check(n, 3, 1);
      Check(n, 8, 1);
      Check(n, 16, 1);
    } else {
      auto fft = RealFft::Create(n);
      ASSERT_FALSE(fft);
      EXPECT_EQ(fft.error().code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST(RealFft, AgreesWithTheDefinitionAtTheModelsLengths) {
  for (size_t n : {960, 1024, 1920, 2048, 4096, 8192}) {
    Check(n, 1, 1);
    Check(n, 16, 7);
    Check(n, 32, 61);
  }
  Check(1 << 18, 1, 10007);
}

TEST(RealFft, EveryInstructionSetAgrees) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::GetChosenTarget().Update(target);
    for (size_t n : {480, 512, 960, 1350}) {
      Check(n, 1, 1);
      Check(n, 16, 5);
    }
  }
  hwy::GetChosenTarget().DeInit();
}

TEST(RealFft, InverseIgnoresTheImaginaryPartsOfTheEdges) {
  auto fft = RealFft::Create(8);
  ASSERT_TRUE(fft);
  std::vector<float> a{1, 0, 2, 3, 4, 5, 6, 7, 8, 0}, b = a, x(8), y(8), scratch(fft->ScratchFloats());
  b[1] = 5;
  b[9] = -7;
  fft->Inverse(a.data(), x.data(), scratch.data());
  fft->Inverse(b.data(), y.data(), scratch.data());
  EXPECT_EQ(x, y);
}

TEST(RealFft, RefusesLengthsItCannotDo) {
  for (size_t n : {size_t{0}, size_t{1}, size_t{9}, size_t{14}, (size_t{1} << 22) + 2, size_t{1} << 62}) {
    auto fft = RealFft::Create(n);
    ASSERT_FALSE(fft) << n;
    EXPECT_EQ(fft.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace timbre
