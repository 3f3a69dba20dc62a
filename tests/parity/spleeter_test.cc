// Spleeter held against what its authors' code makes of the same input, through the program.
#include "models/separate/spleeter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "dsp/fft.h"
#include "dsp/overlap_add.h"
#include "dsp/window.h"
#include "models/released_networks.h"
#include "tests/parity/separator_support.h"
#include "tests/support/golden.h"
#include "tests/support/real_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::CheckSlices;
using testing::DataPath;
using testing::SharedPath;
using testing::TempFolder;
using testing::Values;

// TensorFlow's own float32 is 101 to 104 dB from its float64.
constexpr double kFloorDb = 90;

void CheckProgram(const TempFolder& folder, const std::string& mix, const std::string& model,
                  const std::vector<std::string>& stems, const Safetensors& file, double floor_db) {
  const testing::Ran ran = testing::RunTimbre({"separate", mix, "--model", model, "--device", "cpu", "-o", ".",
                                               "--name", "{stem}.{ext}", "--sample-format", "f32", "--clip", "none"},
                                              folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string& stem : stems) {
    EXPECT_EQ(CheckSlices(file, "stems." + stem, testing::ReadExact(folder / (stem + ".wav")), 2, floor_db), 3u);
  }
}

void CheckTiny(const std::string& path, const std::vector<std::string>& stems) {
  const auto file = ReadSafetensors(path + ".safetensors");
  ASSERT_TRUE(file) << file.error().message;
  const TempFolder folder;
  testing::WriteExact(folder / "mix.wav", Values(*file, "mix"));
  CheckProgram(folder, "mix.wav", path, stems, *file, kFloorDb);
}

TEST(SpleeterParity, FourStems) {
  CheckTiny(DataPath("separators/spleeter-4stems-tiny"), {"vocals", "drums", "bass", "other"});
}
TEST(SpleeterParity, FiveStems) {
  const std::string path = SharedPath("goldens/separators/spleeter-5stems-tiny");
  TIMBRE_NEED_SHARED(path);
  CheckTiny(std::filesystem::absolute(path), {"vocals", "piano", "drums", "bass", "other"});
}

// The same from an archive of the folder, as the models are published.
TEST(SpleeterParity, FromAnArchive) {
  const TempFolder folder;
  const std::string source = DataPath("separators/spleeter-4stems-tiny");
  ASSERT_EQ(std::system(("tar -czf '" + (folder / "4stems.tar.gz").string() + "' -C '" + source + "' .").c_str()), 0);
  const auto file = ReadSafetensors(DataPath("separators/spleeter-4stems-tiny.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  testing::WriteExact(folder / "mix.wav", Values(*file, "mix"));
  CheckProgram(folder, "mix.wav", "4stems.tar.gz", {"vocals"}, *file, kFloorDb);
}

// The published weights on real music, where the Python package index is reached (or they have been fetched before).
TEST(SpleeterParity, PublishedWeightsOnMusic) {
  const std::string mix = SharedPath("goldens/spleeter/mix.flac");
  TIMBRE_NEED_SHARED(mix);
  TIMBRE_NEED_REAL_MODEL("spleeter-2stems", model);
  const auto file = ReadSafetensors(SharedPath("goldens/spleeter/spleeter-2stems.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const TempFolder folder;
  CheckProgram(folder, fs::absolute(mix), model, {"vocals", "accompaniment"}, *file, 80);
}

SpleeterOptions Small() {
  SpleeterOptions options;
  options.stems = {"a"};
  options.n_fft = 256;
  options.hop = 64;
  options.frames = options.bins = 64;
  options.filters = {1, 1, 1, 1, 1, 1};
  return options;
}

// Whatever the length, tiles cover it, and add up to what they are given.
TEST(Spleeter, PlansCoverEveryLength) {
  const auto model = MakeSpleeter(Small(), std::make_shared<const TensorMap>());
  ASSERT_TRUE(model) << model.error().message;
  for (const int64_t length : {1, 63, 64, 255, 256, 3839, 3840, 3841, 4096, 4097, 8191, 8192, 10000}) {
    const auto plan = (*model)->Plan(length, {});
    ASSERT_TRUE(plan);
    std::vector<float> signal(length, 1.0f), input(plan->tile), output(plan->tile), finished;
    std::vector<float> windows(plan->tile, 0.0f);
    OverlapAdd sum(*plan, 1);
    for (const Tile& tile : plan->tiles) {
      GatherTile(*plan, tile, signal.data(), 0, 1, input.data());
      for (int64_t i = 0; i < plan->tile; ++i) output[i] = input[i] * (*tile.envelope)[i];
      const Status added = sum.Add(output.data(), &finished);
      ASSERT_TRUE(added) << length << ": " << added.error().message;
    }
    ASSERT_EQ(static_cast<int64_t>(finished.size()), length);
    for (const float value : finished) ASSERT_NEAR(value, 1.0f, 1e-6f) << length;
  }
  EXPECT_FALSE((*model)->Plan(1000, {.segment = 3}));
  EXPECT_FALSE((*model)->Plan(1000, {.overlap = 0.5}));
}

TEST(Spleeter, ConfigurationsAreReadAndBounded) {
  SpleeterOptions options = *ReleasedSpleeter(2);
  EXPECT_TRUE(ReadSpleeterConfig("{}", &options));
  ASSERT_TRUE(ReadSpleeterConfig(
      R"({"F": 1536, "mask_extension": "average", "instrument_list": ["x", "y"], "separation_exponent": 1,
          "model": {"type": "unet.softmax_unet", "params": {"conv_activation": "ELU"}}, "train_csv": "/a/b"})",
      &options));
  EXPECT_EQ(options.bins, 1536);
  EXPECT_TRUE(options.average_above && options.softmax && options.elu_down && !options.elu_up);
  EXPECT_EQ(options.stems, (std::vector<std::string>{"x", "y"}));
  for (const std::string bad :
       {"", "[]", R"({"F": 99999999})", R"({"F": "x"})", R"({"T": 1e30})", R"({"F": 18446744073709551615})",
        R"({"n_channels": 1})", R"({"instrument_list": []})", R"({"instrument_list": [1]})",
        R"({"mask_extension": "mean"})", R"({"model": {"type": "blstm.blstm"}})",
        R"({"model": {"type": "unet.unet", "params": {"conv_activation": "x"}}})"}) {
    SpleeterOptions unchanged = *ReleasedSpleeter(2);
    const Status read = ReadSpleeterConfig(bad, &unchanged);
    EXPECT_FALSE(read) << bad;
    EXPECT_EQ(unchanged.bins, 1024) << bad;
  }
  EXPECT_FALSE(ReleasedSpleeter(3));
}

// What no released model has: above the bins that are seen, the mean of a frame's mask. Of weights that make masks
// known beforehand: the last layer sees ones, more of them in the middle than at the edges.
constexpr float kMaskWeights[2][2] = {{0.2f, -0.1f}, {-0.05f, 0.1f}};  // [stem][channel], at all of its 16 taps

double MeanOfMask(const SpleeterOptions& o, int frame, int stem, int channel) {
  const auto ones = [](int at, int size) {
    return static_cast<int>((at >= 3) + (at >= 1) + (at + 1 < size) + (at + 3 < size));
  };
  double sum = 0;
  for (int bin = 0; bin < o.bins; ++bin) {
    double squares[2];
    for (int k = 0; k < 2; ++k) {
      const double logit = double{kMaskWeights[k][channel]} * ones(frame, o.frames) * ones(bin, o.bins);
      squares[k] = std::pow(1 + std::exp(-logit), -2);
    }
    sum += squares[stem] / (squares[0] + squares[1]);
  }
  return sum / o.bins;
}

TEST(Spleeter, AverageExtendsTheMask) {
  SpleeterOptions o = Small();
  o.stems = {"a", "b"};
  auto random = RandomTensors(1, false, [&](Weights& w) { return BuildSpleeter(o, w, 1).map([](const Graph&) {}); });
  ASSERT_TRUE(random) << random.error().message;
  for (auto& [name, tensor] : *random) {
    std::vector<float> values(static_cast<size_t>(tensor.shape.elements()), 0.0f);
    if (name.ends_with("running_var") || name.ends_with("up_norm6.bias")) values.assign(values.size(), 1.0f);
    if (name.ends_with("mask.weight")) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = kMaskWeights[name[0] - '0'][2 * i / values.size()];
    }
    tensor = HostTensor::FromF32(tensor.shape, values);
  }
  const auto weights = std::make_shared<const TensorMap>(*std::move(random));
  const int64_t samples = int64_t{o.frames - 1} * o.hop + o.n_fft;
  std::vector<float> mix(2 * samples);
  for (size_t i = 0; i < mix.size(); ++i) mix[i] = FormulaValue(1, i, -0.5f, 1);
  std::vector<float> above[2];  // what the extension adds
  for (const bool average : {false, true}) {
    o.average_above = average;
    auto graph = BuildSpleeter(o, *WeightsFromMap(weights), 1);
    ASSERT_TRUE(graph) << graph.error().message;
    ThreadPool pool(1);
    auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    above[average].resize(4 * samples);
    const float* const in[] = {mix.data()};
    float* const out[] = {above[average].data()};
    ASSERT_TRUE((*session)->Run(in, out));
  }
  for (size_t i = 0; i < above[1].size(); ++i) above[1][i] -= above[0][i];

  const auto fft = RealFft::Create(o.n_fft);
  ASSERT_TRUE(fft);
  const std::vector<float> window = MakeWindow(WindowKind::kHann, o.n_fft);
  std::vector<float> expected(4 * samples, 0.0f), frame(o.n_fft), spectrum(o.n_fft + 2), scratch(fft->ScratchFloats());
  for (int t = 0; t < o.frames; ++t) {
    for (int c = 0; c < 2; ++c) {
      for (int i = 0; i < o.n_fft; ++i) frame[i] = mix[2 * (t * o.hop + i) + c] * window[i];
      fft->Forward(frame.data(), spectrum.data(), scratch.data());
      std::fill_n(spectrum.begin(), 2 * o.bins, 0.0f);
      fft->Inverse(spectrum.data(), frame.data(), scratch.data());
      for (int k = 0; k < 2; ++k) {
        const auto share = static_cast<float>(MeanOfMask(o, t, k, c));
        for (int i = 0; i < o.n_fft; ++i) expected[4 * (t * o.hop + i) + 2 * k + c] += share * frame[i] * window[i];
      }
    }
  }
  EXPECT_GE(testing::RatioDb(expected, above[1]), 100);
}

}  // namespace
}  // namespace timbre
