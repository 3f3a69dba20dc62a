// `timbre master`, on files.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "audio/test_files.h"
#include "tests/e2e/program.h"
#include "tests/support/true_peak.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

std::string WriteFloats(const std::filesystem::path& path, const std::vector<float>& samples, int rate, int channels) {
  WriteOptions options;
  options.sample_format = SampleFormat::kF32;
  options.clip = ClipMode::kNone;
  options.tags.text = {{"title", "A song"}};
  auto writer = AudioWriter::Create(path.string(), options, rate, channels);
  EXPECT_TRUE(writer && (*writer)->Write(samples.data(), static_cast<int64_t>(samples.size()) / channels) &&
              (*writer)->Finish());
  return path.string();
}

// Noise that swells twice a second, four seconds of it.
std::vector<float> Music(int rate, int channels, float peak) {
  std::vector<float> x = NoiseFrames(4 * rate + 123, channels, peak);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] *= 0.3f + 0.7f * std::abs(std::sin(6.28f * static_cast<float>(i / channels) / static_cast<float>(rate)));
  }
  return x;
}

Json Master(std::vector<std::string> words) {
  words.insert(words.begin(), "master");
  words.insert(words.end(), {"--json", "-"});
  const Ran ran = RunTimbre(words);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.code == 0 ? Json::parse(ran.out)["tracks"][0] : Json();
}

// Of the louder channel, by a meter that is not the library's.
double TruePeakDb(const std::string& path) {
  const auto audio = ReadAudioFile(path, 10'000'000);
  EXPECT_TRUE(audio);
  double peak = 0;
  for (int c = 0; c < audio->channels; ++c) {
    std::vector<float> plane;
    for (int64_t i = 0; i < audio->frames(); ++i) plane.push_back(audio->samples[i * audio->channels + c]);
    float largest = 0;
    for (const float sample : plane) largest = std::max(largest, std::abs(sample));
    peak = std::max(peak, PeakBetweenSamples(plane, 0.8 * largest));
  }
  return 20 * std::log10(peak);
}

TEST(MasterCli, HoldsTheCeilingMeetsTheLoudnessAndKeepsTheLength) {
  const TempFolder folder;
  const std::string input = WriteFloats(folder / "loud.wav", Music(44100, 2, 1.5f), 44100, 2);
  const std::string before = ReadAll(input), out = (folder / "out").string();
  const Json track =
      Master({input, "--preset", "radio_ready", "--loudness", "-9", "-o", out, "--sample-format", "s24"});
  EXPECT_EQ(track["samples"], 4 * 44100 + 123);
  EXPECT_LE(track["rounds"], 4);
  EXPECT_NEAR(track["after"]["integrated_lufs"], -9, 0.1);
  EXPECT_LE(TruePeakDb(out + "/loud.wav"), -1);
  const auto written = ReadAudioFile(out + "/loud.wav", 10'000'000);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->frames(), 4 * 44100 + 123);
  // The report is what a measurement of the file says.
  const Ran measured = RunTimbre({"loudness", out + "/loud.wav", "--json", "-"});
  EXPECT_NEAR(Json::parse(measured.out)["tracks"][0]["integrated_lufs"], -9, 0.1);
  EXPECT_EQ(ReadAll(input), before);
}

TEST(MasterCli, NothingExceedsTheCeilingBySamplesOrBetweenThem) {
  const TempFolder folder;
  WriteAll(folder / "limiter.yaml", "limiter: {ceiling_db: -0.1, release_ms: 20}\n");
  for (const PeakCase& one : WorstCases()) {
    const std::string input = WriteFloats(folder / "in.wav", one.samples, 48000, 1), out = (folder / "out").string();
    for (const char* ceiling : {"-1", "-0.1"}) {
      const Json track =
          Master({input, "--chain", (folder / "limiter.yaml").string(), "--ceiling", ceiling, "-o", out});
      EXPECT_LE(TruePeakDb(out + "/in.wav"), std::stod(ceiling)) << one.name;
      EXPECT_GT(TruePeakDb(out + "/in.wav"), std::stod(ceiling) - 0.1) << one.name;
      const Ran measured = RunTimbre({"loudness", out + "/in.wav", "--json", "-"});
      EXPECT_LE(Json::parse(measured.out)["tracks"][0]["true_peak_dbtp"], std::stod(ceiling)) << one.name;
    }
  }
}

TEST(MasterCli, SaysByHowMuchItMissedTheLoudness) {
  const TempFolder folder;
  std::vector<float> clicks(5 * 44100);
  for (size_t i = 0; i < clicks.size(); i += 4410) clicks[i] = 0.9f;
  const std::string input = WriteFloats(folder / "clicks.wav", clicks, 44100, 1);
  const Ran ran = RunTimbre({"master", input, "--loudness", "-9", "-o", (folder / "out").string(), "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json track = Json::parse(ran.out)["tracks"][0];
  EXPECT_LT(track["missed_lu"], -3);
  EXPECT_NE(ran.err.find("below the wanted loudness: the limiter would have to take more than 6 dB"), std::string::npos)
      << ran.err;
  EXPECT_LE(TruePeakDb((folder / "out/clicks.wav").string()), -1);
  EXPECT_LT(track["limited_db"], 6.6);
}

TEST(MasterCli, AFlatChainChangesNothingAndSilenceStaysSilent) {
  const TempFolder folder;
  WriteAll(folder / "flat.yaml", "bands: [{type: peak, hz: 100, db: 0}]\n");
  const std::vector<float> music = Music(48000, 1, 0.3f);
  const std::string input = WriteFloats(folder / "in.wav", music, 48000, 1);
  const std::string out = (folder / "out").string();
  Master({input, "--chain", (folder / "flat.yaml").string(), "-o", out, "--sample-format", "f32"});
  EXPECT_EQ(ReadAudioFile(out + "/in.wav", 10'000'000)->samples, music);
  const std::string silence = WriteFloats(folder / "silence.wav", std::vector<float>(96000), 48000, 2);
  const Json track = Master({silence, "--loudness", "-14", "-o", out, "--sample-format", "f32"});
  EXPECT_NE(track["warning"].get<std::string>().find("too quiet"), std::string::npos);
  EXPECT_EQ(ReadAudioFile(out + "/silence.wav", 10'000'000)->samples, std::vector<float>(96000));
}

TEST(MasterCli, SaysThatNothingHoldsTheCeiling) {
  const TempFolder folder;
  WriteAll(folder / "bands.yaml", "bands: [{type: peak, hz: 1000, db: 1}]\n");
  const std::string input = WriteFloats(folder / "in.wav", Music(44100, 1, 0.5f), 44100, 1);
  const auto warning = [&](const std::string& ceiling) {
    return Master({input, "--chain", (folder / "bands.yaml").string(), "--ceiling", ceiling, "-o",
                   (folder / "out").string()})["warning"];
  };
  EXPECT_EQ(warning("-1"), nullptr);
  const Json told = warning("-20");
  ASSERT_TRUE(told.is_string());
  EXPECT_NE(told.get<std::string>().find("above --ceiling: the chain has no limiter"), std::string::npos);
}

TEST(MasterCli, TheClassicEngineIsLouderAtALowerThreshold) {
  const TempFolder folder;
  const std::string input = WriteFloats(folder / "in.wav", Music(44100, 2, 0.05f), 44100, 2);
  const auto loudness = [&](const char* engine, const char* preset) {
    return Master({input, "--engine", engine, "--preset", preset, "-o",
                   (folder / "out").string()})["after"]["integrated_lufs"]
        .get<double>();
  };
  // What its presets are known for, and what the studio engine does not repeat.
  EXPECT_GT(loudness("classic", "classical_concert"), loudness("classic", "radio_ready") + 0.5);
  EXPECT_LT(loudness("studio", "classical_concert"), loudness("studio", "radio_ready") + 0.5);
}

TEST(MasterCli, WritesFormatsTagsAndStreams) {
  const TempFolder folder;
  const std::string input = WriteFloats(folder / "in.wav", Music(44100, 2, 0.5f), 44100, 2);
  const std::string out = (folder / "out").string();
  Master({input, "--format", "flac", "-o", out});
  const auto reader = AudioReader::Open(out + "/in.flac");
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->info().tags.text, (std::vector<std::pair<std::string, std::string>>{{"title", "A song"}}));
  const Ran stream = RunTimbre({"master", input, "--stdout"});
  ASSERT_EQ(stream.code, 0) << stream.err;
  const auto heard = AudioReader::OpenMemory(std::as_bytes(std::span(stream.out)), "stream.wav");
  ASSERT_TRUE(heard) << heard.error().message;
  Master({input, "-o", out});
  std::vector<float> samples(2 * 200000);
  const auto frames = (*heard)->Read(samples.data(), 200000);
  samples.resize(static_cast<size_t>(2 * *frames));
  EXPECT_EQ(samples, ReadAudioFile(out + "/in.wav", 10'000'000)->samples);
}

TEST(MasterCli, AskedAgainItBeginsWithTheOriginalAgain) {
  const TempFolder folder;
  const std::string input = WriteFloats(folder / "in.wav", Music(44100, 2, 0.5f), 44100, 2);
  const std::string out = (folder / "out").string();
  Master({input, "-o", out});
  const std::string once = ReadAll(out + "/in.wav");
  Master({input, "-o", out});
  EXPECT_EQ(ReadAll(out + "/in.wav"), once);
}

TEST(MasterCli, ListsPresetsAndRefusesWhatMakesNoSense) {
  const Ran list = RunTimbre({"master", "--list-presets"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 32);
  const TempFolder folder;
  const std::string input = WriteFloats(folder / "in.wav", Music(44100, 1, 0.5f), 44100, 1);
  const auto refused = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "master");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0);
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  };
  refused({}, "missing");
  refused({input, "--preset", "rock"}, "there is no preset 'rock'");
  refused({input, "--chain", "none.yaml"}, "none.yaml");
  refused({input, "--engine", "classic", "--ceiling", "-2"}, "classic");
  refused({input, "-o", folder.path().string()}, "over an input");
  WriteAll(folder / "bad.yaml", "bands: [{type: peak, hz: loud}]\n");
  refused({input, "--chain", "bad.yaml"}, "bands[0]: 'hz' takes a number");
  WriteAll(folder / "text.wav", "this is no audio\n");
  refused({"text.wav"}, "text.wav");
  EXPECT_EQ(FilesIn(folder.path()), (std::vector<std::string>{"bad.yaml", "in.wav", "text.wav"}));
}

}  // namespace
}  // namespace timbre::testing
