// `--stdout`: sound into a pipe, and nothing else.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

using Names = std::vector<std::string>;

// A line of the shell in `folder`, where $T is the program; its exit code.
int Shell(const TempFolder& folder, const std::string& line) {
  const int status =
      std::system(("cd '" + folder.path().string() + "' && T='" + ProgramPath() + "' && " + line).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::vector<float> Samples(const std::filesystem::path& path) {
  const auto audio = ReadAudioFile(path.string(), 1 << 22);
  EXPECT_TRUE(audio) << audio.error().message;
  return audio ? audio->samples : std::vector<float>();
}

TEST(Stdout, AStemInAStreamIsTheStemInAFile) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  for (const std::string format :
       {"--format wav", "--format wav --sample-format s24", "--format wav --sample-format f32 --clip none",
        "--format flac --clip clamp", "--format ogg", "--format opus"}) {
    SCOPED_TRACE(format);
    const std::string words = "separate --model hpss song.wav " + format;
    ASSERT_EQ(Shell(folder, "\"$T\" " + words + " -o file --name '{stem}' >out 2>err"), 0) << ReadAll(folder / "err");
    ASSERT_EQ(Shell(folder, "\"$T\" " + words + " --stdout percussive 2>err | cat >stem"), 0)
        << ReadAll(folder / "err");
    EXPECT_NE(ReadAll(folder / "err").find("to stdout"), std::string::npos) << ReadAll(folder / "err");
    const std::vector<float> expected = Samples(folder / "file/percussive");
    ASSERT_GT(expected.size(), 80000u);
    EXPECT_TRUE(Samples(folder / "stem") == expected);
    std::filesystem::remove_all(folder / "file");
    EXPECT_EQ(FilesIn(folder.path()), (Names{"err", "out", "song.wav", "stem"}));
  }
}

TEST(Stdout, TheRestOfTwoStemsAndAPartOfAPartCanBeStreamed) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  const std::string separate = "\"$T\" separate song.wav --model hpss ";
  ASSERT_EQ(Shell(folder, separate + "-o file --name '{stem}' >out 2>err"), 0);
  ASSERT_EQ(Shell(folder, separate + "--two-stems harmonic --stdout no_harmonic >stem 2>err"), 0)
      << ReadAll(folder / "err");
  EXPECT_TRUE(Samples(folder / "stem") == Samples(folder / "file/percussive"));
  ASSERT_EQ(Shell(folder, separate + "--from harmonic --from-model hpss --stdout percussive >part 2>err"), 0)
      << ReadAll(folder / "err");
  EXPECT_EQ(Samples(folder / "part").size(), Samples(folder / "stem").size());
  std::filesystem::remove_all(folder / "file");
  EXPECT_EQ(FilesIn(folder.path()), (Names{"err", "out", "part", "song.wav", "stem"}));
}

TEST(Stdout, RunsOfTheProgramCanBeJoined) {
  TempFolder folder;
  const std::string model = MakeSmallModelFolder(folder / "model");
  WriteTestWav(folder / "call.wav", 1, 48000);
  ASSERT_EQ(Shell(folder, "\"$T\" denoise -m model -o file call.wav >out 2>err"), 0) << ReadAll(folder / "err");
  ASSERT_EQ(Shell(folder,
                  "\"$T\" denoise -m model --stdout - <call.wav 2>err | "
                  "\"$T\" score file/call.wav - --json score.json >out 2>heard"),
            0)
      << ReadAll(folder / "err") << ReadAll(folder / "heard");
  // A stream's header cannot tell its length, which is no damage.
  EXPECT_EQ(ReadAll(folder / "err").find("warning"), std::string::npos) << ReadAll(folder / "err");
  EXPECT_EQ(ReadAll(folder / "heard").find("warning"), std::string::npos) << ReadAll(folder / "heard");
  EXPECT_EQ(nlohmann::json::parse(ReadAll(folder / "score.json"))["frames"], 48000);
  ASSERT_EQ(Shell(folder, "\"$T\" denoise -m model --stdout call.wav --json report.json >cleaned 2>err"), 0);
  EXPECT_TRUE(Samples(folder / "cleaned") == Samples(folder / "file/call.wav"));
  EXPECT_EQ(nlohmann::json::parse(ReadAll(folder / "report.json"))["tracks"][0]["output"], "stdout");
  EXPECT_FALSE(std::filesystem::exists(folder / "denoised"));
}

TEST(Stdout, WhatMakesNoSenseIsOneSentence) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  WriteTestWav(folder / "more.wav", 0.5);
  const auto refused = [&](const std::string& words, int code, const std::string& part) {
    SCOPED_TRACE(words);
    EXPECT_EQ(Shell(folder, "\"$T\" " + words + " >out 2>err"), code);
    const std::string error = ReadAll(folder / "err");
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
    EXPECT_EQ(ReadAll(folder / "out"), "");
    EXPECT_EQ(FilesIn(folder.path()), (Names{"err", "more.wav", "out", "song.wav"}));
  };
  const std::string separate = "separate --quiet --model hpss song.wav --stdout percussive ";
  refused(separate + "--json -", 2, "give the report a file of its own");
  refused(separate + "--json out", 2, "give the report a file of its own");
  refused(separate + "-o here", 2, "--output has no effect: --stdout writes one stream");
  refused(separate + "--format m4a", 2, "choose --format wav, flac, ogg or opus");
  refused(separate + "more.wav", 2, "there are 2 inputs");
  refused("separate --quiet --model hpss song.wav --stdout percusive", 1, "Did you mean 'percussive'?");
  refused("denoise --quiet song.wav more.wav --stdout", 2, "there are 2 inputs");
}

TEST(Stdout, AReaderWhoStopsIsOneSentence) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 2);
  for (const std::string clip : {"none", "rescale"}) {
    SCOPED_TRACE(clip);
    ASSERT_EQ(Shell(folder, "{ \"$T\" separate -q --model hpss song.wav --stdout percussive --clip " + clip +
                                " 2>err; echo $? >code; } | head -c 1000 >head"),
              0);
    EXPECT_EQ(ReadAll(folder / "code"), "1\n");
    EXPECT_EQ(ReadAll(folder / "err"),
              "timbre: 'stdout' could not be written to its end: whoever read it has stopped.\n");
    EXPECT_EQ(FilesIn(folder.path()), (Names{"code", "err", "head", "song.wav"}));
  }
}

}  // namespace
}  // namespace timbre::testing
