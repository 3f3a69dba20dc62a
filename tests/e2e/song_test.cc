// timbre song, as a user runs it: a folder laid out as the official one, with weights by formula.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "audio/decode.h"
#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/parity/song_support.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::Ran;
using testing::RunTimbre;
using testing::SongCase;
using testing::TempFolder;
using testing::Transposed;
using testing::WriteAll;
using Floats = std::vector<float>;

constexpr double kFloorDb = 100;

Safetensors Case() {
  const auto file = ReadSafetensors(SongCase("e2e-tiny.safetensors"));
  EXPECT_TRUE(file);
  return *file;
}

// The four files; the decoder with the filters that the reference computes for itself left out.
std::string MakeFolder(const TempFolder& folder) {
  const Safetensors file = Case();
  const auto dit = ReadFormulaWeights(SongCase("tiny.weights.json"));
  const auto decoder = ReadFormulaWeights(SongCase("decode-chunked-tiny.weights.json"));
  EXPECT_TRUE(dit && decoder);
  const auto path = folder / "model";
  std::filesystem::create_directories(path);
  EXPECT_TRUE(WriteSafetensors((path / "model.safetensors").string(), **dit));
  EXPECT_TRUE(WriteSafetensors((path / "decoder.safetensors").string(), **decoder));
  WriteAll(path / "config.json", file.metadata.at("config"));
  WriteAll(path / "decoder.json", file.metadata.at("decoder"));
  return path.string();
}

std::vector<std::string> Words(const std::string& model, const std::vector<std::string>& more = {}) {
  const std::string path = SongCase("e2e-tiny.safetensors");
  std::vector<std::string> words{"song",    "-m", model,     "--tokens", path,        "--style", path,
                                 "--noise", path, "--steps", "6",        "--seconds", "6.2",     "--sample-format",
                                 "f32",     "-o", "song.wav"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Floats Samples(const std::filesystem::path& path, int channels) {
  const auto audio = ReadAudioFile(path.string(), 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  if (!audio) return {};
  EXPECT_EQ(audio->channels, channels);
  EXPECT_EQ(audio->sample_rate, 48000);
  return audio->samples;
}

void CheckAudio(const Floats& samples) {
  testing::CheckSlices(Case(), "audio", Transposed(samples, static_cast<int64_t>(samples.size()) / 2, 2), 2, kFloorDb);
}

TEST(SongProgram, GivesTheReferencesSong) {
  TempFolder folder;
  const std::string model = MakeFolder(folder);
  const Ran ran = RunTimbre(Words(model, {"--latents", "kept.safetensors", "--json", "report.json"}), folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  CheckAudio(Samples(folder / "song.wav", 2));
  const auto kept = ReadSafetensors((folder / "kept.safetensors").string());
  ASSERT_TRUE(kept);
  EXPECT_GE(testing::RatioDb(testing::Values(Case(), "latent"), testing::Values(*kept, "latent")), kFloorDb);
  const json report = json::parse(testing::ReadAll(folder / "report.json"));
  EXPECT_EQ(report["song"]["frames"], 32);
  EXPECT_EQ(report["song"]["blocks"], 8);
  EXPECT_EQ(report["song"]["samples"], 32 * 9600);
  EXPECT_EQ(report["options"]["steps"], 6);

  // The kept latents, decoded alone, are the same song.
  const Ran again = RunTimbre(
      {"song", "-m", model, "--from-latents", "kept.safetensors", "--sample-format", "f32", "-o", "again.wav"},
      folder.path());
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(Samples(folder / "again.wav", 2), Samples(folder / "song.wav", 2));
}

TEST(SongProgram, GivesTheReferencesSongFromTheOfficialFiles) {
  const std::string model = testing::SharedPath("goldens/diffrhythm/tiny-ckpt");
  TIMBRE_NEED_SHARED(model);
  TempFolder folder;
  const Ran ran = RunTimbre(Words(model), folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  CheckAudio(Samples(folder / "song.wav", 2));
}

TEST(SongProgram, TheSameSeedGivesTheSameBits) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  for (const auto& [seed, name] : {std::pair<const char*, const char*>{"7", "a.wav"}, {"7", "b.wav"}, {"8", "c.wav"}}) {
    const Ran ran = RunTimbre({"song", "-m", model, "--tokens", path, "--style", path, "--seconds", "1", "--steps", "3",
                               "--seed", seed, "--no-fake-stereo", "-o", name},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  EXPECT_EQ(testing::ReadAll(folder / "a.wav"), testing::ReadAll(folder / "b.wav"));
  EXPECT_NE(testing::ReadAll(folder / "a.wav"), testing::ReadAll(folder / "c.wav"));
  Samples(folder / "a.wav", 1);
}

TEST(SongProgram, SaysWhatIsWrongInOneLine) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  WriteAll(folder / "bad.txt", "1 2 x");
  WriteAll(folder / "large.txt", "100000");
  WriteAll(folder / "broken.json", "{");
  const std::vector<std::vector<std::string>> wrong = {
      {"song", "-m", model, "--tokens", path},                         // no style
      {"song", "-m", model, "--tokens", "none.txt", "--style", path},  // no such file
      {"song", "-m", model, "--tokens", "bad.txt", "--style", path},
      {"song", "-m", model, "--tokens", "large.txt", "--style", path},             // not in the vocabulary
      {"song", "-m", model, "--tokens", path, "--phones", path, "--style", path},  // twice
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "song.xyz"},
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "nowhere/song.wav"},
      {"song", "-m", "nowhere/", "--tokens", path, "--style", path},
      {"song", "-m", "htdemucs", "--tokens", path, "--style", path},
      {"song", "-m", folder.path().string(), "--tokens", path, "--style", path},  // another folder
      {"song", "-m", model, "--from-latents", path, "--tokens", path},
      {"song", "-m", model, "--tokens", path, "--style", path, "--noise", path, "--seconds",
       "200"},  // too little noise
  };
  const size_t before = testing::FilesIn(folder.path()).size();
  for (const auto& words : wrong) {
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0) << words.back();
    EXPECT_TRUE(ran.err.starts_with("timbre: ")) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), before) << "something was left";
}

// A configuration is refused before memory is asked for what it says.
TEST(SongProgram, RefusesAConfigurationBeyondAllBounds) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  json config = json::parse(Case().metadata.at("decoder"));
  config["upsample_initial_channel"] = 1000000000;
  WriteAll(std::filesystem::path(model) / "decoder.json", config.dump());
  const Ran ran = RunTimbre({"song", "-m", model, "--tokens", path, "--style", path}, folder.path());
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("upsample_initial_channel"), std::string::npos) << ran.err;
}

// Waits until the first blocks were made, then presses Ctrl-C.
Ran Interrupt(const TempFolder& folder, const std::string& model, const std::vector<std::string>& more) {
  const std::string path = SongCase("e2e-tiny.safetensors");
  std::vector<std::string> words{"song",      "-m", model,     "--tokens", path, "--style", path,
                                 "--seconds", "40", "--steps", "20",       "-o", "song.wav"};
  words.insert(words.end(), more.begin(), more.end());
  testing::Child child(words, folder.path());
  for (int i = 0; i < 2000 && child.ErrorsSoFar().find("10 %") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  child.Signal(SIGINT);
  return child.Wait();
}

TEST(SongProgram, CancelledItLeavesNothingOrWhatWasFinished) {
  TempFolder folder;
  const std::string model = MakeFolder(folder);
  const size_t before = testing::FilesIn(folder.path()).size();
  EXPECT_EQ(Interrupt(folder, model, {}).code, 130);
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), before) << "something was left";
  EXPECT_EQ(Interrupt(folder, model, {"--keep-partial"}).code, 130);
  EXPECT_FALSE(Samples(folder / "song.wav", 2).empty());
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), before + 1);
}

}  // namespace
}  // namespace timbre
