// `timbre separate` from outside, with the model that needs no file.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/file_mark.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Names = std::vector<std::string>;

// Runs hpss in `folder` on `words`, with the results in its "out".
Ran Separate(const TempFolder& folder, std::vector<std::string> words) {
  words.insert(words.begin(), {"separate", "--model", "hpss", "-o", "out"});
  return RunTimbre(words, folder.path());
}

// One line on stderr, nothing on stdout, and nothing left behind.
void ExpectRefused(const TempFolder& folder, const Ran& ran, int code, const std::string& part) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("timbre: ")) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  EXPECT_FALSE(fs::exists(folder / "out")) << ran.err;
}

TEST(SeparateCommand, WritesStemsALineAndAReport) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 3);
  const Ran ran = Separate(folder, {"song.wav", "--json", "report.json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(FilesIn(folder / "out"), (Names{"hpss/song/harmonic.wav", "hpss/song/percussive.wav"}));
  EXPECT_NE(ran.out.find("song.wav: 3.0 s in "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("real-time factor"), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("separating song.wav: 100 %"), std::string::npos) << ran.err;

  const Json report = Json::parse(ReadAll(folder / "report.json"));
  EXPECT_EQ(report["command"], "separate");
  EXPECT_EQ(report["model"]["name"], "hpss");
  EXPECT_EQ(report["options"]["format"], "wav");
  EXPECT_FALSE(report["device"]["name"].get<std::string>().empty());
  EXPECT_FALSE(report["device"]["reason"].get<std::string>().empty());
  EXPECT_GT(report["peak_memory_mb"].get<double>(), 0);
  EXPECT_TRUE(report["steps_down"].is_array());
  ASSERT_EQ(report["tracks"].size(), 1);
  const Json& track = report["tracks"][0];
  EXPECT_EQ(track["input"], "song.wav");
  EXPECT_EQ(track["samples"], 3 * 44100);
  EXPECT_GT(track["real_time_factor"].get<double>(), 0);
  for (const char* stage : {"load", "analyse", "decode", "compute", "encode", "total"}) {
    EXPECT_GE(track["timings"][stage].get<double>(), 0) << stage;
  }
  ASSERT_EQ(track["outputs"].size(), 2);
  for (const Json& output : track["outputs"]) {
    EXPECT_EQ(output["samples"], 3 * 44100);
    EXPECT_TRUE(fs::exists(folder.path() / output["path"].get<std::string>()));
  }
}

// As in a service without a home.
TEST(SeparateCommand, WhatIsBuiltInNeedsNoPlaceForDownloads) {
  const Environment homeless({{"TIMBRE_CACHE", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", ""}});
  const TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.3);
  const Ran ran = RunTimbre({"separate", "--model", "hpss", "a.wav"}, folder.path());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(FilesIn(folder / "separated").size(), 2u);
  const Ran other = RunTimbre({"separate", "--model", "htdemucs", "a.wav"}, folder.path());
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("TIMBRE_CACHE"), std::string::npos) << other.err;
}

TEST(SeparateCommand, AReportOnStdoutIsAlone) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  const Ran ran = Separate(folder, {"song.wav", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["tracks"].size(), 1);
  EXPECT_NE(ran.err.find("real-time factor"), std::string::npos);
}

TEST(SeparateCommand, QuietSaysNothingAndVerboseSaysMore) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  const Ran quiet = Separate(folder, {"song.wav", "--quiet"});
  EXPECT_EQ(quiet.code, 0);
  EXPECT_EQ(quiet.out + quiet.err, "");
  const Ran verbose = Separate(folder, {"song.wav", "--verbose"});
  EXPECT_NE(verbose.err.find("out/hpss/song/harmonic.wav"), std::string::npos) << verbose.err;
}

TEST(SeparateCommand, StemsTwoStemsAndFormats) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  EXPECT_EQ(Separate(folder, {"song.wav", "--stems", "percussive", "--format", "flac"}).code, 0);
  EXPECT_EQ(FilesIn(folder / "out"), (Names{"hpss/song/percussive.flac"}));
  EXPECT_EQ(Separate(folder, {"song.wav", "--two-stems", "harmonic", "--name", "{stem}-of-{track}.{ext}"}).code, 0);
  EXPECT_EQ(FilesIn(folder / "out"),
            (Names{"harmonic-of-song.wav", "hpss/song/percussive.flac", "no_harmonic-of-song.wav"}));
}

TEST(SeparateCommand, FormatsDecodeToTheLengthOfTheTrack) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  for (const auto& [format, file] : {std::pair(Names{"ogg"}, "harmonic.ogg"),
                                     {{"m4a", "--bitrate", "128"}, "harmonic.m4a"},
                                     {{"alac", "--sample-format", "s24"}, "harmonic.m4a"}}) {
    Names words = {"song.wav", "--stems", "harmonic", "--format"};
    words.insert(words.end(), format.begin(), format.end());
    const Ran ran = Separate(folder, words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const auto decoded = ReadAudioFile((folder / "out/hpss/song" / file).string(), 1 << 20);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->frames(), 44100) << format.front();
  }
}

std::vector<float> SamplesOf(const fs::path& path, int rate = 44100) {
  const auto read = ReadAudioFile(path.string(), 1 << 20);
  if (!read) {
    ADD_FAILURE() << read.error().message;
    return {};
  }
  EXPECT_EQ(read->sample_rate, rate) << path;
  return read->samples;
}

// What comes before the part, and behind it, is not heard by the model either.
TEST(SeparateCommand, APartIsComputedAsIfItWereTheTrack) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 3);
  const Names exact = {"--sample-format", "f32", "--clip", "none", "--json", "report.json"};
  const auto separate = [&](Names words) {
    words.insert(words.end(), exact.begin(), exact.end());
    const Ran ran = Separate(folder, words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran;
  };
  separate({"song.wav", "--start", "0:01.25", "--duration", "1", "--name", "part/{stem}.{ext}"});
  const Json track = Json::parse(ReadAll(folder / "report.json"))["tracks"][0];
  EXPECT_EQ(track["samples"], 44100);
  EXPECT_EQ(track["seconds"], 1);
  EXPECT_EQ(track["outputs"][0]["samples"], 44100);

  // The same samples in a file of their own.
  const std::vector<float> whole = SamplesOf(folder / "song.wav");
  auto writer =
      AudioWriter::Create(folder / "cut.wav", {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, 44100, 2);
  ASSERT_TRUE(writer && (*writer)->Write(whole.data() + 2 * 55125, 44100) && (*writer)->Finish());
  separate({"cut.wav", "--name", "cut/{stem}.{ext}"});
  EXPECT_EQ(SamplesOf(folder / "out/part/harmonic.wav"), SamplesOf(folder / "out/cut/harmonic.wav"));

  const Ran again = separate({"song.wav", "--start", "1.25", "--duration", "10", "--name", "long/{stem}.{ext}"});
  EXPECT_NE(again.err.find("ends at 3.00 s, before the part"), std::string::npos) << again.err;
  EXPECT_EQ(SamplesOf(folder / "out/long/harmonic.wav").size(), 2 * 77175u);
  const Ran skipped =
      separate({"song.wav", "--start", "0:01.25", "--duration", "1", "--name", "part/{stem}.{ext}", "--skip-existing"});
  EXPECT_NE(skipped.out.find("skipped"), std::string::npos) << skipped.out;
  const Ran anew =
      separate({"song.wav", "--start", "1", "--duration", "1", "--name", "part/{stem}.{ext}", "--skip-existing"});
  EXPECT_EQ(anew.out.find("skipped"), std::string::npos) << anew.out;
}

TEST(SeparateCommand, PartsThatAreNoneAreRefused) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  const auto refused = [&](std::vector<std::string> words, int code, const std::string& part) {
    words.insert(words.begin(), "song.wav");
    ExpectRefused(folder, Separate(folder, words), code, part);
  };
  refused({"--start", "3", "--quiet"}, 2, "'song.wav' ends at 0.50 s, and the part that is wanted begins at 3.00 s");
  for (const char* time : {"-1", "1:60", "1:2:3:4", "1.5:00", "x", "1e3", "nan", ":", "99999999"}) {
    refused({"--start", time}, 2, "--start takes seconds");
  }
  refused({"--duration", "0"}, 2, "leaves nothing");
  refused({"--duration", ""}, 2, "--duration takes a text, and got none");
}

TEST(SeparateCommand, TheRestIsTheOthersSumOrTheTrackMinusTheStem) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  const auto rest = [&](Names words, const std::string& name) {
    words.insert(words.end(),
                 {"song.wav", "--sample-format", "f32", "--clip", "none", "--name", name + "/{stem}.{ext}"});
    const Ran ran = Separate(folder, words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return SamplesOf(folder.path() / "out" / name / ("no_harmonic.wav"));
  };
  ASSERT_EQ(Separate(folder, {"song.wav", "--sample-format", "f32", "--clip", "none", "--name", "{stem}.{ext}"}).code,
            0);
  const std::vector<float> track = SamplesOf(folder / "song.wav"), harmonic = SamplesOf(folder / "out/harmonic.wav");
  EXPECT_EQ(rest({"--two-stems", "harmonic"}, "sum"), SamplesOf(folder / "out/percussive.wav"));
  const std::vector<float> minus = rest({"--two-stems", "harmonic", "--rest", "minus"}, "minus");
  ASSERT_EQ(minus.size(), track.size());
  float worst = 0;
  for (size_t i = 0; i < minus.size(); ++i) worst = std::max(worst, std::abs(minus[i] - (track[i] - harmonic[i])));
  EXPECT_LT(worst, 1e-6f);
  // hpss is a mask of powers: its parts do not add up to the track exactly, and so the two rests differ.
  fs::remove_all(folder / "out");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--rest", "minus"}), 2, "--two-stems is not given");
}

TEST(SeparateCommand, RatesAndPeaksOfAllFilesAreSetTogether) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  const Names exact = {"song.wav", "--sample-format", "f32"};
  const auto separate = [&](Names words) {
    words.insert(words.begin(), exact.begin(), exact.end());
    const Ran ran = Separate(folder, words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out.find("lowered"), std::string::npos) << ran.out;
  };
  separate({"--clip", "none", "--name", "plain/{stem}.{ext}"});
  separate({"--rate", "22050", "--name", "rate/{stem}.{ext}", "--json", "r.json"});
  separate({"--peak", "-6", "--name", "peak/{stem}.{ext}"});
  EXPECT_EQ(SamplesOf(folder / "out/rate/harmonic.wav", 22050).size(), 2 * 22050u);
  EXPECT_EQ(Json::parse(ReadAll(folder / "r.json"))["tracks"][0]["outputs"][1]["sample_rate"], 22050);
  float before = 0, after = 0;
  for (const char* stem : {"harmonic.wav", "percussive.wav"}) {
    for (const float x : SamplesOf(folder.path() / "out/plain" / stem)) before = std::max(before, std::abs(x));
    for (const float x : SamplesOf(folder.path() / "out/peak" / stem)) after = std::max(after, std::abs(x));
  }
  EXPECT_NEAR(after, 0.5011872f, 1e-6);
  const std::vector<float> plain = SamplesOf(folder / "out/plain/percussive.wav"),
                           level = SamplesOf(folder / "out/peak/percussive.wav");
  for (size_t i = 0; i < plain.size(); i += 1000) EXPECT_NEAR(level[i], plain[i] * after / before, 1e-6) << i;

  fs::remove_all(folder / "out");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--format", "opus", "--rate", "44100"}), 2, "is 48000");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--peak", "-1", "--clip", "none"}), 2, "--clip has no effect");
}

// What it says would be written is what is written, and it writes nothing itself.
TEST(SeparateCommand, ADryRunSaysWhatARunWouldDo) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  WriteTestWav(folder / "long.wav", 2);
  const Names words = {"song.wav", "long.wav", "--start", "0.5", "--sample-format", "s24", "--json", "-"};
  Names dry = words;
  dry.emplace_back("--dry-run");
  const Ran ran = Separate(folder, dry);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(FilesIn(folder.path()), (Names{"long.wav", "song.wav"}));
  EXPECT_NE(ran.err.find("in all: time about "), std::string::npos) << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_TRUE(report["tracks"].empty());
  const Json& plan = report["plan"];
  EXPECT_GT(plan["memory_mb"].get<double>(), 0);
  EXPECT_GT(plan["free_mb"].get<double>(), 0);
  EXPECT_GT(plan["estimated_seconds"].get<double>(), 0);
  const double stems = 2, channels = 2, both = 2 * 44100;  // half a second, and one and a half
  EXPECT_NEAR(plan["disk_mb"].get<double>(), stems * channels * both * 3 / 1e6, 1e-9);
  EXPECT_NEAR(plan["temporary_mb"].get<double>(), stems * channels * 1.5 * 44100 * 4 / 1e6, 1e-9);

  const Ran done = Separate(folder, words);
  ASSERT_EQ(done.code, 0) << done.err;
  const Json tracks = Json::parse(done.out)["tracks"];
  ASSERT_EQ(plan["tracks"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(plan["tracks"][i]["seconds"], tracks[i]["seconds"]);
    ASSERT_EQ(plan["tracks"][i]["outputs"].size(), 2u);
    double bytes = 0;
    for (size_t o = 0; o < 2; ++o) {
      EXPECT_EQ(plan["tracks"][i]["outputs"][o], tracks[i]["outputs"][o]["path"]);
      bytes += static_cast<double>(fs::file_size(folder.path() / tracks[i]["outputs"][o]["path"].get<std::string>()));
    }
    EXPECT_NEAR(plan["tracks"][i]["disk_mb"].get<double>(), bytes / 1e6, 0.001);
  }
}

// Where the format is of another rate than the track, the file has its own number of samples.
TEST(SeparateCommand, TheReportIsOfTheFilesThatWereMade) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1, 96000);
  for (const char* format : {"wav", "mp3", "opus"}) {
    const Ran ran = Separate(folder, {"song.wav", "--format", format, "--json", "report.json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json track = Json::parse(ReadAll(folder / "report.json"))["tracks"][0];
    EXPECT_EQ(track["sample_rate"], 96000);
    for (const Json& output : track["outputs"]) {
      const auto made = ReadAudioFile((folder.path() / output["path"].get<std::string>()).string(), 1 << 20);
      ASSERT_TRUE(made) << made.error().message;
      EXPECT_EQ(output["sample_rate"], made->sample_rate) << format;
      EXPECT_EQ(output["samples"], made->frames()) << format;
      EXPECT_EQ(output["channels"], made->channels) << format;
    }
  }
}

// What goes down a pipe takes no disk, but it waits for its gain there unless it goes as it is made.
TEST(SeparateCommand, ADryRunIntoAPipeCountsWhatWaits) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  for (const bool waits : {true, false}) {
    const Ran ran = RunTimbre({"separate", "--model", "hpss", "song.wav", "--stdout", "harmonic", "--clip",
                               waits ? "rescale" : "clamp", "--dry-run", "--json", "plan.json"},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json plan = Json::parse(ReadAll(folder / "plan.json"))["plan"];
    EXPECT_EQ(plan["disk_mb"], 0.0);
    EXPECT_NEAR(plan["temporary_mb"].get<double>(), waits ? 2 * 44100 * 4 / 1e6 : 0, 1e-9);
  }
}

TEST(SeparateCommand, ADryRunFetchesNothingAndRefusesWhatARunWould) {
  TempFolder folder;
  const std::map<std::string, std::string> elsewhere = {{"TIMBRE_CACHE", (folder / "cache").string()}};
  const Environment empty(elsewhere);
  WriteTestWav(folder / "song.wav", 0.5);
  WriteAll(folder / "bad.wav", "RIFF, or so it says");
  const Ran missing = RunTimbre({"separate", "song.wav", "--dry-run", "-o", "out"}, folder.path());
  ExpectRefused(folder, missing, 1, "a dry run fetches nothing, and the model htdemucs (84 MB) is not here");
  ExpectRefused(folder, Separate(folder, {"bad.wav", "--dry-run", "--quiet"}), 1, "bad.wav");
  const Ran one = Separate(folder, {"song.wav", "bad.wav", "--dry-run"});
  EXPECT_EQ(one.code, 1);
  EXPECT_NE(one.err.find("1 of 2 inputs would not be done"), std::string::npos) << one.err;
}

TEST(SeparateCommand, SkipsWhatIsThereAndDoesTheRest) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  ASSERT_EQ(Separate(folder, {"song.wav"}).code, 0);
  const fs::path stem = folder.path() / "out/hpss/song/harmonic.wav";
  const std::string kept = ReadAll(stem);
  const Ran skipped = Separate(folder, {"song.wav", "--skip-existing", "--json", "report.json"});
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_NE(skipped.out.find("skipped"), std::string::npos) << skipped.out;
  EXPECT_EQ(Json::parse(ReadAll(folder / "report.json"))["tracks"][0]["skipped"], true);
  fs::remove(folder.path() / "out/hpss/song/percussive.wav");
  WriteAll(stem, "");
  EXPECT_EQ(Separate(folder, {"song.wav", "--skip-existing"}).code, 0);
  EXPECT_EQ(ReadAll(stem), kept);
  EXPECT_EQ(FilesIn(folder / "out").size(), 2);
}

// Files of the right length that another model made, or other options, are not what was asked for.
TEST(SeparateCommand, SkipsOnlyWhatItsOwnModelAndOptionsMade) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.3);
  const auto skips = [&](const Names& more) {
    Names words = {"song.wav", "--skip-existing", "--name", "{stem}.{ext}", "--json", "report.json"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = Separate(folder, words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ReadAll(folder / "report.json"))["tracks"][0]["skipped"].get<bool>();
  };
  EXPECT_FALSE(skips({}));
  // What the file system keeps nothing of can't be told.
  const bool kept = MarkOf(folder.path() / "out/harmonic.wav").has_value();
  EXPECT_TRUE(skips({"--threads", "1", "--temp", ".", "--stems", "harmonic"}));
  for (const Names& other :
       {Names{"--sample-format", "s24"}, {"--no-tags"}, {"--from", "harmonic", "--from-model", "hpss"}}) {
    EXPECT_EQ(skips(other), !kept) << other[0];
    EXPECT_TRUE(skips(other)) << other[0];
  }
  EXPECT_EQ(skips({}), !kept);
}

TEST(SeparateCommand, FoldersStandForTheirAudio) {
  TempFolder folder;
  fs::create_directories(folder.path() / "album/disc2");
  WriteTestWav(folder.path() / "album/a.wav", 0.5);
  WriteTestWav(folder.path() / "album/disc2/b.WAV", 0.5);
  WriteAll(folder.path() / "album/cover.jpg", "no audio");
  WriteAll(folder.path() / "album/.hidden.wav", "no audio");
  ASSERT_EQ(Separate(folder, {"album"}).code, 0);
  EXPECT_EQ(FilesIn(folder / "out"), (Names{"hpss/a/harmonic.wav", "hpss/a/percussive.wav"}));
  ASSERT_EQ(Separate(folder, {"--recursive", "album", "--name", "{track}.{stem}.{ext}"}).code, 0);
  for (const char* name : {"a.harmonic.wav", "a.percussive.wav", "b.harmonic.wav", "b.percussive.wav"}) {
    EXPECT_TRUE(fs::exists(folder / "out" / name)) << name;
  }
  // Earlier results are no input.
  const Ran again = RunTimbre({"separate", "--model", "hpss", "-o", "out", "-r", ".", "--json", "-"}, folder.path());
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(Json::parse(again.out)["tracks"].size(), 2);
}

// A music library: two folders with files of the same names, and the same file by several names.
TEST(SeparateCommand, RecursionKeepsTheTreeAndDoesEachFileOnce) {
  TempFolder folder;
  for (const char* album : {"music/a/1", "music/b"}) {
    fs::create_directories(folder / album);
    WriteTestWav(folder.path() / album / "01.wav", 0.5);
  }
  WriteTestWav(folder / "music/top.wav", 0.5);
  fs::create_symlink("top.wav", folder / "music/link.wav");
  const Ran ran =
      Separate(folder, {"-r", "music", "./music/b/01.wav", "music/b", "--stems", "harmonic", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["tracks"].size(), 3u);
  EXPECT_EQ(FilesIn(folder / "out"),
            (Names{"hpss/a/1/01/harmonic.wav", "hpss/b/01/harmonic.wav", "hpss/link/harmonic.wav"}));
}

TEST(SeparateCommand, ANameThatIsTakenStopsOneTrack) {
  TempFolder folder;
  fs::create_directory(folder / "other");
  for (const char* name : {"song.wav", "other/song.wav", "z.wav"}) WriteTestWav(folder / name, 0.5);
  const Ran ran = Separate(folder, {"song.wav", "other", "z.wav", "--json", "report.json"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("would both be written"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("1 of 3 tracks"), std::string::npos) << ran.err;
  EXPECT_EQ(FilesIn(folder / "out").size(), 4u);
  EXPECT_TRUE(Json::parse(ReadAll(folder / "report.json"))["tracks"][1].contains("error"));
}

TEST(SeparateCommand, SaysWhatWasLowered) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  std::string loud = ReadAll(folder / "song.wav");
  for (size_t i = 44; i + 1 < loud.size(); i += 2) loud.replace(i, 2, i / 200 % 2 == 0 ? "\xff\x7f" : "\x01\x80");
  WriteAll(folder / "song.wav", loud);
  const Ran ran = Separate(folder, {"song.wav"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("harmonic: lowered by "), std::string::npos) << ran.out;
}

TEST(SeparateCommand, BadInputIsRefusedInOneSentence) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  WriteAll(folder / "empty.wav", "");
  WriteAll(folder / "text.mp3", "This is no music at all, but a few words.\n");
  WriteAll(folder / "headless.wav", ReadAll(folder / "song.wav").substr(0, 20));
  WriteAll(folder / "headonly.wav", ReadAll(folder / "song.wav").substr(0, 44));
  fs::create_directory(folder / "nothing");
  ASSERT_EQ(mknod((folder / "socket").c_str(), S_IFSOCK | 0600, 0), 0);
  ExpectRefused(folder, Separate(folder, {}), 2, "INPUT is missing");
  ExpectRefused(folder, Separate(folder, {"missing.wav"}), 1, "missing.wav");
  ExpectRefused(folder, Separate(folder, {"song.wav", "missing.wav"}), 1, "missing.wav");
  ExpectRefused(folder, Separate(folder, {"-q", "empty.wav"}), 1, "empty.wav");
  ExpectRefused(folder, Separate(folder, {"-q", "text.mp3"}), 1, "text.mp3");
  ExpectRefused(folder, Separate(folder, {"-q", "headless.wav"}), 1, "headless.wav");
  ExpectRefused(folder, Separate(folder, {"-q", "headonly.wav"}), 1, "headonly.wav");
  ExpectRefused(folder, Separate(folder, {"nothing"}), 1, "no audio file");
  ExpectRefused(folder, Separate(folder, {"socket"}), 1, "neither a file nor a folder");
}

TEST(SeparateCommand, OneBadTrackDoesNotStopTheOthers) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.5);
  WriteAll(folder / "b.wav", "This is no music at all.");
  WriteTestWav(folder / "c.wav", 0.5);
  const Ran ran = Separate(folder, {"a.wav", "b.wav", "c.wav", "--json", "report.json"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("1 of 3 tracks"), std::string::npos) << ran.err;
  EXPECT_EQ(FilesIn(folder / "out").size(), 4);
  const Json report = Json::parse(ReadAll(folder / "report.json"));
  EXPECT_TRUE(report["tracks"][1].contains("error"));
  EXPECT_TRUE(report.contains("error"));
}

TEST(SeparateCommand, WhatDoesNotExistIsNamedWithTheNearest) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  const auto refused = [&](std::vector<std::string> words, int code, const std::string& part) {
    words.insert(words.begin(), "song.wav");
    ExpectRefused(folder, Separate(folder, words), code, part);
  };
  refused({"--model", "hpsss"}, 1, "Did you mean 'hpss'?");
  refused({"--model", "models/none.th"}, 1, "models/none.th");
  refused({"--stems", "percusive"}, 1, "Did you mean 'percussive'?");
  refused({"--two-stems", "harmonics"}, 1, "Did you mean 'harmonic'?");
  refused({"--stems", "harmonic", "--two-stems", "harmonic"}, 2, "exclude each other");
  refused({"--stems="}, 2, "--stems takes one name or more");
  refused({"--two-stems="}, 2, "--two-stems takes a text, and got none");
  refused({"--overlap", "0.5"}, 2, "leave --overlap out");
  refused({"--transition-power", "2"}, 2, "has no use for --transition-power");
  refused({"--format", "waw"}, 2, "Did you mean 'wav'?");
  refused({"--sample-format", "s42"}, 2, "--sample-format");
  refused({"--overlap", "1"}, 2, "--overlap takes a number from 0 to 0.99, not '1'.");
  refused({"--segmnt", "3"}, 2, "Did you mean '--segment'?");
  refused({"--device", "toaster"}, 1, "toaster");
}

TEST(SeparateCommand, NameTemplatesStayInTheFolderAndGiveEachStemAFile) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  WriteTestWav(folder / "...wav", 0.5);
  fs::create_directory(folder / "other");
  WriteTestWav(folder.path() / "other/song.flac", 0.5);
  ExpectRefused(folder, Separate(folder, {"song.wav", "--name", "{title}.{ext}"}), 2, "{title}");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--name", "{stem"}), 2, "{stem");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--name", "{track}.{ext}"}), 2, "put {stem} into --name");
  ExpectRefused(folder, Separate(folder, {"song.wav", "other", "--strict"}), 2, "would both be written");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--name", "../{stem}.{ext}"}), 2, "leaves the output folder");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--json", "./song.wav"}), 2, "over the input");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--bitrate", "128"}), 2, "--bitrate");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--name", std::string(250, 'x') + "{stem}.{ext}"}), 2,
                "too long");
  ExpectRefused(folder, Separate(folder, {"song.wav", "--stems", "harmonic", "-o", ".", "--name", "{track}.{ext}"}), 2,
                "over an input");
  // The track's name is "..": it must not lead out of the output folder.
  ASSERT_EQ(Separate(folder, {"...wav", "--name", "{track}/{stem}.{ext}"}).code, 0);
  EXPECT_EQ(FilesIn(folder / "out"), (Names{"_/harmonic.wav", "_/percussive.wav"}));
}

TEST(SeparateCommand, AnOutputFolderThatCannotBeIsRefusedFirst) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  const Ran ran = RunTimbre({"separate", "--model", "hpss", "song.wav", "-o", "song.wav/out"}, folder.path());
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("song.wav/out"), std::string::npos) << ran.err;
  EXPECT_EQ(FilesIn(folder.path()), (Names{"song.wav"}));
  if (geteuid() == 0) return;  // the superuser may write anywhere
  fs::create_directory(folder / "locked");
  fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  const Ran locked = RunTimbre({"separate", "--model", "hpss", "song.wav", "-o", "locked/out"}, folder.path());
  EXPECT_EQ(locked.code, 1);
  EXPECT_NE(locked.err.find("cannot be written to"), std::string::npos) << locked.err;
}

TEST(SeparateCommand, HostileCheckpointsAreRefused) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  WriteAll(folder / "empty.th", "");
  WriteAll(folder / "text.th", "no checkpoint");
  WriteAll(folder / "truncated.th", std::string("PK\x03\x04", 4) + std::string(200, '\0'));
  for (const char* name : {"empty.th", "text.th", "truncated.th"}) {
    ExpectRefused(folder, Separate(folder, {"-q", "song.wav", "--model", name}), 1, name);
  }
  ExpectRefused(folder, Separate(folder, {"-q", "song.wav", "--model", "."}), 1, "");
}

TEST(SeparateCommand, WithoutNetworkItNamesTheModelThatNeedsNone) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1);
  setenv("TIMBRE_OFFLINE", "1", 1);
  const Ran ran = RunTimbre({"separate", "song.wav", "-o", "out"}, folder.path());
  unsetenv("XDG_CACHE_HOME");
  unsetenv("TIMBRE_OFFLINE");
  ExpectRefused(folder, ran, 1, "hpss");
  EXPECT_NE(ran.err.find("955717e8"), std::string::npos) << ran.err;
}

TEST(SeparateCommand, MemoryDoesNotGrowWithTheLengthOfTheTrack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps freed memory";
#endif
  TempFolder folder;
  WriteTestWav(folder / "short.wav", 8);
  WriteTestWav(folder / "long.wav", 80);
  const auto peak = [&](const char* name) {
    const Ran ran = Separate(folder, {name, "--json", "-"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.code == 0 ? Json::parse(ran.out)["peak_memory_mb"].get<double>() : 0;
  };
  const double small = peak("short.wav"), large = peak("long.wav");
  EXPECT_GT(small, 0);
  EXPECT_LE(large, 1.1 * small);
}

// Hidden ones too.
size_t EntriesIn(const fs::path& folder) {
  std::error_code none;
  return static_cast<size_t>(std::distance(fs::recursive_directory_iterator(folder, none), {}));
}

// However it is ended, nothing of it stays: files that are being written have no names, and what has one is put away;
// of a killed process by the next.
TEST(SeparateCommand, NoSignalLeavesAnythingBehind) {
  TempFolder songs;
  WriteTestWav(songs / "song.wav", 60);
  WriteTestWav(songs / "short.wav", 0.5);
  const std::vector<std::string> chain = {"--from", "harmonic", "--from-model", "hpss"};
  const std::pair<std::vector<int>, std::vector<std::string>> ends[] = {
      {{SIGHUP}, {}}, {{SIGTERM, SIGHUP}, {}}, {{SIGINT, SIGINT}, chain}, {{SIGKILL}, {}}, {{SIGKILL}, chain}};
  for (const auto& [signals, more] : ends) {
    TempFolder folder;
    fs::create_hard_link(songs / "song.wav", folder / "song.wav");
    std::vector<std::string> words = {"separate", "--model", "hpss", "-o", "out", "song.wav", "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    Child child(words, folder.path());
    for (int i = 0; i < 6000 && child.ErrorsSoFar().find("separating song.wav: ") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (const int signal : signals) child.Signal(signal);
    const Ran ran = child.Wait();
    const bool killed = signals.front() == SIGKILL;
    // Of two that wait for a busy process the system hands over the one of the lower number first.
    const bool by_one = std::find(signals.begin(), signals.end(), ran.code - 128) != signals.end();
    EXPECT_TRUE(killed ? ran.code == 128 + SIGKILL : ran.code == 130 || by_one) << ran.code << ran.err;
    EXPECT_EQ(FilesIn(folder.path()), (Names{"song.wav"})) << ran.err;
    if (!killed) {
      EXPECT_EQ(EntriesIn(folder.path()), 1u) << ran.err;
      continue;
    }
    fs::create_hard_link(songs / "short.wav", folder / "short.wav");
    ASSERT_EQ(Separate(folder, {"short.wav"}).code, 0);
    for (const auto& entry : fs::recursive_directory_iterator(folder / "out")) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
    }
  }
}

// A limit on the size of files is an error in a sentence, not a death.
TEST(SeparateCommand, AFileThatMayNotGrowIsOneSentence) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 3);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = 100000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const auto ignored = std::signal(SIGXFSZ, SIG_DFL);
  const Ran ran = Separate(folder, {"-q", "song.wav"});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, ignored);
  ExpectRefused(folder, ran, 1, "File too large");
}

TEST(SeparateCommand, CtrlCLeavesNothingBehind) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 300);
  for (const int signal : {SIGINT, SIGTERM}) {
    Child child({"separate", "--model", "hpss", "-o", "out", "song.wav", "--threads", "1"}, folder.path());
    for (int i = 0; i < 600 && child.ErrorsSoFar().find("separating song.wav: ") == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    child.Signal(signal);
    const Ran ran = child.Wait();
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_NE(ran.err.find("timbre: "), std::string::npos) << ran.err;
    EXPECT_EQ(FilesIn(folder.path()), (Names{"song.wav"})) << ran.err;
  }
}

}  // namespace
}  // namespace timbre::testing
