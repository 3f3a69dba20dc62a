// `timbre loudness`, on files.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/test_files.h"
#include "tests/e2e/program.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

// Five seconds of 1 kHz in both channels, peaking at `peak`, at 48 kHz.
std::string WriteTone(const std::filesystem::path& path, float peak) {
  std::vector<float> tone(2 * 5 * 48000);
  const std::vector<float> period = SineFrames(48, 1, 1000, 48000, peak);
  for (size_t n = 0; n < tone.size() / 2; ++n) tone[2 * n] = tone[2 * n + 1] = period[n % 48];
  WriteOptions options;
  options.sample_format = SampleFormat::kF32;
  options.clip = ClipMode::kNone;
  auto writer = AudioWriter::Create(path.string(), options, 48000, 2);
  EXPECT_TRUE(writer && (*writer)->Write(tone.data(), 5 * 48000) && (*writer)->Finish());
  return path.string();
}

TEST(LoudnessCli, MeasuresFiles) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f);
  const Ran ran = RunTimbre({"loudness", tone, "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json track = Json::parse(ran.out)["tracks"][0];
  EXPECT_NEAR(track["integrated_lufs"], -20, 0.1);
  EXPECT_NEAR(track["short_term_max_lufs"], -20, 0.1);
  EXPECT_NEAR(track["true_peak_dbtp"], -20, 0.1);
  EXPECT_NEAR(track["range_lu"], 0, 0.1);
  EXPECT_EQ(track["samples"], 5 * 48000);
  const Ran table = RunTimbre({"loudness", tone});
  EXPECT_NE(table.out.find("-20.0"), std::string::npos) << table.out;
  EXPECT_EQ(FilesIn(folder.path()), std::vector<std::string>{"tone.wav"});
}

TEST(LoudnessCli, MeasuresAPart) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f);
  const Ran ran = RunTimbre({"loudness", tone, "--start", "1", "--duration", "2", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["tracks"][0]["samples"], 2 * 48000);
  EXPECT_NE(RunTimbre({"loudness", tone, "-o", "out"}).err.find("without --normalise"), std::string::npos);
}

TEST(LoudnessCli, NormalisesToATarget) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f);
  const std::string out = (folder / "out").string();
  ASSERT_EQ(RunTimbre({"loudness", tone, "--normalise", "-23", "-o", out}).code, 0);
  const Ran ran = RunTimbre({"loudness", out + "/tone.wav", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NEAR(Json::parse(ran.out)["tracks"][0]["integrated_lufs"], -23, 0.05);
  EXPECT_EQ(Json::parse(ran.out)["tracks"][0]["samples"], 5 * 48000);
}

// What was left alone was not measured: no gain is claimed of it.
TEST(LoudnessCli, OfWhatIsSkippedNothingIsClaimed) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f), out = (folder / "out").string();
  const std::vector<std::string> words = {"loudness", tone, "--normalise", "-23", "-o", out, "--skip-existing",
                                          "--json",   "-"};
  EXPECT_NEAR(Json::parse(RunTimbre(words).out)["tracks"][0]["gain_db"], -3, 0.05);
  const Json track = Json::parse(RunTimbre(words).out)["tracks"][0];
  EXPECT_EQ(track["skipped"], true);
  EXPECT_EQ(track["gain_db"], nullptr);
  EXPECT_EQ(track["missed_lu"], nullptr);
}

TEST(LoudnessCli, SaysByHowMuchAPeakKeepsItFromTheTarget) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f);
  const Ran ran = RunTimbre(
      {"loudness", tone, "--normalise", "-1", "--ceiling", "-3", "-o", (folder / "out").string(), "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json track = Json::parse(ran.out)["tracks"][0];
  EXPECT_NEAR(track["missed_lu"], -2, 0.1);
  EXPECT_NE(ran.err.find("2.0 LU below the target"), std::string::npos) << ran.err;
  const Ran again = RunTimbre({"loudness", (folder / "out/tone.wav").string(), "--json", "-"});
  EXPECT_LE(Json::parse(again.out)["tracks"][0]["true_peak_dbtp"], -2.99);
}

TEST(LoudnessCli, SilenceHasNoLoudnessAndIsWrittenAsItIs) {
  const TempFolder folder;
  const std::string silence = WriteTone(folder / "silence.wav", 0);
  const Ran ran =
      RunTimbre({"loudness", silence, "--normalise", "-14", "-o", (folder / "out").string(), "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(Json::parse(ran.out)["tracks"][0]["integrated_lufs"].is_null());
  EXPECT_NE(ran.err.find("too quiet"), std::string::npos) << ran.err;
  const auto written = ReadAudioFile((folder / "out/silence.wav").string(), 1'000'000);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->samples, std::vector<float>(2 * 5 * 48000));
}

TEST(LoudnessCli, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  const std::string tone = WriteTone(folder / "tone.wav", 0.1f);
  const std::string before = ReadAll(tone);
  EXPECT_EQ(RunTimbre({"loudness", tone, "--normalise", "5"}).code, 2);
  EXPECT_EQ(RunTimbre({"loudness", tone, "--format", "flac"}).code, 2);  // without effect
  // Over the input.
  EXPECT_EQ(RunTimbre({"loudness", tone, "--normalise", "-14", "-o", folder.path().string()}).code, 2);
  EXPECT_EQ(ReadAll(tone), before);
  WriteAll(folder / "text.wav", "this is no audio\n");
  const Ran text = RunTimbre({"loudness", (folder / "text.wav").string()});
  EXPECT_EQ(text.code, 1);
  EXPECT_NE(text.err.find("text.wav"), std::string::npos) << text.err;
  EXPECT_EQ(FilesIn(folder.path()), (std::vector<std::string>{"text.wav", "tone.wav"}));
}

}  // namespace
}  // namespace timbre::testing
