// Audio from pipes and FIFOs: the same results as from files.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

using Names = std::vector<std::string>;

// `producer | timbre WORDS` in `folder`; its exit code, its stderr in "err".
int Piped(const TempFolder& folder, const std::string& producer, const std::string& words) {
  const int status = std::system(("cd '" + folder.path().string() + "' && " + producer + " | '" + ProgramPath() + "' " +
                                  words + " >/dev/null 2>err")
                                     .c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Pipes, SeparateReadsTheStandardInputAndFifos) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 2);
  ASSERT_EQ(RunTimbre({"separate", "--model", "hpss", "-o", "file", "song.wav"}, folder.path()).code, 0);
  const std::string expected = ReadAll(folder / "file/hpss/song/percussive.wav");
  ASSERT_GT(expected.size(), 1000);
  ASSERT_EQ(Piped(folder, "cat song.wav", "separate --model hpss -o pipe -"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(ReadAll(folder / "pipe/hpss/stdin/percussive.wav") == expected);
  ASSERT_EQ(Piped(folder, "cat song.wav", "separate --model hpss -o dev /dev/stdin"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(ReadAll(folder / "dev/hpss/stdin/percussive.wav") == expected);

  const std::string fifo = folder / "fifo.wav";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] { WriteAll(fifo, ReadAll(folder / "song.wav")); });
  const Ran ran = RunTimbre({"separate", "--model", "hpss", "-o", "named", "fifo.wav"}, folder.path());
  writer.join();
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(ReadAll(folder / "named/hpss/fifo/percussive.wav") == expected);
}

TEST(Pipes, DenoiseAndScoreReadTheStandardInput) {
  TempFolder folder;
  const std::string model = MakeSmallModelFolder(folder / "model");
  WriteTestWav(folder / "call.wav", 1, 48000);
  ASSERT_EQ(RunTimbre({"denoise", "-m", model, "-o", "file", "call.wav"}, folder.path()).code, 0);
  ASSERT_EQ(Piped(folder, "cat call.wav", "denoise -m '" + model + "' -o pipe -"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(ReadAll(folder / "pipe/stdin.wav") == ReadAll(folder / "file/call.wav"));
  EXPECT_EQ(Piped(folder, "cat call.wav", "score file/call.wav - --json score.json"), 0) << ReadAll(folder / "err");
  EXPECT_EQ(nlohmann::json::parse(ReadAll(folder / "score.json"))["frames"], 48000);
}

// In two steps, and with tags asked for: nothing of a pipe can be read again.
TEST(Pipes, DrumsReadTheStandardInput) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 2);
  const std::string words =
      "drums -m '" + DataPath("official/mdx23c-tiny.ckpt") + "' --from percussive --from-model hpss --keep-stems -o ";
  ASSERT_EQ(Piped(folder, "true", words + "file song.wav"), 0) << ReadAll(folder / "err");
  ASSERT_EQ(Piped(folder, "cat song.wav", words + "pipe -"), 0) << ReadAll(folder / "err");
  EXPECT_EQ(FilesIn(folder / "pipe").size(), 6u);
  EXPECT_GT(ReadAll(folder / "pipe/stdin.mid").size(), 20u);
  const std::string kick = ReadAll(folder / "pipe/stdin/kick.wav");
  EXPECT_GT(kick.size(), 1000u);
  EXPECT_TRUE(kick == ReadAll(folder / "file/song/kick.wav"));
}

TEST(Pipes, JoinMasterLoudnessAndStyleReadTheStandardInput) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 1);
  WriteTestWav(folder / "b.wav", 0.5, 48000);
  ASSERT_EQ(RunTimbre({"join", "a.wav", "b.wav", "--crossfade", "0.2", "-o", "file.wav"}, folder.path()).code, 0);
  const std::string expected = ReadAll(folder / "file.wav");
  ASSERT_EQ(Piped(folder, "cat a.wav", "join - b.wav --crossfade 0.2 -o pipe.wav"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(ReadAll(folder / "pipe.wav") == expected);
  // Twice the same pipe is its sound twice, and two pipes are two sounds.
  EXPECT_EQ(Piped(folder, "cat a.wav", "join - - -o twice.wav"), 0) << ReadAll(folder / "err");
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] { WriteAll(fifo, ReadAll(folder / "b.wav")); });
  EXPECT_EQ(Piped(folder, "cat a.wav", "join - fifo --crossfade 0.2 -o both.wav"), 0) << ReadAll(folder / "err");
  writer.join();
  EXPECT_TRUE(ReadAll(folder / "both.wav") == expected);
  EXPECT_EQ(Piped(folder, "echo no sound", "join - b.wav -o bad.wav"), 1);
  EXPECT_NE(ReadAll(folder / "err").find("stdin"), std::string::npos) << ReadAll(folder / "err");
  EXPECT_EQ(ReadAll(folder / "err").find("/proc"), std::string::npos) << ReadAll(folder / "err");
  WriteAll(folder / "t.yaml", "clips: [{file: /dev/stdin}]\n");
  EXPECT_EQ(Piped(folder, "cat a.wav", "join --timeline t.yaml -o bad.wav"), 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "bad.wav"));

  ASSERT_EQ(RunTimbre({"master", "a.wav", "-o", "file"}, folder.path()).code, 0);
  ASSERT_EQ(Piped(folder, "cat a.wav", "master - -o pipe"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(ReadAll(folder / "pipe/stdin.wav") == ReadAll(folder / "file/a.wav"));
  EXPECT_EQ(Piped(folder, "cat a.wav", "loudness - --normalise -20 -o pipe2"), 0) << ReadAll(folder / "err");
  EXPECT_TRUE(std::filesystem::exists(folder / "pipe2/stdin.wav"));
  EXPECT_EQ(Piped(folder, "cat a.wav", "style - b.wav --json style.json"), 0) << ReadAll(folder / "err");
  EXPECT_EQ(nlohmann::json::parse(ReadAll(folder / "style.json"))["clips"].size(), 2u);
}

TEST(Pipes, WhatCannotBeReadIsOneSentence) {
  TempFolder folder;
  const auto refused = [&](const std::string& producer, const std::string& words, const std::string& part) {
    EXPECT_NE(Piped(folder, producer, words), 0);
    const std::string error = ReadAll(folder / "err");
    EXPECT_NE(error.find("timbre: "), std::string::npos) << error;
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_EQ(FilesIn(folder.path()), (Names{"err"}));
  };
  refused("true", "separate --model hpss -o out -", "the pipe 'stdin' ended without audio");
  refused("true", "separate --model hpss -o out - </dev/null", "the pipe 'stdin' ended without audio");
  refused("true", "separate --model hpss -o out - </dev/zero", "'stdin' is no regular file");
  refused("echo no audio", "separate --model hpss -o out -", "'stdin' ");
  refused("true", "separate --model hpss -o out - -", "given twice");
}

TEST(Pipes, CtrlCEndsTheWaitForAFifo) {
  TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "fifo.wav").c_str(), 0600), 0);
  Child child({"separate", "--model", "hpss", "-o", "out", "fifo.wav"}, folder.path());
  // It catches signals from before it opens its input, which it does once it has said what it runs on.
  for (int i = 0; i < 600 && child.OutputSoFar().find(" on ") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  child.Signal(SIGINT);
  const Ran ran = child.Wait();
  EXPECT_EQ(ran.code, 130) << ran.err;
  EXPECT_EQ(FilesIn(folder.path()), (Names{"fifo.wav"}));
}

}  // namespace
}  // namespace timbre::testing
