// Ensembles held against python-audio-separator's, and through the program.
#include "dsp/ensemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "audio/decode.h"
#include "audio/encode.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;
using testing::TempFolder;
using testing::Transposed;
using testing::Values;

using A = EnsembleAlgorithm;

constexpr double kFloorDb = 120;
const std::string kCase = "goldens/separators/ensemble.safetensors";

// [samples, 2], continued by zeros to `frames`.
std::vector<float> Input(const Safetensors& file, int index, int64_t frames) {
  const std::vector<float> stored = Values(file, "in." + std::to_string(index));
  std::vector<float> samples = Transposed(stored, 2, static_cast<int64_t>(stored.size()) / 2);
  samples.resize(2 * frames, 0.0f);
  return samples;
}

// In blocks of `step` frames; [samples, 2].
std::vector<float> Combined(const std::vector<std::vector<float>>& inputs, Ensemble::Options options, int64_t step) {
  options.inputs = inputs.size();
  auto ensemble = Ensemble::Create(std::move(options));
  EXPECT_TRUE(ensemble) << ensemble.error().message;
  if (!ensemble) return {};
  std::vector<float> out;
  const int64_t frames = static_cast<int64_t>(inputs[0].size()) / 2;
  for (int64_t at = 0; at < frames; at += step) {
    std::vector<const float*> blocks;
    for (const auto& input : inputs) blocks.push_back(input.data() + 2 * at);
    ensemble->Push(blocks, std::min(step, frames - at), &out);
  }
  ensemble->Finish(&out);
  EXPECT_EQ(out.size(), inputs[0].size());
  return out;
}

TEST(Ensemble, AllAlgorithmsAsTheReference) {
  TIMBRE_NEED_SHARED(SharedPath(kCase));
  const auto file = ReadSafetensors(SharedPath(kCase));
  ASSERT_TRUE(file) << file.error().message;
  constexpr int64_t kFrames = 4300;
  std::vector<std::vector<float>> inputs;
  for (int k = 0; k < 3; ++k) inputs.push_back(Input(*file, k, kFrames));
  std::vector<size_t> quietest(2, 0);
  for (size_t c = 0; c < 2; ++c) {
    const auto level = [&](size_t k) {
      double sum = 0;
      for (size_t i = c; i < inputs[k].size(); i += 2) sum += std::abs(inputs[k][i]);
      return sum;
    };
    for (size_t k = 1; k < 3; ++k) {
      if (level(k) < level(quietest[c])) quietest[c] = k;
    }
  }
  const struct {
    const char* name;
    A algorithm;
    std::vector<double> weights;
  } cases[] = {{"avg_wave", A::kAvgWave, {}},
               {"avg_wave.weighted", A::kAvgWave, {1, 2, 0.5}},
               {"median_wave", A::kMedianWave, {}},
               {"min_wave", A::kMinWave, {}},
               {"max_wave", A::kMaxWave, {}},
               {"avg_fft", A::kAvgFft, {}},
               {"avg_fft.weighted", A::kAvgFft, {1, 2, 0.5}},
               {"median_fft", A::kMedianFft, {}},
               {"min_fft", A::kMinFft, {}},
               {"max_fft", A::kMaxFft, {}},
               {"uvr_min_spec", A::kUvrMinSpec, {}},
               {"uvr_max_spec", A::kUvrMaxSpec, {}},
               {"ensemble_wav", A::kEnsembleWav, {}}};
  for (const auto& c : cases) {
    const std::vector<float> reference = Values(*file, c.name);
    for (const int64_t step : {int64_t{1}, int64_t{1000}, kFrames}) {
      std::vector<float> ours =
          Combined(inputs, {.algorithm = c.algorithm, .weights = c.weights, .quietest = quietest}, step);
      // The reference's uvr_* end with the last whole hop; here silence follows.
      for (size_t i = reference.size(); i < ours.size(); ++i) EXPECT_EQ(ours[i], 0) << c.name;
      ours.resize(reference.size());
      const double ratio = RatioDb(reference, Transposed(ours, static_cast<int64_t>(ours.size()) / 2, 2));
      if (step == kFrames) std::printf("  %-18s %.1f dB\n", c.name, ratio);
      EXPECT_GE(ratio, kFloorDb) << c.name << " in steps of " << step;
    }
  }
}

// One signal three times is that signal, whatever is done, and however short it is.
TEST(Ensemble, OfEqualsIsWhatTheyAre) {
  for (const int64_t frames : {1, 5, 1023, 1024, 2047, 2048, 5000}) {
    std::vector<float> signal(2 * frames);
    for (size_t i = 0; i < signal.size(); ++i) signal[i] = std::sin(0.37f * static_cast<float>(i));
    for (int a = 0; a <= static_cast<int>(A::kEnsembleWav); ++a) {
      const auto algorithm = static_cast<A>(a);
      const std::vector<float> out =
          Combined({signal, signal, signal}, {.algorithm = algorithm, .quietest = {0, 2}}, frames);
      const bool whole_hops = algorithm == A::kUvrMinSpec || algorithm == A::kUvrMaxSpec;
      // Behind the last whole hop a window that falls divides what it has made small.
      const int64_t sure =
          whole_hops ? frames / 1024 * 1024 : frames - frames % 1024 + std::min<int64_t>(frames % 1024, 900);
      for (int64_t i = 0; i < 2 * sure; ++i) ASSERT_NEAR(out[i], signal[i], 1e-4f) << a << " " << frames << " " << i;
    }
  }
  EXPECT_FALSE(Ensemble::Create({.inputs = 2, .weights = {1, -1}}));
  EXPECT_FALSE(Ensemble::Create({.inputs = 2, .weights = {1}}));
  EXPECT_FALSE(Ensemble::Create({.inputs = 2, .weights = {1, NAN}}));
}

TEST(CombineCommand, CombinesFilesOfAnyKindAndLength) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 1);
  testing::WriteTestWav(folder / "b.wav", 0.5);
  const testing::Ran ran = testing::RunTimbre({"combine", "a.wav", "b.wav", "--algorithm", "avg_fft", "--weights",
                                               "3,1", "-o", "out.flac", "--json", "report.json"},
                                              folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto whole = ReadAudioFile(folder / "a.wav", 1 << 20), out = ReadAudioFile(folder / "out.flac", 1 << 20);
  ASSERT_TRUE(whole && out);
  ASSERT_EQ(out->frames(), whole->frames());
  // Behind the shorter one, three quarters of the longer.
  EXPECT_NEAR(out->samples[60000], 0.75f * whole->samples[60000], 1e-3f);
  EXPECT_NE(testing::ReadAll(folder / "report.json").find("\"samples\": 44100"), std::string::npos);
}

TEST(CombineCommand, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 0.1);
  const auto expect = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "combine");
    const testing::Ran ran = testing::RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0) << part;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "o.wav"));
  };
  expect({"a.wav", "-o", "o.wav"}, "2 to 64 files");
  expect({"a.wav", "a.wav", "--weights", "1", "-o", "o.wav"}, "2 inputs and 1 weights");
  expect({"a.wav", "a.wav", "--weights", "1,x", "-o", "o.wav"}, "--weights takes numbers, one for each input, not 'x'");
  expect({"a.wav", "a.wav", "--weights", "1,inf", "-o", "o.wav"}, "not 'inf'");
  expect({"a.wav", "a.wav", "--algorithm", "min_fft", "--weights", "1,1", "-o", "o.wav"}, "--weights has no effect");
  expect({"a.wav", "b.wav", "-o", "o.wav"}, "b.wav");
  expect({"a.wav", "a.wav", "-o", "a.wav"}, "over an input");
  expect({"a.wav", "a.wav", "-o", "-"}, "'-' would be a file of that name, and not the standard output");
  EXPECT_EQ(testing::FilesIn(folder.path()), std::vector<std::string>{"a.wav"});
}

}  // namespace
}  // namespace timbre
