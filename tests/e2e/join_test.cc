// `timbre join`, on files.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/test_files.h"
#include "tests/e2e/program.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

std::string WriteFloats(const std::filesystem::path& path, const std::vector<float>& samples, int rate, int channels) {
  WriteOptions options;
  options.sample_format = SampleFormat::kF32;
  options.clip = ClipMode::kNone;
  auto writer = AudioWriter::Create(path.string(), options, rate, channels);
  EXPECT_TRUE(writer && (*writer)->Write(samples.data(), static_cast<int64_t>(samples.size()) / channels) &&
              (*writer)->Finish());
  return path.string();
}

Json Join(std::vector<std::string> words, const std::filesystem::path& folder) {
  words.insert(words.begin(), "join");
  words.insert(words.end(), {"--json", "-"});
  const Ran ran = RunTimbre(words, folder);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.code == 0 ? Json::parse(ran.out) : Json();
}

std::vector<float> Samples(const std::filesystem::path& path) {
  const auto audio = ReadAudioFile(path.string(), 10'000'000);
  EXPECT_TRUE(audio);
  return audio ? audio->samples : std::vector<float>();
}

// Where a tone of `hz` is how loud: its amplitude in samples [from, from + count) of a mono file.
double Amplitude(const std::vector<float>& x, int64_t from, int64_t count, double hz, int rate) {
  double re = 0, im = 0;
  for (int64_t n = 0; n < count; ++n) {
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(n) / rate;
    re += x[static_cast<size_t>(from + n)] * std::cos(phase);
    im += x[static_cast<size_t>(from + n)] * std::sin(phase);
  }
  return 2 * std::hypot(re, im) / static_cast<double>(count);
}

TEST(JoinCli, MixedRatesKeepTheirPitchAndMonoGoesToBothSides) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", SineFrames(22050, 1, 1000, 22050, 0.25f), 22050, 1);
  std::vector<float> stereo = SineFrames(48000, 2, 1000, 48000, 0.25f);
  WriteFloats(folder / "b.wav", stereo, 48000, 2);
  const Json report = Join({"a.wav", "b.wav", "-o", "out.wav", "--sample-format", "f32"}, folder.path());
  EXPECT_EQ(report["song"]["sample_rate"], 48000);
  EXPECT_EQ(report["song"]["channels"], 2);
  EXPECT_EQ(report["song"]["samples"], 96000);
  const std::vector<float> out = Samples(folder / "out.wav");
  ASSERT_EQ(out.size(), 2 * 96000u);
  std::vector<float> left, right;
  for (size_t i = 0; i < out.size(); i += 2) {
    left.push_back(out[i]);
    right.push_back(out[i + 1]);
  }
  EXPECT_NEAR(Amplitude(left, 4800, 38400, 1000, 48000), 0.25, 0.001);
  EXPECT_NEAR(Amplitude(right, 4800, 38400, 1000, 48000), 0.25, 0.001);
  EXPECT_NEAR(Amplitude(right, 52800, 38400, 2000, 48000), 0.25, 0.001);
}

TEST(JoinCli, EachFadeBeginsWithWhatWasMergedBefore) {
  const TempFolder folder;
  // The middle one is shorter than its two fades: the first must not be undone by a step.
  WriteFloats(folder / "a.wav", std::vector<float>(8000, 0.5f), 1000, 1);
  WriteFloats(folder / "b.wav", std::vector<float>(3000, 0.5f), 1000, 1);
  const Json report = Join({"a.wav", "b.wav", "a.wav", "--crossfade", "2", "--law", "linear", "--normalise", "none",
                            "-o", "out.wav", "--sample-format", "f32"},
                           folder.path());
  const std::vector<float> out = Samples(folder / "out.wav");
  ASSERT_EQ(out.size(), 8000u + 1000 + 7000);
  EXPECT_EQ(report["timeline"]["total"], 16000);
  EXPECT_EQ(report["timeline"]["clips"][2]["overlap"], 1000);
  for (const float sample : out) ASSERT_NEAR(sample, 0.5f, 1e-6);
}

TEST(JoinCli, TimesShownAreThoseOfTheFile) {
  const TempFolder folder;
  for (const char* name : {"a.wav", "b.wav", "c.wav"}) {
    WriteFloats(folder / name, NoiseFrames(10000, 1), 1000, 1);
  }
  const Json report = Join({"a.wav", "b.wav", "c.wav", "--crossfade", "2", "-o", "out.flac"}, folder.path());
  EXPECT_EQ(report["song"]["seconds"], 26.0);
  EXPECT_EQ(report["timeline"]["clips"][2]["start_seconds"], 16.0);
  EXPECT_EQ(Samples(folder / "out.flac").size(), 26000u);
}

TEST(JoinCli, AutoKeepsTheLevelOfALoopAfterItself) {
  const TempFolder folder;
  WriteFloats(folder / "loop.wav", SineFrames(8000, 1, 100, 8000, 0.5f), 8000, 1);
  const auto at_joint = [&](const char* law) {
    Join({"loop.wav", "loop.wav", "--crossfade", "0.5", "--law", law, "--normalise", "none", "-o", "out.wav",
          "--sample-format", "f32"},
         folder.path());
    return 20 * std::log10(Amplitude(Samples(folder / "out.wav"), 5600, 800, 100, 8000) / 0.5);
  };
  EXPECT_NEAR(at_joint("equal-power"), 3.01, 0.1);
  EXPECT_NEAR(at_joint("sqrt"), 3.01, 0.1);
  EXPECT_NEAR(at_joint("auto"), 0, 0.05);
  EXPECT_NEAR(at_joint("linear"), 0, 0.05);
}

TEST(JoinCli, EqualPowerKeepsTheLevelOfWhatIsNotAlike) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", NoiseFrames(16000, 1, 0.5f, 1), 8000, 1);
  WriteFloats(folder / "b.wav", NoiseFrames(16000, 1, 0.5f, 2), 8000, 1);
  for (const char* law : {"equal-power", "auto"}) {
    Join({"a.wav", "b.wav", "--crossfade", "1", "--law", law, "--normalise", "none", "-o", "out.wav", "--sample-format",
          "f32"},
         folder.path());
    const std::vector<float> out = Samples(folder / "out.wav");
    double inside = 0, before = 0;
    for (size_t i = 8000; i < 16000; ++i) inside += static_cast<double>(out[i]) * out[i];
    for (size_t i = 0; i < 8000; ++i) before += static_cast<double>(out[i]) * out[i];
    EXPECT_NEAR(10 * std::log10(inside / before), 0, 0.3) << law;
  }
}

TEST(JoinCli, PeaksAreOnlyTurnedDown) {
  const TempFolder folder;
  WriteFloats(folder / "quiet.wav", SineFrames(8000, 1, 100, 8000, 0.1f), 8000, 1);
  Json report = Join({"quiet.wav", "-o", "out.wav", "--sample-format", "f32"}, folder.path());
  EXPECT_EQ(report["song"]["gain_db"], 0.0);
  EXPECT_EQ(Samples(folder / "out.wav"), Samples(folder / "quiet.wav"));
  WriteFloats(folder / "loud.wav", SineFrames(8000, 1, 100, 8000, 1.5f), 8000, 1);
  report = Join({"loud.wav", "-o", "out.wav", "--ceiling", "-3"}, folder.path());
  EXPECT_NEAR(report["song"]["true_peak_dbtp"], -3, 1e-6);
}

TEST(JoinCli, SaysWhatIsCutOffAboveFullScale) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", SineFrames(48000, 1, 1000, 48000, 2.0f), 48000, 1);
  const Json cut = Join({"a.wav", "-o", "cut.wav", "--normalise", "none"}, folder.path());
  ASSERT_EQ(cut["song"]["warnings"].size(), 1u);
  EXPECT_NE(std::string(cut["song"]["warnings"][0]).find("6.0 dBTP, above full scale, where it is cut off"),
            std::string::npos)
      << cut["song"]["warnings"];
  const Json kept = Join({"a.wav", "-o", "kept.wav", "--normalise", "none", "--sample-format", "f32"}, folder.path());
  ASSERT_EQ(kept["song"]["warnings"].size(), 1u);
  EXPECT_EQ(std::string(kept["song"]["warnings"][0]).find("cut off"), std::string::npos);
  EXPECT_TRUE(Join({"a.wav", "-o", "down.wav"}, folder.path())["song"]["warnings"].empty());
}

TEST(JoinCli, ATimelinesOwnCrossfadeIsToldOf) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", SineFrames(48000, 1, 1000, 48000, 0.1f), 48000, 1);
  for (const auto& [crossfade, warnings] : {std::pair{"crossfade: 0.25\n", 1u}, {"", 0u}}) {
    WriteAll(folder / "song.yaml", std::string(crossfade) + "clips: [{file: a.wav}, {file: a.wav}]\n");
    const Json report = Join({"--timeline", "song.yaml", "--crossfade", "0.5", "-o", "out.wav"}, folder.path());
    EXPECT_EQ(report["song"]["warnings"].size(), warnings) << report["song"];
    EXPECT_EQ(report["song"]["seconds"], warnings == 1 ? 1.75 : 1.5);
  }
}

TEST(JoinCli, TheRateIsTheFiles) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", SineFrames(44100, 1, 1000, 44100, 0.1f), 44100, 1);
  const Json report = Join({"a.wav", "-o", "out.opus"}, folder.path());
  EXPECT_EQ(report["song"]["sample_rate"], 48000);
  EXPECT_EQ(report["song"]["samples"], 48000);
  const Ran ran = RunTimbre({"join", "a.wav", "-o", "out.mp3", "--sample-rate", "192000"}, folder.path());
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("--sample-rate 192000: mp3 files are not of that rate"), std::string::npos) << ran.err;
  // A server's project is exported at its own rate; where the format does not know that, the report tells the file's.
  WriteAll(folder / "song.yaml", "clips: [{file: a.wav}]\n");
  const Json project = Join({"--timeline", "song.yaml", "-o", "out.opus", "--sample-rate", "44100"}, folder.path());
  EXPECT_EQ(project["song"]["sample_rate"], 48000);
  EXPECT_EQ(project["song"]["samples"], 48000);
}

TEST(JoinCli, SilenceHasNoLevel) {
  const TempFolder folder;
  WriteFloats(folder / "a.wav", std::vector<float>(48000), 48000, 1);
  const Ran ran = RunTimbre({"join", "a.wav", "-o", "out.wav"}, folder.path());
  EXPECT_EQ(ran.out, "out.wav: 1.0 s of 1 clip at 48000 Hz, - LUFS, true peak - dBTP\n") << ran.err;
}

TEST(JoinCli, ATimelineFileTrimsAndSetsLevels) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "songs");
  WriteFloats(folder / "songs/a.wav", SineFrames(8000, 1, 100, 8000, 0.2f), 8000, 1);
  WriteAll(folder / "songs/song.yaml",
           "crossfade: 0\nclips:\n  - {file: a.wav, from: 0.25, length: 0.5, gain_db: 6.0206}\n"
           "  - {file: a.wav, mute: true, length: 0.125}\n  - {file: a.wav, length: 0.25, crossfade: 0.0625}\n");
  const Json report =
      Join({"--timeline", "songs/song.yaml", "--normalise", "none", "-o", "out.wav", "--sample-format", "f32"},
           folder.path());
  const std::vector<float> out = Samples(folder / "out.wav"), a = Samples(folder / "songs/a.wav");
  ASSERT_EQ(out.size(), 4000u + 1000 + 2000 - 500);
  EXPECT_EQ(report["song"]["samples"], 6500);
  for (size_t i = 0; i < 4000; ++i) ASSERT_NEAR(out[i], 2 * a[2000 + i], 1e-5);
  for (size_t i = 4000; i < 4500; ++i) ASSERT_EQ(out[i], 0);
  for (size_t i = 5000; i < 6500; ++i) ASSERT_EQ(out[i], a[i - 4500]);
}

TEST(JoinCli, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  const std::string a = WriteFloats(folder / "a.wav", std::vector<float>(8000, 0.1f), 8000, 1);
  const auto refused = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "join");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0);
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  };
  refused({}, "missing");
  refused({"a.wav", "gone.wav"}, "gone.wav");
  refused({"a.wav", "-o", "a.wav"}, "over an input");
  refused({"a.wav", "-o", "out.xyz"}, "xyz");
  WriteAll(folder / "t.yaml", "clips:\n  - {file: a.wav, from: 2}\n");
  refused({"--timeline", "t.yaml"}, "a.wav: a clip must be a part of its sound");
  WriteAll(folder / "t.yaml", "clips:\n  - {fil: a.wav}\n");
  refused({"--timeline", "t.yaml"}, "t.yaml: clips[0]: there is no option 'fil'");
  WriteAll(folder / "t.yaml", "clip:\n  - {file: a.wav}\n");
  refused({"--timeline", "t.yaml"}, "Did you mean 'clips'?");
  WriteAll(folder / "t.yaml", "clips: []\n");
  refused({"--timeline", "t.yaml"}, "t.yaml: clips");
  refused({"a.wav", "--timeline", "t.yaml"}, "takes the place");
  WriteAll(folder / "text.wav", "this is no audio\n");
  refused({"a.wav", "text.wav"}, "text.wav");
  EXPECT_EQ(FilesIn(folder.path()), (std::vector<std::string>{"a.wav", "t.yaml", "text.wav"}));
}

}  // namespace
}  // namespace timbre::testing
