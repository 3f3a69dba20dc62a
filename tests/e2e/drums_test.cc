// `timbre drums` from outside.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "audio/decode.h"
#include "audio/encode.h"
#include "formats/midi.h"
#include "tests/drum_synth.h"
#include "tests/e2e/program.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

void WriteWav(const fs::path& path, const std::vector<float>& samples, int rate) {
  auto writer =
      AudioWriter::Create(path.string(), {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone}, rate, 1);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(samples.data(), static_cast<int64_t>(samples.size())));
  ASSERT_TRUE((*writer)->Finish());
}

SynthTrack WriteStems(const fs::path& folder, uint64_t seed) {
  SynthTrack track = SynthesiseDrums(seed, {.tempo = 118, .drift = 0});
  fs::create_directories(folder);
  for (const auto& [name, signal] : track.stems) {
    WriteWav(folder / (name == "hihat" ? "song-HH.wav" : name + ".wav"), signal, static_cast<int>(track.rate));
  }
  return track;
}

// One line on stderr, nothing on stdout, and nothing left behind.
void ExpectRefused(const TempFolder& folder, const Ran& ran, int code, const std::string& part) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  EXPECT_FALSE(fs::exists(folder / "out")) << ran.err;
}

TEST(DrumsCommand, HitsThatWereCorrectedMakeTheMidiAnew) {
  TempFolder folder;
  WriteAll(folder / "take.json",
           R"({"seconds": 2, "tempo_bpm": 120, "beats": [0, 0.5, 1, 1.5, 2], "downbeat": 0, "stems": [
               {"name": "snare", "hits": [{"seconds": 0.52, "note": 38, "velocity": 90},
                                          {"seconds": 1.1, "kept": false, "reason": "by hand"}]}]})");
  const Ran ran = RunTimbre(
      {"drums", "--hits", "take.json", "-o", "out", "--quantise", "1/8", "--save-hits", "--json", "again.json"},
      folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(FilesIn(folder / "out"), (std::vector<std::string>{"take.hits.json", "take.mid"}));
  const auto song = ReadMidi((folder / "out" / "take.mid").string());
  ASSERT_TRUE(song) << song.error().message;
  ASSERT_EQ(song->notes.size(), 1u);
  EXPECT_EQ(song->notes[0].note, 38);
  EXPECT_NEAR(song->NoteSeconds()[0], 0.5, 1e-3);
  // The hits keep the times at which they were played: they can be moved to another grid, or none.
  const Ran unmoved = RunTimbre({"drums", "--hits", "out/take.hits.json", "-o", "played"}, folder.path());
  ASSERT_EQ(unmoved.code, 0) << unmoved.err;
  const auto played = ReadMidi((folder / "played" / "take.mid").string());
  ASSERT_TRUE(played) << played.error().message;
  EXPECT_NEAR(played->NoteSeconds()[0], 0.52, 1e-3);
  // A report is such a file too, and can be drawn.
  const Ran again = RunTimbre({"drums", "--hits", "again.json", "-o", "drawn", "--video", "out.mp4"}, folder.path());
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_GT(fs::file_size(folder / "out.mp4"), 1000u);
}

TEST(DrumsCommand, NotesGoWhereAProgramHasItsDrumsAndPicturesStayTheSame) {
  TempFolder folder;
  WriteAll(folder / "take.json",
           R"({"seconds": 1, "stems": [{"name": "hihat", "hits": [{"seconds": 0.1, "note": 42, "velocity": 90}]},
                                       {"name": "toms", "hits": [{"seconds": 0.2, "note": 50, "velocity": 90},
                                                                 {"seconds": 0.3, "note": 54, "velocity": 90}]}]})");
  const Ran ran = RunTimbre({"drums", "--hits", "take.json", "-o", "out", "--map", "addictive", "--video", "take.mp4",
                             "--video-size", "320x180", "--video-fps", "10", "--video-portrait", "--save-hits"},
                            folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("Addictive Drums 2 has no place for General MIDI's note 54"), std::string::npos) << ran.err;
  const auto song = ReadMidi((folder / "out" / "take.mid").string());
  ASSERT_TRUE(song) << song.error().message;
  ASSERT_EQ(song->notes.size(), 2u);
  EXPECT_EQ(song->notes[0].note, 49);
  EXPECT_EQ(song->notes[1].note, 71);
  // The hits stay General MIDI's, and so the video has its lanes: no note is unknown.
  EXPECT_EQ(Json::parse(ReadAll(folder / "out" / "take.hits.json"))["stems"][0]["hits"][0]["note"], 42);
  EXPECT_EQ(ran.err.find("No lane"), std::string::npos) << ran.err;
  EXPECT_GT(fs::file_size(folder / "take.mp4"), 1000u);
}

TEST(DrumsCommand, WhatMakesNoSenseOfHitsLeavesNothing) {
  TempFolder folder;
  WriteAll(folder / "hits.json",
           R"({"stems": [{"name": "snare", "hits": [{"seconds": 1, "note": 38, "velocity": 90}]}]})");
  WriteAll(folder / "bad.json", R"({"stems": [{"name": "gong", "hits": []}]})");
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"drums", "-o", "out"};
    words.insert(words.end(), more.begin(), more.end());
    return RunTimbre(words, folder.path());
  };
  ExpectRefused(folder, run({}), 2, "--hits");
  ExpectRefused(folder, run({"--hits", "gone.json"}), 1, "gone.json");
  ExpectRefused(folder, run({"--hits", "bad.json"}), 2, "stems[0]");
  ExpectRefused(folder, run({"--hits", "hits.json", "x.wav"}), 2, "inputs");
  ExpectRefused(folder, run({"--hits", "hits.json", "--quantise", "1/7"}), 2, "1/4");
  ExpectRefused(folder, run({"--hits", "hits.json", "--swing", "0.6"}), 2, "--quantise");
  ExpectRefused(folder, run({"--hits", "hits.json", "--quantise", "1/8t", "--swing", "0.6"}), 2, "triplets");
  ExpectRefused(folder, run({"--hits", "hits.json", "--plot", "x.png"}), 2, "--hits");
  ExpectRefused(folder, run({"--hits", "hits.json", "--video", "x.avi"}), 2, ".mp4");
  ExpectRefused(folder, run({"--hits", "hits.json", "--video", "x.mp4", "--video-size", "huge"}), 2, "'huge'");
  ExpectRefused(folder, run({"--hits", "hits.json", "--video-fps", "30"}), 2, "--video");
  ExpectRefused(folder, run({"--hits", "hits.json", "--video-audio", "x.wav"}), 2, "--video is not given");
  ExpectRefused(folder, run({"x.wav", "--video", "x.mp4", "--video-audio", "x.wav"}), 2, "the track is the sound");
  ExpectRefused(folder, run({"--hits", "hits.json", "--video", "out/x.mp4", "--video-audio", "gone.wav"}), 1,
                "gone.wav");
  ExpectRefused(folder, run({"x.wav", "--map", "addictive", "--learn", "x.mid"}), 2, "leave --map out");
  ExpectRefused(folder, run({"--hits", "hits.json", "--map", "bfd"}), 2, "addictive");
}

// Stems have no sound of their own, nor has what comes through a pipe: a video of them is silent with a warning, or has
// the sound that is named.
TEST(DrumsCommand, AVideoOfStemsHasTheSoundThatIsNamed) {
  TempFolder folder;
  WriteStems(folder / "take", 12);
  WriteTestWav(folder / "song.wav", 1);
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"drums", "--separated",  "take",  "-o",          "out", "--video",
                                      "v.mp4", "--video-size", "64x64", "--video-fps", "10"};
    words.insert(words.end(), more.begin(), more.end());
    return RunTimbre(words, folder.path());
  };
  ExpectRefused(folder, run({"--video-audio", "gone.wav"}), 1, "gone.wav");
  const Ran silent = run({});
  ASSERT_EQ(silent.code, 0) << silent.err;
  EXPECT_NE(silent.err.find("v.mp4: it has no sound; --video-audio names one"), std::string::npos) << silent.err;
  EXPECT_FALSE(ReadAudioFile((folder / "v.mp4").string(), 10'000'000));
  const Ran named = run({"--video-audio", "song.wav"});
  ASSERT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(named.err.find("no sound"), std::string::npos) << named.err;
  EXPECT_TRUE(ReadAudioFile((folder / "v.mp4").string(), 10'000'000));
}

TEST(DrumsCommand, StemsBecomeMidiAPictureAndAReport) {
  TempFolder folder;
  const SynthTrack track = WriteStems(folder / "take", 12);
  const Ran ran = RunTimbre(
      {"drums", "--separated", "take/", "-o", "out", "--plot", "take.png", "--json", "report.json"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("118.0 beats a minute"), std::string::npos) << ran.out;
  EXPECT_EQ(FilesIn(folder / "out"), std::vector<std::string>{"take.mid"});
  EXPECT_TRUE(ReadAll(folder / "take.png").starts_with("\x89PNG"));
  const Json report = Json::parse(ReadAll(folder / "report.json"));
  EXPECT_NEAR(report["tracks"][0]["drums"]["tempo_bpm"].get<double>(), 118, 0.2);
  EXPECT_EQ(report["tracks"][0]["drums"]["stems"].size(), 5u);

  const auto song = ReadMidi((folder / "out" / "take.mid").string());
  ASSERT_TRUE(song) << song.error().message;
  ASSERT_FALSE(song->tempi.empty());
  EXPECT_EQ(song->tempi[0].tick, 0);
  EXPECT_NEAR(6e7 / song->tempi[0].microseconds_per_beat, 118, 0.2);
  std::vector<double> kicks, wanted;
  const auto times = song->NoteSeconds();
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_EQ(song->notes[i].channel, 10);
    if (song->notes[i].note == 36) kicks.push_back(times[i]);
  }
  for (const SynthHit& hit : track.hits) {
    if (hit.stem == "kick") wanted.push_back(hit.seconds);
  }
  EXPECT_GE(MatchTimes(wanted, kicks, 0.03).Value(), 0.95);
}

TEST(DrumsCommand, TheFolderHereHasItsRealName) {
  TempFolder folder;
  WriteStems(folder / "take", 2);
  const Ran ran = RunTimbre({"drums", "--separated", ".", "-o", "../out"}, folder / "take");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(FilesIn(folder / "out"), std::vector<std::string>{"take.mid"});
}

// A picture that cannot be written: the MIDI file of the last run is as it was.
// Its hits are missing from where it ends.
TEST(DrumsCommand, TellsOfAStemThatIsCutShort) {
  TempFolder folder;
  (void)WriteStems(folder / "take", 1001);
  const std::string kick = ReadAll(folder / "take/kick.wav");
  WriteAll(folder / "take/kick.wav", kick.substr(0, kick.size() / 2));
  const Ran ran = RunTimbre({"drums", "--separated", "take", "-o", "out"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("warning: take/kick.wav: "), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("snare.wav: "), std::string::npos) << ran.err;
}

TEST(DrumsCommand, OutputsAreReplacedTogether) {
  TempFolder folder;
  WriteStems(folder / "take", 2);
  fs::create_directories(folder / "out");
  WriteAll(folder / "out/take.mid", "old");
  const Ran ran =
      RunTimbre({"drums", "--separated", "take", "-o", "out", "--plot", "take/kick.wav/x.png"}, folder.path());
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_EQ(ReadAll(folder / "out/take.mid"), "old");
}

TEST(DrumsCommand, LearnedThresholdsAreTakenBackWithConfig) {
  TempFolder folder;
  WriteStems(folder / "take", 13);
  ASSERT_EQ(RunTimbre({"drums", "--separated", "take", "-o", "right"}, folder.path()).code, 0);
  // Everything quieter than the loudest hits is dropped, until learning brings it back.
  WriteAll(folder / "bad.yaml", "stems: {kick: {keep: {level_db: {min: -0.5}}}}\n");
  const Ran learn = RunTimbre({"drums", "--separated", "take", "-o", "wrong", "--config", "bad.yaml", "--learn",
                               "right/take.mid", "--learned", "learned.yaml"},
                              folder.path());
  ASSERT_EQ(learn.code, 0) << learn.err;
  const Ran again =
      RunTimbre({"drums", "--separated", "take", "-o", "again", "--config", "learned.yaml"}, folder.path());
  ASSERT_EQ(again.code, 0) << again.err;
  auto kicks = [&](const char* from) {
    const auto song = ReadMidi((folder / from / "take.mid").string());
    EXPECT_TRUE(song);
    return std::count_if(song->notes.begin(), song->notes.end(), [](const MidiNote& n) { return n.note == 36; });
  };
  EXPECT_LT(static_cast<double>(kicks("wrong")), 0.7 * static_cast<double>(kicks("right")));
  EXPECT_GT(static_cast<double>(kicks("again")), 0.97 * static_cast<double>(kicks("right")));
}

TEST(DrumsCommand, TheTempoIsLookedForInTheRangeThatIsGiven) {
  TempFolder folder;
  WriteStems(folder / "take", 12);
  for (const auto& [range, wanted] : {std::pair{"40-80", 59.0}, {"150-300", 236.0}}) {
    const Ran ran = RunTimbre({"drums", "--separated", "take", "-o", "out", "--tempo-range", range, "--json", "r.json"},
                              folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json report = Json::parse(ReadAll(folder / "r.json"));
    EXPECT_NEAR(report["tracks"][0]["drums"]["tempo_bpm"].get<double>(), wanted, 0.01 * wanted) << range;
  }
}

TEST(DrumsCommand, AMetreThatIsGivenIsThatOfTheMidiFile) {
  TempFolder folder;
  WriteStems(folder / "take", 12);
  for (const auto& option : {std::pair{"--metre", "6/8"}, {"--set", "tempo.metre=6/8"}}) {
    const Ran ran = RunTimbre(
        {"drums", "--separated", "take", "-o", "out", option.first, option.second, "--json", "r.json"}, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json report = Json::parse(ReadAll(folder / "r.json"));
    EXPECT_EQ(report["tracks"][0]["drums"]["metre"], "6/8");
    EXPECT_EQ(report["tracks"][0]["drums"]["metre_confidence"], 1);
    const auto song = ReadMidi((folder / "out" / "take.mid").string());
    ASSERT_TRUE(song);
    for (const MidiMetre& metre : song->metres) EXPECT_EQ(std::pair(metre.beats, metre.unit), std::pair(6, 8));
  }
}

TEST(DrumsCommand, SilenceGivesMidiWithoutNotes) {
  TempFolder folder;
  fs::create_directories(folder / "still");
  for (const char* stem : {"kick.wav", "snare.wav"})
    WriteWav(folder / "still" / stem, std::vector<float>(44100), 44100);
  const Ran ran = RunTimbre({"drums", "--separated", "still", "-o", "out"}, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("0 hits, no tempo found"), std::string::npos) << ran.out;
  const auto song = ReadMidi((folder / "out" / "still.mid").string());
  ASSERT_TRUE(song);
  EXPECT_TRUE(song->notes.empty());
}

TEST(DrumsCommand, SeparatesByItselfAndKeepsOnlyWhatItIsAskedTo) {
  const std::string model = testing::SourceDir() + "/../shared/goldens/mdx23c/mdx23c-tiny.ckpt";
  if (!fs::exists(model)) GTEST_SKIP() << "SKIPPED: there is no " << model << ".";
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 4);
  const Ran late = RunTimbre({"drums", "song.wav", "-m", model, "-o", "out", "--start", "1:00"}, folder.path());
  EXPECT_EQ(late.code, 2);
  EXPECT_NE(late.err.find("'song.wav' ends at 4.00 s"), std::string::npos) << late.err;
  EXPECT_FALSE(fs::exists(folder / "out"));
  const Ran dry = RunTimbre({"drums", "song.wav", "-m", model, "-o", "out", "--dry-run", "--json", "-"}, folder.path());
  ASSERT_EQ(dry.code, 0) << dry.err;
  EXPECT_FALSE(fs::exists(folder / "out"));
  const auto plan = nlohmann::json::parse(dry.out)["plan"];
  EXPECT_EQ(plan["tracks"][0]["outputs"], nlohmann::json({"out/song.mid"}));
  EXPECT_NEAR(plan["temporary_mb"].get<double>(), 5 * 4 * 44100 * 2 * 4 / 1e6, 1e-9);  // stems
  // Elsewhere than the output, where another file system can be had.
  struct stat here = {}, there = {};
  if (stat(folder.path().c_str(), &here) == 0 && stat("/dev/shm", &there) == 0 && here.st_dev != there.st_dev) {
    const Ran apart =
        RunTimbre({"drums", "song.wav", "-m", model, "-o", "out", "--dry-run", "--temp", "/dev/shm"}, folder.path());
    ASSERT_EQ(apart.code, 0) << apart.err;
    EXPECT_NE(apart.out.find(" in /dev/shm; "), std::string::npos) << apart.out;
  }
  ASSERT_EQ(RunTimbre({"drums", "song.wav", "-m", model, "-o", "out"}, folder.path()).code, 0);
  EXPECT_EQ(FilesIn(folder / "out"), std::vector<std::string>{"song.mid"});
  ASSERT_EQ(RunTimbre({"drums", "song.wav", "-m", model, "-o", "kept", "--keep-stems", "--from", "percussive",
                       "--from-model", "hpss", "--start", "1", "--duration", "2"},
                      folder.path())
                .code,
            0);
  EXPECT_EQ(FilesIn(folder / "kept"), (std::vector<std::string>{"song.mid", "song/cymbals.wav", "song/hh.wav",
                                                                "song/kick.wav", "song/snare.wav", "song/toms.wav"}));
  const auto kick = ReadAudioFile((folder / "kept/song/kick.wav").string(), 1 << 20);
  ASSERT_TRUE(kick) << kick.error().message;
  EXPECT_EQ(kick->frames(), 2 * 44100);
}

TEST(DrumsCommand, WhatMakesNoSenseIsRefusedInOneSentence) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 1);
  fs::create_directories(folder / "stems");
  fs::create_directories(folder / "two");
  WriteAll(folder / "text.mid", "no MIDI at all");
  auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"drums", "-o", "out"});
    return RunTimbre(words, folder.path());
  };
  ExpectRefused(folder, run({"song.wav", "-m", "hpss"}), 2, "mdx23c-drumsep");
  ExpectRefused(folder, run({"song.wav", "-m", "nothing"}), 1, "nothing");
  ExpectRefused(folder,
                run({"song.wav", "-m", "hpss", "--from", "drums,drums", "--from-model", "hpss,htdemucs", "--dry-run"}),
                1, "a dry run fetches nothing, and the model htdemucs");
  ExpectRefused(folder, run({"song.wav", "--set", "stems.kik.offset_ms=3"}), 2, "Did you mean 'kick'?");
  ExpectRefused(folder, run({"song.wav", "--set", "stems.kick.offset_ms=soon"}), 2, "must be a number");
  ExpectRefused(folder, run({"song.wav", "--plot", "song.gif"}), 2, ".svg");
  ExpectRefused(folder, run({"song.wav", "--metre", "5/4"}), 2, "--metre cannot be");
  ExpectRefused(folder, run({"song.wav", "--set", "tempo.metre=6/4"}), 2, "tempo.metre must be one of");
  for (const char* range : {"80", "80-", "160-80", "80-80", "10-80", "80-1000", "80-nan", "80-160x"}) {
    ExpectRefused(folder, run({"song.wav", "--tempo-range", range}), 2, "--tempo-range takes");
  }
  ExpectRefused(folder, run({"song.wav", "--learn", "text.mid"}), 1, "MThd");
  ExpectRefused(folder, run({"song.wav", "--separated"}), 2, "no folder");
  WriteAll(folder / "two" / "kick.wav", "no audio at all");
  EXPECT_EQ(run({"two", "--separated"}).code, 1);
  WriteAll(folder / "two" / "a-kick.wav", "nor this");
  EXPECT_EQ(run({"two", "--separated"}).code, 2);
}

}  // namespace
}  // namespace timbre::testing
