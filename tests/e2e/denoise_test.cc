// timbre denoise, as a user runs it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"

namespace timbre {
namespace {

using testing::Agreement;
using testing::DataFile;
using testing::Golden;
using testing::kFloor;
using testing::Ran;
using testing::RunTimbre;
using testing::SharedFile;
using testing::TempFolder;

std::string MakeModel(const TempFolder& folder) { return testing::MakeSmallModelFolder(folder / "model"); }

void WriteFloatWav(const std::filesystem::path& path, const std::vector<float>& samples, int rate) {
  auto writer =
      AudioWriter::Create(path.string(), {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, rate, 1);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->Write(samples.data(), static_cast<int64_t>(samples.size())));
  ASSERT_TRUE((*writer)->Finish());
}

AudioBuffer ReadFile(const std::filesystem::path& path) {
  auto audio = ReadAudioFile(path.string(), 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  return audio ? *std::move(audio) : AudioBuffer();
}

TEST(DenoiseProgram, GivesTheReferencesSignal) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  const Golden golden(DataFile("deepfilternet/deepfilternet3-small.safetensors"));
  WriteFloatWav(folder / "noisy.wav", golden["noisy"], 48000);
  for (const bool stream : {false, true}) {
    std::vector<std::string> words{"denoise", "noisy.wav", "-m",   model, "--sample-format",
                                   "f32",     "--clip",    "none", "-o",  "out"};
    if (stream) words.push_back("--stream");
    const Ran ran = RunTimbre(words, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const AudioBuffer out = ReadFile(folder / "out/noisy.wav");
    EXPECT_EQ(out.sample_rate, 48000);
    EXPECT_GE(Agreement(golden["enhanced"], out.samples), kFloor) << (stream ? "hop by hop" : "in blocks");
  }
}

// The released network's shape, from its official package.
TEST(DenoiseProgram, GivesTheReferencesSignalFromTheOfficialPackage) {
  const std::string package = SharedFile("goldens/deepfilternet/deepfilternet3.zip");
  TIMBRE_NEEDS_FILE(package);
  TempFolder folder;
  struct Case {
    std::string golden;
    std::vector<std::string> options;
  };
  for (const Case& c : std::vector<Case>{{"deepfilternet3", {}},
                                         {"deepfilternet3-pf", {"--post-filter"}},
                                         {"deepfilternet3-atten", {"--atten-lim", "12"}}}) {
    const Golden golden(SharedFile("goldens/deepfilternet/" + c.golden + ".safetensors"));
    WriteFloatWav(folder / "noisy.wav", golden["noisy"], 48000);
    std::vector<std::string> words{"denoise", "noisy.wav", "-m", package, "--sample-format", "f32", "--clip", "none"};
    words.insert(words.end(), c.options.begin(), c.options.end());
    const Ran ran = RunTimbre(words, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_GE(Agreement(golden["enhanced"], ReadFile(folder / "denoised/noisy.wav").samples), kFloor) << c.golden;
  }
}

TEST(DenoiseProgram, GtcrnGivesTheReferencesSignal) {
  for (const std::string name : {"dns3", "vctk"}) {
    const std::string checkpoint = SharedFile("goldens/gtcrn/gtcrn-" + name + ".tar");
    TIMBRE_NEEDS_FILE(checkpoint);
    TempFolder folder;
    const Golden golden(SharedFile("goldens/gtcrn/gtcrn-" + name + ".safetensors"));
    WriteFloatWav(folder / "noisy.wav", golden["noisy"], 16000);
    const Ran ran = RunTimbre({"denoise", "noisy.wav", "-m", checkpoint, "--sample-format", "f32", "--clip", "none"},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    std::vector<float> out = ReadFile(folder / "denoised/noisy.wav").samples;
    EXPECT_EQ(out.size(), golden["noisy"].size());
    out.resize(golden["enhanced"].size());  // the reference drops what does not fill a hop
    EXPECT_GE(Agreement(golden["enhanced"], out), kFloor) << name;
  }
}

// 48 kHz through a network that ends at 8 kHz.
TEST(DenoiseProgram, TheAttenuationLimitHoldsAboveTheModelsBand) {
  const std::string checkpoint = SharedFile("goldens/gtcrn/gtcrn-dns3.tar"), noise = SharedFile("cases/white-48k.wav");
  TIMBRE_NEEDS_FILE(checkpoint);
  TIMBRE_NEEDS_FILE(noise);
  TempFolder folder;
  const std::vector<float> in = ReadFile(noise).samples;
  for (const char* limit : {"0", "6"}) {
    const Ran ran = RunTimbre({"denoise", noise, "-m", checkpoint, "--sample-format", "f32", "--clip", "none",
                               "--atten-lim", limit, "-o", limit},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const std::vector<float> out = ReadFile(folder / limit / "white-48k.wav").samples;
    ASSERT_EQ(out.size(), in.size());
    if (limit[0] == '0') {
      EXPECT_GE(Agreement(in, out), kFloor);
      continue;
    }
    double before = 0, after = 0;
    for (size_t i = 0; i < in.size(); ++i) before += in[i] * in[i], after += out[i] * out[i];
    EXPECT_NEAR(10 * std::log10(after / before), -6, 0.5);
  }
}

TEST(DenoiseProgram, KeepsRateChannelsAndLength) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 0.7, 44100);
  testing::WriteTestWav(folder / "b.wav", 0.01, 8000);
  for (const auto& [format, ending] : {std::pair("m4a", ".m4a"), {"alac", ".m4a"}, {"flac", ".flac"}}) {
    const Ran ran = RunTimbre({"denoise", "a.wav", "b.wav", "-m", model, "--format", format, "--json", "report.json"},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const char* name : {"a", "b"}) {
      const AudioBuffer in = ReadFile(folder / (std::string(name) + ".wav"));
      const AudioBuffer out = ReadFile(folder / ("denoised/" + std::string(name) + ending));
      EXPECT_EQ(out.sample_rate, in.sample_rate) << format;
      EXPECT_EQ(out.channels, in.channels) << format;
      EXPECT_EQ(out.frames(), in.frames()) << format;
    }
  }
  const auto report = nlohmann::json::parse(testing::ReadAll(folder / "report.json"));
  EXPECT_EQ(report["model"]["architecture"], "deepfilternet");
  EXPECT_EQ(report["tracks"].size(), 2u);
  EXPECT_EQ(report["tracks"][0]["sample_rate"], 44100);
  EXPECT_EQ(report["tracks"][0]["channels"], 2);
}

TEST(DenoiseProgram, APartItsRateAndItsPeakAreWhatIsAskedFor) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 1, 44100);
  const Ran ran =
      RunTimbre({"denoise", "a.wav", "-m", model, "--start", "0.5", "--duration", "0:00.25", "--rate", "16000",
                 "--peak", "-12", "--mix", "0.5", "--sample-format", "f32", "--json", "report.json"},
                folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const AudioBuffer out = ReadFile(folder / "denoised/a.wav");
  EXPECT_EQ(out.sample_rate, 16000);
  EXPECT_EQ(out.frames(), 4000);
  float peak = 0;
  for (const float x : out.samples) peak = std::max(peak, std::abs(x));
  EXPECT_NEAR(peak, 0.2511886f, 1e-6);
  EXPECT_EQ(nlohmann::json::parse(testing::ReadAll(folder / "report.json"))["tracks"][0]["samples"], 11025);
}

TEST(DenoiseProgram, ADryRunSaysWhatARunWouldDo) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 1, 44100);
  const auto before = testing::FilesIn(folder.path());
  const Ran ran =
      RunTimbre({"denoise", "a.wav", "-m", model, "--format", "mp3", "--dry-run", "--json", "-"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(testing::FilesIn(folder.path()), before);
  const auto plan = nlohmann::json::parse(ran.out)["plan"];
  EXPECT_EQ(plan["tracks"][0]["outputs"], nlohmann::json({"denoised/a.mp3"}));
  EXPECT_EQ(plan["tracks"][0]["seconds"], 1);
  EXPECT_GT(plan["estimated_seconds"].get<double>(), 0);
  EXPECT_NEAR(plan["disk_mb"].get<double>(), 0.04, 1e-9);  // 320 kbit/s
  EXPECT_EQ(plan["tracks"][0]["skipped"], false);
  // Down a pipe it takes no disk, but waits for its gain.
  const Ran piped =
      RunTimbre({"denoise", "a.wav", "-m", model, "--stdout", "--dry-run", "--json", "plan.json"}, folder.path());
  ASSERT_EQ(piped.code, 0) << piped.err;
  const auto of_pipe = nlohmann::json::parse(testing::ReadAll(folder / "plan.json"))["plan"];
  EXPECT_EQ(of_pipe["disk_mb"], 0.0);
  EXPECT_NEAR(of_pipe["temporary_mb"].get<double>(), 44100 * 2 * 4 / 1e6, 1e-9);
}

// What would be left alone takes no time and no room.
TEST(DenoiseProgram, ADryRunKnowsWhatIsThere) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 0.2, 44100);
  testing::WriteTestWav(folder / "b.wav", 0.2, 44100);
  std::vector<std::string> words = {"denoise", "a.wav", "-m", model, "--skip-existing"};
  ASSERT_EQ(RunTimbre(words, folder.path()).code, 0);
  words.insert(words.end(), {"b.wav", "--dry-run", "--json", "-"});
  const Ran ran = RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto plan = nlohmann::json::parse(ran.out)["plan"];
  EXPECT_EQ(plan["tracks"][0]["skipped"], true);
  EXPECT_EQ(plan["tracks"][0]["estimated_seconds"], nullptr);
  EXPECT_EQ(plan["tracks"][1]["skipped"], false);
  EXPECT_EQ(plan["estimated_seconds"], plan["tracks"][1]["estimated_seconds"]);
  EXPECT_GT(plan["temporary_free_mb"].get<double>(), 0);
}

TEST(DenoiseProgram, NoShareOfTheCleanedIsTheInput) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 0.5, 44100);
  const Ran ran = RunTimbre({"denoise", "a.wav", "-m", model, "--mix", "0", "--clip", "none", "--sample-format", "f32"},
                            folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ReadFile(folder / "denoised/a.wav").samples, ReadFile(folder / "a.wav").samples);
}

TEST(DenoiseProgram, OneBadFileDoesNotKeepTheOthers) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  std::filesystem::create_directory(folder / "in");
  testing::WriteTestWav(folder / "in/good.wav", 0.2);
  testing::WriteAll(folder / "in/bad.wav", "RIFF, or so it says");
  const Ran ran = RunTimbre({"denoise", "in", "-m", model}, folder.path());
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("bad.wav"), std::string::npos) << ran.err;
  EXPECT_EQ(testing::FilesIn(folder / "denoised"), std::vector<std::string>{"good.wav"});
  const Ran again = RunTimbre({"denoise", "in/good.wav", "-m", model, "--skip-existing"}, folder.path());
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE((again.out + again.err).find("skipped"), std::string::npos);
}

TEST(DenoiseProgram, SaysWhatIsWrong) {
  TempFolder folder;
  const std::string model = MakeModel(folder);
  testing::WriteTestWav(folder / "a.wav", 0.1);
  const auto complaint = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "denoise");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0);
    return ran.err;
  };
  EXPECT_NE(complaint({"a.wav", "-m", "deepfilternet"}).find("deepfilternet3"), std::string::npos);
  EXPECT_NE(complaint({"a.wav", "-m", "htdemucs"}).find("does not clean speech"), std::string::npos);
  EXPECT_NE(complaint({"a.wav", "-m", "a.wav"}).find("a.wav"), std::string::npos);
  EXPECT_NE(complaint({"a.wav", "-m", model, "--mix", "2"}).find("--mix"), std::string::npos);
  EXPECT_NE(complaint({"-m", model}).find("--live"), std::string::npos);
  EXPECT_NE(complaint({"a.wav", "-m", model, "--live"}).find("--live"), std::string::npos);
  EXPECT_NE(complaint({"a.wav", "-m", model, "-o", ".", "--name", "a.wav"}).find("a.wav"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder / "a.wav"));
  EXPECT_FALSE(std::filesystem::exists(folder / "denoised"));
}

}  // namespace
}  // namespace timbre
