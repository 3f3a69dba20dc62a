// `timbre notes`: videos, as other programs read them.
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "audio/test_files.h"
#include "formats/midi.h"
#include "tests/e2e/program.h"
#include "tests/support/probe.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

std::string WriteSong(const std::filesystem::path& path, double seconds) {
  MidiSong song;
  song.metres = {{0, 4}};
  for (int i = 0; i * 0.25 <= seconds; ++i) song.notes.push_back({i * 480, 60, 10, i % 2 == 0 ? 36 : 42, 100});
  EXPECT_TRUE(WriteMidi(song, path.string()));
  return path.string();
}

const std::vector<std::string> kSmall = {"--size", "160x90", "--fps", "30"};

Ran Notes(std::vector<std::string> words, const std::filesystem::path& folder) {
  words.insert(words.begin(), "notes");
  words.insert(words.end(), kSmall.begin(), kSmall.end());
  return RunTimbre(words, folder);
}

TEST(NotesCli, AVideoIsWhatOthersTakeItFor) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: no ffmpeg program";
  const TempFolder folder;
  WriteSong(folder / "song.mid", 1);
  WriteTestWav(folder / "song.wav", 4.5);  // longer than the notes: kept whole
  const Ran ran = Notes({"song.mid", "--audio", "song.wav", "-o", "out.mp4", "--json", "-"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json video = Json::parse(ran.out)["video"];
  EXPECT_EQ(video["frames"], 135);
  EXPECT_EQ(video["lanes"], Json({"Hi-hat", "Kick"}));
  const std::string pictures = Probed((folder / "out.mp4").string(), "-select_streams v -show_streams");
  for (const char* fact : {"codec_name=h264", "width=160", "height=90", "pix_fmt=yuv420p", "color_range=tv",
                           "color_space=bt709", "color_transfer=bt709", "color_primaries=bt709", "r_frame_rate=30/1",
                           "nb_read_packets=135", "duration=4.500000", "start_time=0.000000"}) {
    ExpectIn(pictures, fact);
  }
  const std::string sound = Probed((folder / "out.mp4").string(), "-select_streams a -show_streams");
  for (const char* fact : {"codec_name=aac", "sample_rate=48000", "channels=2", "start_time=0.000000"}) {
    ExpectIn(sound, fact);
  }
  // The index in front.
  const std::string bytes = ReadAll(folder / "out.mp4");
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
  EXPECT_EQ(FilesIn(folder.path()), (std::vector<std::string>{"out.mp4", "song.mid", "song.wav"}));
}

TEST(NotesCli, ASoundThatIsShorterEndsBeforeThePictures) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: no ffmpeg program";
  const TempFolder folder;
  WriteSong(folder / "song.mid", 2);
  WriteTestWav(folder / "song.wav", 0.5);
  const Ran ran = Notes({"song.mid", "--audio", "song.wav", "-o", "out.webm", "--count-in", "1"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  // Two seconds of counting, two of notes, two more.
  const std::string pictures = Probed((folder / "out.webm").string(), "-select_streams v -show_streams");
  for (const char* fact : {"codec_name=vp9", "color_space=bt709", "color_range=tv", "nb_read_packets=180"}) {
    ExpectIn(pictures, fact);
  }
  ExpectIn(Probed((folder / "out.webm").string(), "-select_streams a -show_streams"), "codec_name=opus");
}

TEST(NotesCli, PicturesGoIntoANewFolder) {
  const TempFolder folder;
  WriteSong(folder / "song.mid", 0);
  ASSERT_EQ(
      RunTimbre({"notes", "song.mid", "--size", "160x90", "--portrait", "--fps", "10", "-o", "out/"}, folder.path())
          .code,
      0);
  const std::vector<std::string> files = FilesIn(folder.path());
  EXPECT_EQ(files.size(), 21u);
  EXPECT_EQ(files[0], "out/000000.png");
  EXPECT_EQ(ReadAll(folder / "out/000019.png").substr(1, 3), "PNG");
  const Ran again = RunTimbre({"notes", "song.mid", "--fps", "10", "-o", "out/"}, folder.path());
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("exists"), std::string::npos);
  EXPECT_EQ(FilesIn(folder.path()), files);
}

TEST(NotesCli, WhatAnEncoderLacksIsRefused) {
  const TempFolder folder;
  WriteSong(folder / "song.mid", 0);
  for (const auto& [output, option, value] : {std::array{"out.webm", "--effort", "slow"},
                                              {"out/", "--effort", "slow"},
                                              {"out/", "--quality", "20"},
                                              {"out/", "--threads", "1"}}) {
    const Ran ran = RunTimbre({"notes", "song.mid", "-o", output, option, value}, folder.path());
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find(std::string(option) + " has no effect"), std::string::npos) << ran.err;
    EXPECT_EQ(FilesIn(folder.path()), std::vector<std::string>{"song.mid"});
  }
}

TEST(NotesCli, EndedInTheMiddleItLeavesNothing) {
  const TempFolder folder;
  WriteSong(folder / "song.mid", 600);
  for (const char* output : {"out.mp4", "out.webm", "out/"}) {
    Child child({"notes", "song.mid", "--size", "320x180", "--fps", "120", "-o", output}, folder.path());
    while (child.ErrorsSoFar().empty() && FilesIn(folder.path()).empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    child.Signal(SIGINT);
    EXPECT_EQ(child.Wait().code, 130) << output;
    EXPECT_EQ(FilesIn(folder.path()), std::vector<std::string>{"song.mid"}) << output;
  }
}

TEST(NotesCli, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  const std::string song = WriteSong(folder / "song.mid", 1);
  const auto refused = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "notes");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_NE(ran.code, 0);
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  };
  refused({"gone.mid"}, "gone.mid");
  refused({"song.mid", "-o", "out.avi"}, "out.avi");
  refused({"song.mid", "--size", "big"}, "the size 'big'");
  refused({"song.mid", "--size", "161x90"}, "even");
  refused({"song.mid", "--size", "100000x90"}, "7680");
  refused({"song.mid", "--audio", "gone.wav"}, "gone.wav");
  WriteAll(folder / "lanes.yaml", "lanes: {}\n");
  refused({"song.mid", "--lanes", "lanes.yaml"}, "lanes.yaml");
  WriteAll(folder / "text.mid", "this is no MIDI\n");
  refused({"text.mid"}, "text.mid");
  WriteAll(folder / "cut.mid", ReadAll(song).substr(0, 40));
  refused({"cut.mid"}, "cut.mid");
  EXPECT_EQ(FilesIn(folder.path()), (std::vector<std::string>{"cut.mid", "lanes.yaml", "song.mid", "text.mid"}));
}

}  // namespace
}  // namespace timbre::testing
