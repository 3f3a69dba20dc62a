// Spleeter held against what its authors' code makes of the same input, through the program.
#include "models/separate/spleeter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "audio/decode.h"
#include "audio/encode.h"
#include "dsp/overlap_add.h"
#include "kernels/kernel.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"
#include "tests/support/real_model.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::CheckSlices;
using testing::DataPath;
using testing::SharedPath;
using testing::TempFolder;
using testing::Transposed;
using testing::Values;

// TensorFlow's own float32 is 101 to 104 dB from its float64.
constexpr double kFloorDb = 90;

void WriteMix(const TempFolder& folder, const std::vector<float>& mix) {
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  auto writer = AudioWriter::Create(folder / "mix.wav", exact, 44100, 2);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(Transposed(mix, 2, samples).data(), samples));
  ASSERT_TRUE((*writer)->Finish());
}

void CheckProgram(const TempFolder& folder, const std::string& mix, const std::string& model,
                  const std::vector<std::string>& stems, const Safetensors& file, double floor_db) {
  const testing::Ran ran = testing::RunTimbre({"separate", mix, "--model", model, "--device", "cpu", "-o", ".",
                                               "--name", "{stem}.{ext}", "--sample-format", "f32", "--clip", "none"},
                                              folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string& stem : stems) {
    const auto audio = ReadAudioFile(folder / (stem + ".wav"), 1 << 24);
    ASSERT_TRUE(audio) << audio.error().message;
    const std::vector<float> ours = Transposed(audio->samples, audio->frames(), 2);
    EXPECT_EQ(CheckSlices(file, "stems." + stem, ours, 2, floor_db), 3u);
  }
}

void CheckTiny(const std::string& path, const std::vector<std::string>& stems) {
  const auto file = ReadSafetensors(path + ".safetensors");
  ASSERT_TRUE(file) << file.error().message;
  const TempFolder folder;
  WriteMix(folder, Values(*file, "mix"));
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
  WriteMix(folder, Values(*file, "mix"));
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

// What no released model has: the mean of the mask above the bins that are seen.
TEST(Spleeter, AverageExtendsTheMask) {
  for (const bool average : {false, true}) {
    SpleeterOptions options = Small();
    options.stems = {"a", "b"};
    options.average_above = average;
    const auto weights = RandomWeights(1);
    const auto graph = BuildSpleeter(options, *weights, 1);
    EXPECT_TRUE(graph) << graph.error().message;
  }
}

}  // namespace
}  // namespace timbre
