// The networks held against their references through the program, from files laid out as the official ones are. Nothing
// beside the checkout is needed: what is large is made here, by formula.
#include "tests/support/official_files.h"

#include <gtest/gtest.h>

#include "audio/decode.h"
#include "audio/encode.h"
#include "kernels/kernel.h"
#include "models/separate/larsnet.h"
#include "tests/parity/larsnet_folder.h"
#include "tests/parity/speech_support.h"

namespace timbre {
namespace {

using testing::CheckSlices;
using testing::DataPath;
using testing::TempFolder;
using testing::Transposed;
using testing::Values;

constexpr double kFloorDb = 100;

class OfficialFiles : public ::testing::Test {
 protected:
  // The case's mix as float samples.
  void WriteMix(const Safetensors& file) {
    const std::vector<float> mix = Values(file, "mix");
    const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
    const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
    auto writer = AudioWriter::Create(folder_ / "mix.wav", exact, 44100, 2);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE((*writer)->Write(Transposed(mix, 2, samples).data(), samples));
    ASSERT_TRUE((*writer)->Finish());
  }
  void Separate(const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"separate", "mix.wav",      "--model",  model, "--output",        ".",
                                      "--name",   "{stem}.{ext}", "--device", "cpu", "--sample-format", "f32",
                                      "--clip",   "none"};
    words.insert(words.end(), more.begin(), more.end());
    const testing::Ran ran = testing::RunTimbre(words, folder_.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  // [2, samples].
  std::vector<float> Stem(const std::string& stem) {
    const auto audio = ReadAudioFile(folder_ / (stem + ".wav"), 1 << 24);
    EXPECT_TRUE(audio) << audio.error().message;
    return audio ? Transposed(audio->samples, audio->frames(), 2) : std::vector<float>();
  }
  // Cases of whole tracks name a tensor for each stem.
  void CheckTrack(const Safetensors& file, const std::vector<std::string>& stems) {
    for (const std::string& stem : stems) EXPECT_EQ(CheckSlices(file, "stems." + stem, Stem(stem), 2, kFloorDb), 3u);
  }
  // Cases of one tile have all stems in one.
  void CheckTile(const Safetensors& file, const std::vector<std::string>& stems) {
    std::vector<float> all;
    for (const std::string& stem : stems) {
      const std::vector<float> one = Stem(stem);
      all.insert(all.end(), one.begin(), one.end());
    }
    EXPECT_EQ(CheckSlices(file, "stems", all, 2 * static_cast<int64_t>(stems.size()), kFloorDb), 3u);
  }
  Safetensors Case(const std::string& name) {
    auto file = ReadSafetensors(DataPath(name));
    EXPECT_TRUE(file) << file.error().message;
    return file ? *std::move(file) : Safetensors();
  }

  TempFolder folder_;
};

const std::vector<std::string> kSong = {"drums", "bass", "other", "vocals"};
const std::vector<std::string> kDrums = {"kick", "snare", "toms", "hh", "cymbals"};

TEST_F(OfficialFiles, HtdemucsTrackFromItsPackage) {
  const Safetensors file = Case("official/htdemucs-tiny.synthetic-track.safetensors");
  WriteMix(file);
  Separate(DataPath("official/htdemucs-tiny-b9c4b409.th"), {});
  CheckTrack(file, kSong);
}

TEST_F(OfficialFiles, Mdx23cTrackFromItsCheckpointAndYaml) {
  const Safetensors file = Case("official/mdx23c-tiny.synthetic-track.safetensors");
  WriteMix(file);
  Separate(DataPath("official/mdx23c-tiny.ckpt"), {});
  CheckTrack(file, kDrums);
}

// One tile of a network by formula, in each of the files that HTDemucs comes in.
TEST_F(OfficialFiles, HtdemucsTileFromEveryContainer) {
  const Safetensors file = Case("htdemucs-small.safetensors");
  const TensorMap weights = testing::FormulaWeights("htdemucs-small.weights.json");
  WriteMix(file);
  const auto check = [&](const std::string& name) {
    SCOPED_TRACE(name);
    Separate(folder_ / name, {"--overlap", "0", "--no-normalise"});
    CheckTile(file, kSong);
  };
  testing::WriteAll(folder_ / "demucs.th", testing::SmallHtdemucsPackage(weights));
  check("demucs.th");
  testing::WriteAll(folder_ / "msst.yaml", testing::kSmallHtdemucsYaml);
  testing::WriteAll(folder_ / "msst.ckpt", testing::TorchFile(weights));
  check("msst.ckpt");
  testing::WriteAll(folder_ / "plain.yaml", testing::kSmallHtdemucsYaml);
  ASSERT_TRUE(WriteSafetensors(folder_ / "plain.safetensors", testing::Prefixed(weights, "module.")));
  check("plain.safetensors");
}

TEST_F(OfficialFiles, Mdx23cTileFromATrainersContainer) {
  const Safetensors file = Case("mdx23c-small.safetensors");
  WriteMix(file);
  testing::WriteAll(folder_ / "config.yaml", file.metadata.at("config"));
  testing::WriteAll(
      folder_ / "model.ckpt",
      testing::TorchFile(testing::Prefixed(testing::FormulaWeights("mdx23c-small.weights.json"), "model."),
                         {"state_dict"}));
  Separate(folder_ / "model.ckpt", {"--config", "config.yaml", "--overlap", "0"});
  CheckTile(file, kDrums);
}

TEST_F(OfficialFiles, LarsnetTrackFromItsFolder) {
  // Without fast convolutions this would take minutes.
  if (KernelsFor(Op::kConv, DeviceKind::kCpu)[0]->tier != Tier::kFast) GTEST_SKIP() << "no fast convolution here";
  const Safetensors file = Case("larsnet-small.safetensors");
  WriteMix(file);
  testing::MakeLarsnetFolder(folder_.path(), DataPath("larsnet-small.weights.json"));
  Separate(folder_ / "pretrained_larsnet_models", {});
  CheckTrack(file, LarsnetOptions().stems);
}

TEST_F(OfficialFiles, DeepFilterNet3FromItsPackage) {
  const Safetensors file = Case("deepfilternet/deepfilternet3-small.safetensors");
  testing::WriteAll(
      folder_ / "DeepFilterNet3.zip",
      testing::BuildZip(
          {{"DeepFilterNet3/config.ini", testing::kDeepFilterNetConfig, true},
           {"DeepFilterNet3/checkpoints/model_120.ckpt.best",
            testing::TorchFile(testing::FormulaWeights("deepfilternet/deepfilternet3-small.weights.json")), true}}));
  const std::vector<float> noisy = Values(file, "noisy");
  auto writer = AudioWriter::Create(folder_ / "noisy.wav",
                                    {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, 48000, 1);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->Write(noisy.data(), static_cast<int64_t>(noisy.size())));
  ASSERT_TRUE((*writer)->Finish());
  const testing::Ran ran = testing::RunTimbre({"denoise", "noisy.wav", "-m", "DeepFilterNet3.zip", "--device", "cpu",
                                               "--sample-format", "f32", "--clip", "none", "-o", "out"},
                                              folder_.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto out = ReadAudioFile(folder_ / "out/noisy.wav", 1 << 24);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_GE(testing::Agreement(Values(file, "enhanced"), out->samples), kFloorDb);
}

}  // namespace
}  // namespace timbre
