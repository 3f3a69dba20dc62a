// timbre song, as a user runs it: a folder laid out as the official one, with weights by formula.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "audio/decode.h"
#include "formats/formula_weights.h"
#include "formats/safetensors.h"
#include "models/released_networks.h"
#include "pipelines/song/style_model.h"
#include "tests/parity/song_support.h"
#include "tests/support/environment.h"
#include "tests/support/job_pair.h"
#include "tests/support/places.h"
#include "tests/support/real_language_model.h"

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

  // Without a length the song is as long as the noise that it is made of.
  const std::string path = SongCase("e2e-tiny.safetensors");
  const Ran whole = RunTimbre({"song", "-m", model, "--tokens", path, "--style", path, "--noise", path, "--steps", "6",
                               "--sample-format", "f32", "-o", "whole.wav"},
                              folder.path());
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(Samples(folder / "whole.wav", 2), Samples(folder / "song.wav", 2));
}

TEST(SongProgram, GivesTheReferencesSongFromTheOfficialFiles) {
  const std::string model = testing::SharedPath("goldens/diffrhythm/tiny-ckpt");
  TIMBRE_NEED_SHARED(model);
  TempFolder folder;
  const Ran ran = RunTimbre(Words(model), folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  CheckAudio(Samples(folder / "song.wav", 2));
}

TEST(SongProgram, AJobFromAFileGivesTheSame) {
  const std::string path = SongCase("e2e-tiny.safetensors");
  testing::ExpectSame({{"song", "-m", "model", "--tokens", path, "--style", path, "--noise", path, "--steps", "2",
                        "--seconds", "1", "-o", "song.flac"},
                       {{"kind", "song"},
                        {"options",
                         {{"model", "model"},
                          {"tokens", path},
                          {"style", path},
                          {"noise", path},
                          {"steps", 2},
                          {"seconds", 1},
                          {"output", "song.flac"}}}}},
                      [](const TempFolder& folder) { MakeFolder(folder); });
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

TEST(SongProgram, WritesAacAndAlac) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  const auto make = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"song",      "-m", model,     "--tokens", path,     "--style", path,
                                   "--seconds", "1",  "--steps", "3",        "--seed", "7"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = RunTimbre(words, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
  };
  make({"-o", "song.wav"});
  make({"-o", "aac.m4a", "--bitrate", "192"});
  make({"-o", "alac.m4a", "--format", "alac"});
  const Floats song = Samples(folder / "song.wav", 2);
  EXPECT_EQ(Samples(folder / "alac.m4a", 2), song);
  EXPECT_EQ(Samples(folder / "aac.m4a", 2).size(), song.size());
  EXPECT_NE(testing::ReadAll(folder / "aac.m4a").find("mp4a"), std::string::npos);
}

TEST(SongProgram, WeightsThatAreNoNumbersAreNamed) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  for (const std::string file : {"model.safetensors", "decoder.safetensors"}) {
    const std::string at = (folder / "model" / file).string();
    const std::string before = testing::ReadAll(at);
    TensorMap weights;
    {
      const auto read = ReadSafetensors(at);
      ASSERT_TRUE(read);
      for (const auto& [name, tensor] : *read->tensors)
        weights.emplace(name, HostTensor::FromF32(tensor.shape, tensor.ToF32()));
    }
    const std::string broken = weights.begin()->first;
    Floats values = weights.begin()->second.ToF32();
    values.back() = std::numeric_limits<float>::quiet_NaN();
    weights.insert_or_assign(broken, HostTensor::FromF32(weights.begin()->second.shape, values));
    ASSERT_TRUE(WriteSafetensors(at, weights));
    const Ran ran =
        RunTimbre({"song", "-m", model, "--tokens", path, "--style", path, "--seconds", "1"}, folder.path());
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find(file), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("'" + broken + "'"), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    WriteAll(at, before);
  }
}

TEST(SongProgram, SaysWhatIsWrongInOneLine) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  WriteAll(folder / "bad.txt", "1 2 x");
  WriteAll(folder / "large.txt", "100000");
  WriteAll(folder / "broken.json", "{");
  WriteAll(folder / "words.txt", "[verse]\nhello\n");
  const std::vector<std::vector<std::string>> wrong = {
      {"song", "-m", model, "--tokens", path},                         // no style
      {"song", "-m", model, "--tokens", "none.txt", "--style", path},  // no such file
      {"song", "-m", model, "--tokens", "bad.txt", "--style", path},
      {"song", "-m", model, "--tokens", "large.txt", "--style", path},             // not in the vocabulary
      {"song", "-m", model, "--tokens", path, "--phones", path, "--style", path},  // twice
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "song.xyz"},
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "song.alac"},
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "song.wav", "--format", "alac"},
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "song.wav", "--bitrate", "64"},
      {"song", "-m", model, "--tokens", path, "--style", path, "-o", "nowhere/song.wav"},
      {"song", "-m", model, "--tokens", path, "--style", path, "--latents", "./song.wav"},  // of one name
      {"song", "-m", model, "--tokens", path, "--style", path, "--style-offset", "5"},      // without effect
      {"song", "-m", model, "--tokens", path, "--style", path, "--style-blend", "0.5"},
      {"song", "-m", model, "--tokens", path, "--style", path, "--noise", path, "--seed", "3"},
      {"song", "-m", model, "--from-latents", path, "--steps", "3"},
      {"song", "-m", model, "--lyrics", "words.txt", "--style", path, "--latents", "words.txt"},
      {"song", "-m", model, "--tokens", path, "--style", path, "--seconds", "1", "--latents", "/dev/null"},
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
  const Ran text = RunTimbre({"song", "-m", model, "--tokens", path, "--style", "bad.txt"}, folder.path());
  EXPECT_NE(text.err.find("--style-audio"), std::string::npos) << text.err;
  EXPECT_EQ(testing::ReadAll(folder / "words.txt"), "[verse]\nhello\n");
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), before) << "something was left";
}

// What is there but no file is not said to be missing.
TEST(SongProgram, LyricsThatAreNoFile) {
  const TempFolder folder;
  const auto refused = [&](const std::string& lyrics) {
    const Ran ran = RunTimbre({"song", "--lyrics", lyrics, "--style-text", "slow"}, folder.path());
    EXPECT_EQ(ran.code, 1);
    return ran.err;
  };
  EXPECT_EQ(refused("none.txt"), "timbre: there is no file 'none.txt'.\n");
  EXPECT_EQ(refused("/dev/null"), "timbre: '/dev/null' is a folder, a pipe or a device, and not a file.\n");
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

// A program in espeak-ng's place that never ends: it is ended with the song. What is left out of the words is said
// before the song is made of the rest.
TEST(SongProgram, WhoReadsTheWordsIsCancelledAsWell) {
  const TempFolder folder;
  const std::string model = MakeFolder(folder), path = SongCase("e2e-tiny.safetensors");
  WriteAll(folder / "words.txt", "[rap]\nhello\n");
  WriteAll(folder / "espeak-ng", "#!/bin/sh\ntouch '" + (folder / "begun").string() + "'\nexec sleep 60\n");
  std::filesystem::permissions(folder / "espeak-ng", std::filesystem::perms::owner_all);
  const Environment environment({{"PATH", folder.path().string() + ":/usr/bin:/bin"}});
  testing::Child child({"song", "-m", model, "--lyrics", "words.txt", "--style", path}, folder.path());
  for (int i = 0; i < 2000 && !std::filesystem::exists(folder / "begun"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  child.Signal(SIGTERM);
  const Ran ran = child.Wait();
  EXPECT_EQ(ran.code, 130) << ran.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "song.wav"));
  WriteAll(folder / "espeak-ng", "#!/bin/sh\nkill -TERM $$\n");
  const Ran ended = RunTimbre({"song", "-m", model, "--lyrics", "words.txt", "--style", path}, folder.path());
  EXPECT_EQ(ended.code, 1) << "it was ended, and not the song";
  EXPECT_NE(ended.err.find("espeak-ng"), std::string::npos) << ended.err;
}

// A folder laid out as MuQ-MuLan's, of small towers with random weights and a tokenizer trained on the spot.
std::string MakeStyleFolder(const TempFolder& folder) {
  const auto file = ReadSafetensors(SongCase("mulan-tiny.safetensors"));
  EXPECT_TRUE(file);
  json config = json::parse(file->metadata.at("config"));
  config["mulan"]["mulan"]["dim_latent"] = 512;
  const auto path = folder / "style";
  for (const char* inner : {"muq", "xlm-roberta-base"}) std::filesystem::create_directories(path / inner);
  WriteAll(path / "config.json", config["mulan"].dump());
  WriteAll(path / "muq" / "config.json", config["muq"].dump());
  WriteAll(path / "xlm-roberta-base" / "config.json", config["xlmr"].dump());
  const auto parsed = ParseMulanConfig(config["mulan"].dump(), config["muq"].dump(), config["xlmr"].dump());
  EXPECT_TRUE(parsed) << parsed.error().message;
  const auto weights = RandomTensors(3, false, [&](Weights& random) -> Status {
    TIMBRE_CHECK(BuildMulanAudio(*parsed, random, parsed->clip_samples()).map([](const Graph&) {}));
    TIMBRE_CHECK(BuildMulanText(*parsed, random, 4).map([](const Graph&) {}));
    return EmbedMulanText(*parsed, random, std::vector<int32_t>{0, 2}).map([](const Floats&) {});
  });
  EXPECT_TRUE(weights);
  EXPECT_TRUE(WriteSafetensors((path / "model.safetensors").string(), *weights));

  std::string text;
  for (const char* line : {"slow piano ballad", "loud guitars and drums", "a quiet song at night", "female voice"}) {
    for (int i = 0; i < 20; ++i) text += std::string(line) + "\n";
  }
  WriteAll(folder / "sentences.txt", text);
  const std::string prefix = (path / "xlm-roberta-base" / "sentencepiece.bpe").string();
  const auto trained = sentencepiece::SentencePieceTrainer::Train(
      "--input=" + (folder / "sentences.txt").string() + " --model_prefix=" + prefix +
      " --vocab_size=40 --hard_vocab_limit=false --minloglevel=3");
  EXPECT_TRUE(trained.ok()) << trained.ToString();
  return path.string();
}

TEST(SongProgram, TakesAStyleOfSoundAndOfWords) {
  TempFolder folder;
  const std::string model = MakeFolder(folder), style = MakeStyleFolder(folder),
                    path = SongCase("e2e-tiny.safetensors");
  testing::WriteTestWav(folder / "like.wav", 1.5);
  const auto sing = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> words{"song",    "-m", model,           "--tokens", path, "--seconds", "1",
                                   "--steps", "3",  "--style-model", style,      "-o", name};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    return testing::ReadAll(folder / name);
  };
  const std::vector<std::string> sound{"--style-audio", "like.wav"}, words{"--style-text", "slow piano ballad"};
  std::vector<std::string> both = sound;
  both.insert(both.end(), words.begin(), words.end());
  const std::string of_sound = sing("sound.wav", sound), of_words = sing("words.wav", words),
                    of_both = sing("both.wav", both);
  EXPECT_NE(of_sound, of_words);
  EXPECT_NE(of_both, of_sound);
  EXPECT_NE(of_both, of_words);
  both.insert(both.end(), {"--style-blend", "1"});
  EXPECT_EQ(sing("all-sound.wav", both).size(), of_sound.size());
  // The style of one clip as `timbre style` writes it is that of the sound.
  const Ran heard =
      RunTimbre({"style", "like.wav", "--vector", "like.safetensors", "--style-model", style}, folder.path());
  ASSERT_EQ(heard.code, 0) << heard.err;
  std::vector<std::string> again{"song",    "-m", model,     "--tokens",         path, "--seconds", "1",
                                 "--steps", "3",  "--style", "like.safetensors", "-o", "again.wav"};
  ASSERT_EQ(RunTimbre(again, folder.path()).code, 0);
  const Floats first = Samples(folder / "sound.wav", 2), second = Samples(folder / "again.wav", 2);
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) ASSERT_NEAR(first[i], second[i], 1e-3) << i;
  // All of a clip is heard, not its first ten seconds alone.
  testing::WriteTestWav(folder / "ten.wav", 10);
  testing::WriteTestWav(folder / "fourteen.wav", 14);
  for (const char* name : {"ten", "fourteen"}) {
    const std::string clip = name;
    ASSERT_EQ(
        RunTimbre({"style", clip + ".wav", "--vector", clip + ".safetensors", "--style-model", style}, folder.path())
            .code,
        0);
  }
  EXPECT_NE(testing::ReadAll(folder / "ten.safetensors"), testing::ReadAll(folder / "fourteen.safetensors"));
  // Leaning towards words it is another, and of several clips each is told how alike it is.
  const Ran leaning = RunTimbre({"style", "like.wav", "sound.wav", "--vector", "mixed.safetensors", "--style-model",
                                 style, "--style-text", "slow piano ballad", "--json", "style.json"},
                                folder.path());
  ASSERT_EQ(leaning.code, 0) << leaning.err;
  const json compared = json::parse(testing::ReadAll(folder / "style.json"));
  for (const json& clip : compared["clips"]) {
    EXPECT_LT(clip["similarity"], 1);
    EXPECT_GT(clip["similarity"], -1);
  }
  const auto mixed = ReadSafetensors((folder / "mixed.safetensors").string());
  ASSERT_TRUE(mixed) << mixed.error().message;
  const Floats vector = mixed->tensors->at("style").ToF32();
  ASSERT_EQ(vector.size(), 512u);
  double square = 0;
  for (const float x : vector) square += double{x} * x;
  EXPECT_NEAR(square, 1, 1e-5);
  const Ran late = RunTimbre({"song", "-m", model, "--tokens", path, "--style-model", style, "--style-audio",
                              "like.wav", "--style-offset", "60"},
                             folder.path());
  EXPECT_EQ(late.code, 2);
  EXPECT_NE(late.err.find("--style-offset"), std::string::npos) << late.err;
}

// What one program writes the other sings.
TEST(SongProgram, SingsWhatLyricsWritesThroughAPipe) {
  TIMBRE_NEED_REAL_LANGUAGE_MODEL(words);
  if (std::system("espeak-ng --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no espeak-ng";
  TempFolder folder;
  const std::string model = MakeFolder(folder), style = SongCase("e2e-tiny.safetensors"),
                    program = testing::ProgramPath();
  const std::string line =
      "set -o pipefail; cd '" + folder.path().string() + "' && '" + program + "' lyrics 'rain' -q -m '" + words +
      "' --structure verse --lines 2 --seed 1 --device cpu | tee words.txt | '" + program + "' song -q -m '" + model +
      "' --style '" + style + "' --seconds 1 --steps 2 --lyrics - -o song.wav --json song.json";
  ASSERT_EQ(std::system(("bash -c \"" + line + "\"").c_str()), 0);
  EXPECT_TRUE(testing::ReadAll(folder / "words.txt").starts_with("[verse]\n"));
  EXPECT_GT(json::parse(testing::ReadAll(folder / "song.json"))["song"]["tokens"], 10);
  EXPECT_FALSE(Samples(folder / "song.wav", 2).empty());
}

TEST(SongProgram, WordsOfAStyleAreTheTowersTokens) {
  TempFolder folder;
  const std::string tokenizer = MakeStyleFolder(folder) + "/xlm-roberta-base/sentencepiece.bpe.model";
  const auto tokens = TokensOfWords(tokenizer, "slow piano ballad");
  ASSERT_TRUE(tokens) << tokens.error().message;
  ASSERT_GT(tokens->size(), 2u);
  EXPECT_EQ(tokens->front(), 0);
  EXPECT_EQ(tokens->back(), 2);
  // Pieces of the library are one less; put together again they are the words.
  sentencepiece::SentencePieceProcessor processor;
  ASSERT_TRUE(processor.Load(tokenizer).ok());
  std::vector<int> pieces;
  for (size_t i = 1; i + 1 < tokens->size(); ++i) pieces.push_back((*tokens)[i] - 1);
  std::string text;
  ASSERT_TRUE(processor.Decode(pieces, &text).ok());
  EXPECT_EQ(text, "slow piano ballad");
  const auto unknown = TokensOfWords(tokenizer, "\xE2\x98\x83");
  ASSERT_TRUE(unknown);
  EXPECT_NE(std::find(unknown->begin(), unknown->end(), 3), unknown->end());
  EXPECT_FALSE(TokensOfWords((folder / "sentences.txt").string(), "words"));
  EXPECT_FALSE(TokensOfWords((folder / "none").string(), "words"));
}

}  // namespace
}  // namespace timbre
