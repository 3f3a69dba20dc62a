// `timbre run`: a job from a file does what the command does, bit for bit, and says the same.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "formats/midi.h"
#include "tests/parity/frames_support.h"
#include "tests/parity/speech_support.h"
#include "tests/support/environment.h"
#include "tests/support/job_pair.h"
#include "tests/support/json_schema.h"
#include "tests/support/sweep.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::ordered_json;

TEST(RunJobFile, SeparatesAsTheCommandDoes) {
  ExpectSame({{"separate", "--model", "hpss", "--format", "flac", "-o", "out", "a.wav", "b.wav"},
              {{"kind", "separate"},
               {"inputs", {"a.wav", "b.wav"}},
               {"options", {{"model", "hpss"}, {"format", "flac"}, {"output", "out"}}}}},
             [](const TempFolder& folder) {
               WriteTestWav(folder / "a.wav", 1);
               WriteTestWav(folder / "b.wav", 0.5, 22050);
             });
}

TEST(RunJobFile, MastersJoinsAndMeasuresAsTheCommandsDo) {
  const auto prepare = [](const TempFolder& folder) { WriteTestWav(folder / "a.wav", 1); };
  ExpectSame({{"master", "a.wav", "--preset", "rock_master", "--loudness", "-16", "-o", "out"},
              {{"kind", "master"},
               {"inputs", {"a.wav"}},
               {"options", {{"preset", "rock_master"}, {"loudness", -16}, {"output", "out"}}}}},
             prepare);
  ExpectSame(
      {{"join", "a.wav", "a.wav", "--crossfade", "0.5", "-o", "out.flac"},
       {{"kind", "join"}, {"inputs", {"a.wav", "a.wav"}}, {"options", {{"crossfade", 0.5}, {"output", "out.flac"}}}}},
      prepare);
  ExpectSame({{"combine", "a.wav", "a.wav", "--algorithm", "max_fft", "-o", "out.wav"},
              {{"kind", "combine"},
               {"inputs", {"a.wav", "a.wav"}},
               {"options", {{"algorithm", "max_fft"}, {"output", "out.wav"}}}}},
             prepare);
  ExpectSame({{"loudness", "a.wav", "--normalise", "-20", "-o", "out"},
              {{"kind", "loudness"}, {"inputs", {"a.wav"}}, {"options", {{"normalise", -20}, {"output", "out"}}}}},
             prepare);
  ExpectSame({{"style", "a.wav", "b.wav", "--match", "both", "-o", "out"},
              {{"kind", "style"}, {"inputs", {"a.wav", "b.wav"}}, {"options", {{"match", "both"}, {"output", "out"}}}}},
             [](const TempFolder& folder) {
               WriteTestWav(folder / "a.wav", 1);
               WriteTestWav(folder / "b.wav", 0.5, 48000);
             });
}

TEST(RunJobFile, TurnsDrumsIntoMidiAsTheCommandDoes) {
  ExpectSame({{"drums", "--separated", "-o", "out", "--set", "stems.kick.voices.kick.note=35", "stems"},
              {{"kind", "drums"},
               {"inputs", {"stems"}},
               {"options", {{"separated", true}, {"output", "out"}, {"set", {"stems.kick.voices.kick.note=35"}}}}}},
             [](const TempFolder& folder) {
               std::filesystem::create_directory(folder / "stems");
               WriteTestWav(folder / "stems" / "kick.wav", 2);
               WriteTestWav(folder / "stems" / "snare.wav", 2);
             });
}

TEST(RunJobFile, CleansSpeechAsTheCommandDoes) {
  ExpectSame({{"denoise", "-m", "model", "--mix", "0.5", "-o", "out", "a.wav"},
              {{"kind", "denoise"},
               {"inputs", {"a.wav"}},
               {"options", {{"model", "model"}, {"mix", 0.5}, {"output", "out"}}}}},
             [](const TempFolder& folder) {
               MakeSmallModelFolder(folder / "model");
               WriteTestWav(folder / "a.wav", 0.5);
             });
}

TEST(RunJobFile, DecodesFramesAsTheCommandDoes) {
  ExpectSame({{"frames", "decode", "l.safetensors", "-m", "model", "--mode", "whole", "-o", "out.safetensors"},
              {{"kind", "frames"},
               {"inputs", {"decode", "l.safetensors"}},
               {"options", {{"model", "model"}, {"mode", "whole"}, {"output", "out.safetensors"}}}}},
             [](const TempFolder& folder) {
               HunyuanVaeConfig config;
               config.block_out_channels = {16, 24, 32, 32};
               config.layers_per_block = 1;
               config.norm_num_groups = 8;
               MakeVaeFolder(folder / "model", config);
               TensorMap latents;
               latents.emplace("latents", HostTensor::FromF32({16, 2, 1, 2}, std::vector<float>(64, 0.5f)));
               ASSERT_TRUE(WriteSafetensors((folder / "l.safetensors").string(), latents));
             });
}

TEST(RunJobFile, ScoresAsTheCommandDoes) {
  ExpectSame({{"score", "a.wav", "b.wav", "--shorter"},
              {{"kind", "score"}, {"inputs", {"a.wav", "b.wav"}}, {"options", {{"shorter", true}}}}},
             [](const TempFolder& folder) {
               WriteTestWav(folder / "a.wav", 2);
               WriteTestWav(folder / "b.wav", 1.5);
             });
}

TEST(RunJobFile, DrawsNotesAsTheCommandDoes) {
  ExpectSame({{"notes", "drums.mid", "--size", "160x90", "--fps", "10", "-o", "out.mp4"},
              {{"kind", "notes"},
               {"inputs", {"drums.mid"}},
               {"options", {{"size", "160x90"}, {"fps", 10}, {"output", "out.mp4"}}}}},
             [](const TempFolder& folder) {
               MidiSong song;
               song.metres = {{0, 4}};
               for (int64_t i = 0; i < 4; ++i) song.notes.push_back({i * 480, 60, 10, 36, 100});
               EXPECT_TRUE(WriteMidi(song, (folder / "drums.mid").string()));
             });
}

// What is measured differs, and no more.
TEST(RunJobFile, MeasuresNetworksAndKernelsAsTheCommandDoes) {
  const auto nothing = [](const TempFolder&) {};
  const std::vector<std::string> figures = {"seconds",
                                            "gflops",
                                            "runs",
                                            "seconds_per_tile",
                                            "peak_gflops",
                                            "fraction_of_peak",
                                            "operators",
                                            "memory_read_gb_per_s",
                                            "memory_triad_gb_per_s"};
  ExpectSame({{"bench", "gtcrn", "-n", "1", "--threads", "1", "--device", "cpu"},
              {{"kind", "bench"}, {"inputs", {"gtcrn"}}, {"options", {{"runs", 1}, {"threads", 1}, {"device", "cpu"}}}},
              figures},
             nothing);
  ExpectSame({{"bench", "kernels", "--only", "bench_add/cpu.reference", "-n", "1", "--threads", "1"},
              {{"kind", "bench"},
               {"inputs", {"kernels"}},
               {"options", {{"runs", 1}, {"threads", 1}, {"only", "bench_add/cpu.reference"}}}},
              figures},
             nothing);
}

// Each looks at every kernel of every instruction set that this processor has.
TEST(RunJobFile, ExaminesKernelsAsTheCommandDoes) {
  TIMBRE_SWEEP_ONLY("timbre doctor from a file was");
  const TempFolder cache;
  const Environment environment({{"TIMBRE_CACHE", cache.path().string()}});
  ExpectSame({{"doctor", "--device", "cpu", "--models", "gtcrn"},
              {{"kind", "doctor"}, {"inputs", Json::array()}, {"options", {{"device", "cpu"}, {"models", {"gtcrn"}}}}},
              {"seconds_per_tile", "seconds_per_tile_cpu"}},
             [](const TempFolder&) {});
}

TEST(RunJobFile, AFailureReportsTheSame) {
  const TempFolder folder;
  WriteAll(folder / "job.json", R"({"kind": "separate", "inputs": ["gone.wav"], "options": {"model": "hpss"}})");
  const Ran ran = RunTimbre({"run", "job.json", "--json", "report.json"}, folder.path());
  const Ran command = RunTimbre({"separate", "--model", "hpss", "gone.wav", "--json", "other.json"}, folder.path());
  EXPECT_EQ(ran.code, command.code);
  EXPECT_EQ(ran.err, command.err);
  EXPECT_EQ(ReadAll(folder / "report.json"), ReadAll(folder / "other.json"));
  EXPECT_EQ(SchemaErrors(SchemasOf("separate")["report"], Json::parse(ReadAll(folder / "report.json"))),
            std::vector<std::string>());
}

TEST(RunJobFile, WhatIsNoJobIsRefused) {
  const TempFolder folder;
  WriteAll(folder / "job.json", "{\"kind\": \"separate\", \"inputs\": [\"x\"], \"options\": {\"sterns\": []}}");
  EXPECT_EQ(RunTimbre({"run", "job.json"}, folder.path()).code, 2);
  EXPECT_EQ(RunTimbre({"run", "gone.json"}, folder.path()).code, 1);
  EXPECT_EQ(RunTimbre({"run"}, folder.path()).code, 2);
  EXPECT_EQ(RunTimbre({"run", "--schema", "nothing"}, folder.path()).code, 1);
}

// Every line on stderr is an event, progress among them; stdout is left to what was asked for.
TEST(RunJobFile, ProgressForProgramsIsALineOfJsonAnEvent) {
  const TempFolder folder;
  WriteTestWav(folder / "a.wav", 2);
  WriteAll(folder / "job.json",
           R"({"kind": "separate", "inputs": ["a.wav"], "options": {"model": "hpss", "segment": 0.5}})");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run", "job.json", "--progress", "json"},
        std::vector<std::string>{"separate", "a.wav", "--model", "hpss", "--segment", "0.5", "--progress", "json"}}) {
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "");
    std::map<std::string, int> events;
    std::istringstream lines(ran.err);
    for (std::string line; std::getline(lines, line);) {
      const Json event = Json::parse(line);
      ++events[event["event"]];
      if (event["event"] != "progress") continue;
      EXPECT_EQ(event["subject"], "a.wav");
      EXPECT_TRUE(event["done"].is_number_integer()) << line;
    }
    EXPECT_GE(events["progress"], 1);
    EXPECT_EQ(events["begin"], 1);
    EXPECT_EQ(events["end"], 1);
    EXPECT_EQ(events["error"], 0);
  }
  const Ran failed = RunTimbre({"separate", "gone.wav", "--model", "hpss", "--progress", "json"}, folder.path());
  EXPECT_EQ(failed.code, 1);
  const Json error = Json::parse(failed.err);
  EXPECT_EQ(error["event"], "error");
  EXPECT_EQ(error["kind"], "not found");
}

}  // namespace
}  // namespace timbre::testing
