// timbre combine --mix: what a mixer makes of its tracks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "audio/decode.h"
#include "audio/encode.h"
#include "dsp/pitch_shift.h"
#include "tests/e2e/program.h"

namespace timbre::testing {
namespace {

constexpr int kRate = 44100;

// Left and right of a file that WriteTestWav made.
std::vector<double> Samples(const std::string& wav) {
  std::vector<double> samples;
  for (size_t at = 44; at + 1 < wav.size(); at += 2) {
    int16_t value = 0;
    std::memcpy(&value, wav.data() + at, 2);
    samples.push_back(value / 32768.0);
  }
  return samples;
}

std::vector<float> Floats(const std::string& wav) {
  const size_t at = wav.find("data") + 8;
  std::vector<float> samples((wav.size() - at) / 4);
  std::memcpy(samples.data(), wav.data() + at, samples.size() * 4);
  return samples;
}

double Rises(const std::vector<float>& samples) {
  double rises = 0;
  for (size_t i = 1; i < samples.size(); ++i) rises += samples[i - 1] < 0 && samples[i] >= 0;
  return rises;
}

TEST(CombineMix, IsByGainsAndPans) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5, kRate);
  WriteTestWav(folder / "b.wav", 0.4, kRate);
  const Ran ran = RunTimbre({"combine", "--mix", "a.wav", "b.wav", "--gains=-6,+3", "--pans=-0.5,1", "--start", "0.1",
                             "--duration", "0.35", "--sample-format", "f32", "-o", "mix.wav"},
                            folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::vector<double> a = Samples(ReadAll(folder / "a.wav")), b = Samples(ReadAll(folder / "b.wav"));
  const std::vector<float> mix = Floats(ReadAll(folder / "mix.wav"));
  const size_t begin = kRate / 10, frames = kRate * 35 / 100;
  ASSERT_EQ(mix.size(), 2 * frames);
  const double first = std::pow(10, -6 / 20.0), second = std::pow(10, 3 / 20.0);
  const double near = std::cos(M_PI / 4), far = std::sin(M_PI / 4);
  double worst = 0;
  for (size_t i = 0; i < frames; ++i) {
    const size_t at = 2 * (begin + i);
    const auto of = [](const std::vector<double>& samples, size_t place) {
      return place < samples.size() ? samples[place] : 0.0;
    };
    // Half to the left: all of the left stays, and the right goes over in part. Hard to the right: all is there.
    const double left = first * (a[at] + near * a[at + 1]);
    const double right = first * far * a[at + 1] + second * (of(b, at) + of(b, at + 1));
    worst = std::max({worst, std::abs(mix[2 * i] - left), std::abs(mix[2 * i + 1] - right)});
  }
  EXPECT_LT(worst, 1e-6);
  // One alone, as it is.
  ASSERT_EQ(RunTimbre({"combine", "--mix", "b.wav", "--sample-format", "f32", "-o", "b2.wav"}, folder.path()).code, 0);
  const std::vector<float> same = Floats(ReadAll(folder / "b2.wav"));
  ASSERT_EQ(same.size(), b.size());
  for (size_t i = 0; i < b.size(); ++i) ASSERT_EQ(same[i], static_cast<float>(b[i])) << i;
}

// What is transposed goes through the shifter together, and what is not is where it was; all is as long as before.
TEST(CombineMix, TransposesSomeOfItsInputs) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5, kRate);
  WriteTestWav(folder / "b.wav", 0.4, kRate);
  WriteTestWav(folder / "drums.wav", 0.45, kRate);
  const Ran ran = RunTimbre({"combine", "--mix", "a.wav", "drums.wav", "b.wav", "--semitones=-5,0,-5", "--gains=-6,3,0",
                             "--sample-format", "f32", "--clip", "none", "-o", "mix.wav"},
                            folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::vector<double> a = Samples(ReadAll(folder / "a.wav")), b = Samples(ReadAll(folder / "b.wav")),
                            drums = Samples(ReadAll(folder / "drums.wav"));
  const std::vector<float> mix = Floats(ReadAll(folder / "mix.wav"));
  ASSERT_EQ(mix.size(), a.size());
  const auto frames = static_cast<int64_t>(a.size()) / 2;
  std::vector<float> shifted(a.size() + 2 * PitchShifter::kLatency);
  for (size_t i = 0; i < a.size(); ++i) {
    shifted[i] = static_cast<float>(std::pow(10, -6 / 20.0) * a[i] + (i < b.size() ? b[i] : 0));
  }
  PitchShifter(std::exp2(-5 / 12.0), 2).Process(shifted.data(), frames + PitchShifter::kLatency);
  for (size_t i = 0; i < mix.size(); ++i) {
    const double still = i < drums.size() ? std::pow(10, 3 / 20.0) * drums[i] : 0;
    ASSERT_NEAR(mix[i], shifted[i + 2 * PitchShifter::kLatency] + still, 1e-5) << i;
  }
}

TEST(CombineMix, IsAsFastAsAsked) {
  TempFolder folder;
  std::vector<float> tone;
  for (int i = 0; i < kRate; ++i) tone.push_back(0.5f * static_cast<float>(std::sin(2 * M_PI * 440 * i / kRate)));
  {
    const auto writer = AudioWriter::Create((folder / "a.wav").string(),
                                            {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, kRate, 1);
    ASSERT_TRUE(writer && (*writer)->Write(tone.data(), kRate) && (*writer)->Finish());
  }
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"combine", "--mix", "a.wav", "--sample-format", "f32", "-o", "mix.wav"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Floats(ReadAll(folder / "mix.wav"));
  };
  const std::vector<float> plain = run({});
  EXPECT_EQ(plain, tone);
  for (const double speed : {0.25, 0.8, 2.0, 4.0}) {
    const std::vector<float> kept = run({"--speed", std::to_string(speed)});
    const std::vector<float> tape = run({"--speed", std::to_string(speed), "--tape"});
    EXPECT_EQ(kept.size(), tape.size());
    EXPECT_NEAR(static_cast<double>(kept.size()), static_cast<double>(plain.size()) / speed, 4) << speed;
    EXPECT_NEAR(Rises(tape), Rises(plain), 3) << speed << ": as many waves in another time";
    EXPECT_NEAR(Rises(kept) * speed, Rises(plain), 0.02 * Rises(plain) + 2) << speed << ": the pitch of before";
  }
  EXPECT_EQ(run({"--speed", "1"}), plain);
}

// A mono part keeps its power wherever it is, beside stereo ones too, and stays as it is in the middle.
TEST(CombineMix, MovesMonoAtEqualPower) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.1, kRate);
  ASSERT_EQ(RunTimbre({"combine", "--mix", "a.wav", "--gains=-100", "-o", "silence.wav"}, folder.path()).code, 0);
  std::vector<int16_t> tone(4410);
  for (size_t i = 0; i < tone.size(); ++i)
    tone[i] = static_cast<int16_t>(8000 * std::sin(0.1 * static_cast<double>(i)));
  std::string wav = ReadAll(folder / "a.wav").substr(0, 44) +
                    std::string(reinterpret_cast<const char*>(tone.data()), 2 * tone.size());
  // The header of one channel.
  const auto put = [&](size_t at, uint32_t value, size_t bytes) { std::memcpy(wav.data() + at, &value, bytes); };
  put(4, static_cast<uint32_t>(wav.size() - 8), 4), put(40, static_cast<uint32_t>(wav.size() - 44), 4);
  put(22, 1, 2), put(28, kRate * 2, 4), put(32, 2, 2);
  WriteAll(folder / "mono.wav", wav);
  for (const double pan : {-1.0, -0.3, 0.0, 0.5, 1.0}) {
    const Ran ran = RunTimbre({"combine", "--mix", "mono.wav", "silence.wav", "--pans=" + std::to_string(pan) + ",0",
                               "--sample-format", "f32", "--clip", "none", "-o", "mix.wav"},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const std::vector<float> mix = Floats(ReadAll(folder / "mix.wav"));
    ASSERT_EQ(mix.size(), 2 * tone.size());
    const double left = std::sqrt(2) * std::cos((pan + 1) * M_PI / 4),
                 right = std::sqrt(2) * std::sin((pan + 1) * M_PI / 4);
    double worst = 0;
    for (size_t i = 0; i < tone.size(); ++i) {
      const double sample = tone[i] / 32768.0;
      worst = std::max({worst, std::abs(mix[2 * i] - left * sample), std::abs(mix[2 * i + 1] - right * sample)});
    }
    EXPECT_LT(worst, 2e-5) << pan;
  }
}

// A mix that is too loud is lowered as a whole, and says so.
TEST(CombineMix, TellsOfWhatItLowers) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5, kRate);
  const auto run = [&](const std::string& clip, const std::string& gain) {
    const Ran ran = RunTimbre({"combine", "--mix", "a.wav", "a.wav", "--gains=" + gain + "," + gain, "--clip", clip,
                               "--sample-format", "f32", "--json", "report.json", "-o", "mix.wav"},
                              folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  };
  EXPECT_EQ(run("none", "6").find("lowered"), std::string::npos);
  const std::vector<float> loud = Floats(ReadAll(folder / "mix.wav"));
  EXPECT_NE(run("rescale", "6").find("lowered by "), std::string::npos);
  const std::vector<float> lowered = Floats(ReadAll(folder / "mix.wav"));
  const double gain = nlohmann::json::parse(ReadAll(folder / "report.json"))["combined"]["gain"];
  EXPECT_LT(gain, 1);
  ASSERT_EQ(lowered.size(), loud.size());
  for (size_t i = 0; i < loud.size(); ++i) ASSERT_NEAR(lowered[i], gain * loud[i], 1e-6) << i;
  EXPECT_EQ(run("rescale", "-20").find("lowered"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(ReadAll(folder / "report.json"))["combined"]["gain"], 1.0);
}

TEST(Combine, TellsOfTheFileThatWasMade) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5, kRate);
  for (const char* command : {"combine", "join"}) {
    const Ran ran = RunTimbre({command, "a.wav", "a.wav", "-o", "out.opus", "--json", "report.json"}, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out.find(" at 48000 Hz"), std::string::npos) << ran.out;
    const auto report = nlohmann::json::parse(ReadAll(folder / "report.json"));
    const auto& told = report[report.contains("song") ? "song" : "combined"];
    const auto made = ReadAudioFile((folder / "out.opus").string(), 1 << 20);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(told["sample_rate"], 48000);
    EXPECT_EQ(told["samples"], made->frames()) << command;
  }
}

// An input that ends early is silent from there: nobody should have to hear it to find out.
TEST(Combine, TellsOfInputsThatAreDamaged) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5, kRate);
  const std::string whole = ReadAll(folder / "a.wav");
  WriteAll(folder / "cut.wav", whole.substr(0, whole.size() / 3));
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--mix"}}) {
    std::vector<std::string> words = {"combine", "a.wav", "cut.wav", "-o", "out.wav", "--json", "report.json"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = RunTimbre(words, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.err.find("warning: cut.wav: "), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("warning: a.wav: "), std::string::npos) << ran.err;
    const auto warnings = nlohmann::json::parse(ReadAll(folder / "report.json"))["combined"]["warnings"];
    ASSERT_EQ(warnings.size(), 1u);
  }
}

TEST(CombineMix, RefusesWhatIsNone) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.1, kRate);
  const std::vector<std::pair<std::vector<std::string>, const char*>> rows = {
      {{"--gains", "3,3"}, "--mix is not given"},
      {{"--mix", "--algorithm", "max_fft"}, "--mix adds its inputs"},
      {{"--mix", "--gains=1"}, "one number for each input: 2, not 1"},
      {{"--mix", "--pans=0,1.5"}, "-1 to 1"},
      {{"--mix", "--gains=0,loud"}, "'loud'"},
      {{"--mix", "--gains=0,nan"}, "'nan'"},
      {{"--mix", "--gains=0,+-3"}, "'+-3'"},
      {{"--mix", "--gains=0,+"}, "'+'"},
      {{"--mix", "--semitones=0,13"}, "-12 to 12"},
      {{"--mix", "--semitones=3"}, "one number for each input: 2, not 1"},
      {{"--semitones=3,0"}, "--mix is not given"},
      {{"--mix", "--speed", "5"}, "--speed"},
      {{"--speed", "0.5"}, "--mix is not given"},
      {{"--mix", "--tape"}, "--speed is not given"},
      {{"--mix", "--start", "soon"}, "soon"},
  };
  for (const auto& [more, part] : rows) {
    std::vector<std::string> words = {"combine", "a.wav", "a.wav", "-o", "mix.wav"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(FilesIn(folder.path()), std::vector<std::string>{"a.wav"});
  }
  // Of a mix one file is enough.
  std::vector<std::string> many(65, "a.wav");
  many.insert(many.begin(), {"combine", "--mix", "-o", "mix.wav"});
  EXPECT_NE(RunTimbre(many, folder.path()).err.find("combine --mix takes 1 to 64 files; there are 65."),
            std::string::npos);
}

}  // namespace
}  // namespace timbre::testing
