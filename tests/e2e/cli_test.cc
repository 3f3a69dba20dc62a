// The program from outside: what it prints, where, and how it ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/program.h"
#include "tests/support/environment.h"
#include "tests/support/places.h"
#include "tests/vulkan/usable_device.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::json;

// Bad input ends in one line on stderr that starts with the program's name, and with `code`.
void ExpectOneSentence(const Ran& ran, int code, const std::string& part) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("timbre: ")) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
}

TEST(Cli, HelpAndVersionGoToStdout) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"--version"},
                                                {"devices", "--help"},
                                                {"devices", "-h"},
                                                {"version"},
                                                {"help"},
                                                {"help", "help"},
                                                {"help", "version"},
                                                {"help", "devices"}}) {
    const Ran ran = RunTimbre(words);
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.err, "");
    EXPECT_NE(ran.out.find("timbre"), std::string::npos) << ran.out;
  }
}

// What was asked for and cannot be written is a failure; nothing else would tell a script.
TEST(Cli, AFullDiskUnderAListOrTheHelpIsAFailure) {
  for (const char* words :
       {"--help", "help", "--version", "devices", "devices --help", "models list", "models list --json -"}) {
    const TempFolder folder;
    const std::string errors = (folder / "errors").string();
    const std::string line = "'" + ProgramPath() + "' " + words + " > /dev/full 2> '" + errors + "'";
    const int status = std::system(line.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1) << words;
    EXPECT_NE(ReadAll(errors).find("timbre: "), std::string::npos) << words << ReadAll(errors);
  }
}

// A file that is opened gets the number of a stream that was closed: no message may land in it, nor it be read as
// input.
TEST(Cli, ClosedStreamsAreNoFiles) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 0.5);
  const auto run = [&](const std::string& line) {
    const int status = std::system(("cd '" + folder.path().string() + "' && '" + ProgramPath() + "' " + line).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  ASSERT_EQ(run("master a.wav -o open --json /dev/null > /dev/null 2>&1"), 0);
  EXPECT_EQ(run("master a.wav -o closed --json report.json <&- >&- 2>&-"), 1) << "its words could not be written";
  EXPECT_TRUE(ReadAll(folder / "closed/a.wav") == ReadAll(folder / "open/a.wav"));
  EXPECT_EQ(ReadAll(folder / "report.json").front(), '{');
  EXPECT_EQ(run("master a.wav --stdout >&- 2> errors"), 1);
  EXPECT_NE(ReadAll(folder / "errors").find("the standard output is closed"), std::string::npos);
  EXPECT_EQ(run("loudness - <&- > out 2> errors"), 1);
  EXPECT_EQ(ReadAll(folder / "errors").find("timbre: "), 0U) << ReadAll(folder / "errors");
  // Words that have nowhere to go cost nothing but themselves.
  EXPECT_EQ(run("master a.wav -o full > /dev/null 2> /dev/full"), 0);
  EXPECT_TRUE(ReadAll(folder / "full/a.wav") == ReadAll(folder / "open/a.wav"));
  EXPECT_EQ(run("master missing.wav 2> /dev/full"), 1);
}

// `head` has what it wanted: that is no full disk, and no failure.
TEST(Cli, AReaderOfAListWhoStopsIsNoFailure) {
  for (const char* words : {"models list", "models list --json -", "devices"}) {
    const TempFolder folder;
    // A pipe whose only reader is gone before the program starts.
    const std::string line = "cd '" + folder.path().string() + "' && mkfifo pipe && exec 3<>pipe 4>pipe 3>&- && '" +
                             ProgramPath() + "' " + words + " -q >&4 2>errors";
    const int status = std::system(line.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 0) << words;
    EXPECT_EQ(ReadAll(folder / "errors").find("timbre: "), std::string::npos) << words << ReadAll(folder / "errors");
  }
}

TEST(Cli, EveryCommandOfTheHelpHasHelp) {
  const std::string help = RunTimbre({"--help"}).out;
  size_t at = help.find("Commands:\n");
  ASSERT_NE(at, std::string::npos);
  int commands = 0;
  for (at = help.find('\n', at) + 1; help.compare(at, 2, "  ") == 0; at = help.find('\n', at) + 1) {
    const std::string name = help.substr(at + 2, help.find(' ', at + 2) - at - 2);
    const Ran ran = RunTimbre({name, "--help"});
    EXPECT_EQ(ran.code, 0) << name;
    EXPECT_NE(ran.out.find("Usage: timbre " + name), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("--json FILE|-"), std::string::npos) << ran.out;
    ++commands;
  }
  EXPECT_GT(commands, 0);
}

// What most people need of separate is on the first screen; what computes, and how, comes under headings below.
TEST(Cli, TheFirstScreenOfHelpHasWhatMostPeopleNeed) {
  const std::string help = RunTimbre({"separate", "--help"}).out;
  std::istringstream lines(help);
  std::string line, screen;
  for (int i = 0; i < 24 && std::getline(lines, line); ++i) {
    EXPECT_LE(line.size(), 110u) << line;
    screen += line + "\n";
  }
  for (const char* option : {"INPUT", "--model", "--output", "--stems", "--two-stems", "--format", "--recursive",
                             "--json", "--quiet", "--verbose"})
    EXPECT_NE(screen.find(option), std::string::npos) << option << " is not in\n" << screen;
  const size_t engine = help.find("\nEngine:\n");
  ASSERT_NE(engine, std::string::npos) << help;
  for (const char* option : {"--device", "--threads", "--strict", "--inject"})
    EXPECT_GT(help.find(option, engine), engine) << option;
  EXPECT_EQ(screen.find("--inject"), std::string::npos) << screen;
}

TEST(Cli, WhatDoesNotExistSuggestsTheNearest) {
  ExpectOneSentence(RunTimbre({}), 2, "a command is missing");
  ExpectOneSentence(RunTimbre({"devcies"}), 2, "Did you mean 'devices'?");
  ExpectOneSentence(RunTimbre({"zzzzzzzzzzzz"}), 2, "It can be one of: ");
  ExpectOneSentence(RunTimbre({"devices", "--jsom", "-"}), 2, "Did you mean '--json'?");
  ExpectOneSentence(RunTimbre({"devices", "-x"}), 2, "there is no option '-x'");
  ExpectOneSentence(RunTimbre({"devices", "more"}), 2, "one word too many");
  ExpectOneSentence(RunTimbre({"devices", "--json"}), 2, "--json needs a value");
  ExpectOneSentence(RunTimbre({"devices", "--quiet=3"}), 2, "--quiet takes no value");
  ExpectOneSentence(RunTimbre({"bad\n\x1b[31mname"}), 2, "there is no command 'bad ?[31mname'");
}

TEST(Cli, HelpAndVersionTakeNothingInVain) {
  EXPECT_EQ(RunTimbre({"version"}).out, RunTimbre({"--version"}).out);
  ExpectOneSentence(RunTimbre({"help", "devcies"}), 2, "Did you mean 'devices'?");
  ExpectOneSentence(RunTimbre({"help", "devices", "more"}), 2, "'more' is one word too many");
  ExpectOneSentence(RunTimbre({"version", "more"}), 2, "'more' is one word too many");
  ExpectOneSentence(RunTimbre({"verison"}), 2, "Did you mean 'version'?");
}

TEST(Cli, BehindTwoHyphensAreNoOptions) {
  TempFolder folder;
  WriteTestWav(folder / "-q", 0.1);
  WriteTestWav(folder / "--", 0.1);
  for (const char* file : {"-q", "--"}) {
    const Ran ran = RunTimbre({"separate", "-m", "hpss", "-o", "out", "--", file}, folder.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_TRUE(std::filesystem::exists(folder / "out/hpss" / file)) << file;
  }
  EXPECT_EQ(RunTimbre({"devices", "--"}).code, 0);
  ExpectOneSentence(RunTimbre({"devices", "--", "--quiet"}), 2, "'--quiet' is one word too many");
  ExpectOneSentence(RunTimbre({"score", "a.wav", "--", "b.wav", "c.wav"}), 2, "'c.wav' is one word too many");
  ExpectOneSentence(RunTimbre({"score", "--", "-a.wav"}), 2, "ESTIMATE is missing");
}

TEST(Cli, AnOptionTakesNoNeighbourForItsValue) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.1);
  const auto separate = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"separate", "-m", "hpss"});
    return RunTimbre(words, folder.path());
  };
  // An empty value is a value, and of a list none, which is not all.
  ExpectOneSentence(separate({"--stems=", "a.wav"}), 2, "--stems takes one name or more");
  EXPECT_FALSE(std::filesystem::exists(folder / "separated"));
  ExpectOneSentence(separate({"--shifts=", "a.wav"}), 2, "--shifts takes a whole number");
  ExpectOneSentence(separate({"--stems", "--quiet", "a.wav"}), 2, "--stems needs a value");
  ExpectOneSentence(separate({"a.wav", "-o", "--", "b.wav"}), 2, "-o needs a value");
  ExpectOneSentence(separate({"--recursive=", "a.wav"}), 2, "--recursive takes no value");
  // An option that may stand alone takes a number that follows, and checks it, and nothing else.
  const auto denoise = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"denoise", "-m", "no-such-model"});
    return RunTimbre(words, folder.path());
  };
  ExpectOneSentence(denoise({"--post-filter", "5", "a.wav"}), 2, "--post-filter takes a number from 0 to 1, not '5'");
  ExpectOneSentence(denoise({"--post-filter=", "a.wav"}), 2, "--post-filter takes a number from 0 to 1, not ''");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--post-filter", "a.wav"},
                                                {"--post-filter", "0.05", "a.wav"},
                                                {"a.wav", "--post-filter"},
                                                {"--post-filter=0.05", "a.wav"}}) {
    EXPECT_NE(denoise(words).err.find("no-such-model"), std::string::npos) << words[0];
  }
}

TEST(Cli, AnOptionWithoutEffectIsAnError) {
  TempFolder folder;
  WriteTestWav(folder / "a.wav", 0.1);
  std::filesystem::create_directory(folder / "stems");
  struct Case {
    std::vector<std::string> words;
    std::string part;
  };
  for (const Case& c : std::vector<Case>{
           {{"separate", "a.wav", "-m", "hpss", "--config", "nofile.yaml"}, "needs no configuration"},
           {{"separate", "a.wav", "-m", "hpss", "--seed", "3"}, "--seed has no effect"},
           {{"separate", "a.wav", "-m", "hpss", "--from-model", "hpss"}, "--from-model has no effect"},
           {{"separate", "a.wav", "-m", "hpss", "--bitrate", "128"}, "--bitrate has no effect"},
           {{"separate", "a.wav", "-m", "hpss", "--format", "mp3", "--sample-format", "s24"}, "--sample-format has no"},
           {{"combine", "a.wav", "a.wav", "-o", "c.MP3", "--sample-format", "s24"}, "mp3 has no choice of it"},
           {{"join", "a.wav", "-o", "c.m4a", "--format", "alac", "--bitrate", "128"}, "alac has no bitrate to choose"},
           {{"denoise", "a.wav", "--threshold-min", "-5"}, "--thresholds is not given"},
           {{"denoise", "a.wav", "--thresholds", "--no-df", "--threshold-max-df", "5"}, "--no-df leaves"},
           {{"denoise", "--live", "--format", "flac"}, "--format has no effect"},
           {{"drums", "a.wav", "--learned", "b.yaml"}, "--learn is not given"},
           {{"drums", "stems", "--separated", "-m", "larsnet"}, "--model has no effect"},
           {{"drums", "stems", "--separated", "--keep-stems"}, "--keep-stems has no effect"},
           {{"models", "list", "--offline"}, "fetches nothing"},
           {{"bench", "gtcrn", "--only", "x"}, "--only has no effect"},
           {{"bench", "kernels", "--batch", "2"}, "--batch has no effect"},
           {{"bench", "gtcrn", "--server", "http://localhost"}, "--server"}}) {
    ExpectOneSentence(RunTimbre(c.words, folder.path()), 2, c.part);
  }
}

TEST(Cli, DevicesAreReportedAsJson) {
  const Ran ran = RunTimbre({"devices", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_EQ(report["command"], "devices");
  EXPECT_FALSE(report["reason"].get<std::string>().empty());
  ASSERT_FALSE(report["devices"].empty());
  EXPECT_TRUE(std::any_of(report["devices"].begin(), report["devices"].end(),
                          [](const Json& device) { return device["device"] == "cpu"; }));
  EXPECT_NE(ran.err.find("auto takes"), std::string::npos);
  int taken = 0;
  for (const Json& device : report["devices"]) {
    taken += device["taken"].get<bool>();
    EXPECT_EQ(device["taken"].get<bool>(), device["why_not"].is_null());
    EXPECT_EQ(device["taken"].get<bool>(), device["device"] == report["auto"]);
  }
  EXPECT_EQ(taken, 1);
}

TEST(Cli, BenchReportsEveryFigure) {
  const Ran ran = RunTimbre(
      {"bench", "htdemucs-small", "--device", "cpu", "--runs", "1", "--threads", "1", "--profile", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_EQ(report["model"], "htdemucs-small");
  EXPECT_EQ(report["threads"], 1);
  for (const char* key : {"device", "simd_target"}) EXPECT_FALSE(report[key].get<std::string>().empty()) << key;
  for (const char* key : {"seconds_per_tile", "real_time_factor", "gflop_per_tile", "gflops", "peak_gflops",
                          "fraction_of_peak", "peak_memory_mb"}) {
    EXPECT_GT(report[key].get<double>(), 0) << key;
  }
  EXPECT_NEAR(report["gflops"].get<double>() * report["seconds_per_tile"].get<double>(),
              report["gflop_per_tile"].get<double>(), 1e-6);
  EXPECT_NEAR(report["fraction_of_peak"].get<double>() * report["peak_gflops"].get<double>(),
              report["gflops"].get<double>(), 1e-6);
  int nodes = 0;
  for (const Json& row : report["operators"]) nodes += row["nodes"].get<int>();
  EXPECT_EQ(nodes, report["nodes"].size());
  EXPECT_TRUE(report["steps_down"].empty());
  // The roofline: no bound lies above the peak, nor above what the memory can bring.
  const double peak = report["peak_gflops"].get<double>();
  const double memory =
      std::max(report["memory_read_gb_per_s"].get<double>(), report["memory_triad_gb_per_s"].get<double>());
  EXPECT_GT(memory, 0);
  for (const Json& node : report["nodes"]) {
    const double intensity = node["arithmetic_intensity"].get<double>(), bound = node["bound_gflops"].get<double>();
    EXPECT_NEAR(bound, std::min(peak, intensity * memory), 1e-6 * peak) << node;
    if (node["seconds"].get<double>() > 0) {
      EXPECT_GT(node["fraction_of_bound"].get<double>(), 0) << node;
    }
  }
}

TEST(Cli, BenchDrawsTheRoofline) {
  TempFolder folder;
  const auto bench = [&](const std::string& what, const std::string& picture) {
    return RunTimbre({"bench", what, "--device", "cpu", "--runs", "1", "--threads", "1", "--plot", picture},
                     folder.path());
  };
  const Ran ran = bench("gtcrn", "roof.svg");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string svg = ReadAll(folder / "roof.svg");
  EXPECT_NE(svg.find("<svg"), std::string::npos);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
  ExpectOneSentence(bench("gtcrn", "roof.gif"), 2, "must end in .png or .svg");
  ExpectOneSentence(bench("kernels", "roof.svg"), 2, "--plot draws a network's roofline");
  EXPECT_FALSE(std::filesystem::exists(folder / "roof.gif"));
}

TEST(Cli, AKernelThatFailsIsReplacedCountedAndShown) {
  const std::vector<std::string> bench = {"bench",    "htdemucs-small", "--runs", "1",
                                          "--inject", "kernel:20",      "--json", "-"};
  const Ran ran = RunTimbre(bench);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json steps = Json::parse(ran.out)["steps_down"];
  ASSERT_EQ(steps.size(), 1);
  for (const char* key : {"node", "from", "to", "reason"})
    EXPECT_FALSE(steps[0][key].get<std::string>().empty()) << key;
  EXPECT_NE(steps[0]["from"], steps[0]["to"]);
  EXPECT_EQ(steps[0]["count"], 1);
  EXPECT_NE(ran.err.find("warning: " + steps[0]["node"].get<std::string>()), std::string::npos) << ran.err;

  std::vector<std::string> strict = bench;
  strict.push_back("--strict");
  const Ran refused = RunTimbre(strict);
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("timbre: "), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find(steps[0]["node"].get<std::string>()), std::string::npos) << refused.err;
  ExpectOneSentence(RunTimbre({"explain", "htdemucs-small", "--inject", "kernal:3"}), 2, "kernal");
}

TEST(Cli, BenchRunsTheKernelsThatAreNamed) {
  const Ran ran = RunTimbre({"bench", "kernels", "--only", "bench_add/cpu.reference", "--runs", "1", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  ASSERT_EQ(report["kernels"].size(), 1);
  EXPECT_EQ(report["kernels"][0]["operator"], "binary");
  EXPECT_GT(report["kernels"][0]["gflops"].get<double>(), 0);
  const Ran none = RunTimbre({"bench", "kernels", "--only", "no such kernel"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.err.find("no such kernel"), std::string::npos);
}

TEST(Cli, BenchTimesCopiesToAGpuAndBack) {
  ExpectOneSentence(RunTimbre({"bench", "transfers", "--device", "cpu"}), 1, "is about a GPU");
  TIMBRE_NEED_VULKAN();
  const Ran ran = RunTimbre({"bench", "transfers", "--device", UsableDeviceName(), "--runs", "1", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_GT(report["submission_seconds"].get<double>(), 0);
  ASSERT_EQ(report["transfers"].size(), 9);
  EXPECT_EQ(report["transfers"][8]["bytes"], 256 << 20);
  EXPECT_GT(report["transfers"][8]["from_device_seconds"].get<double>(), 0);
}

TEST(Cli, ExplainShowsThePlanAndWhatSwitchingOffChanges) {
  const Ran fused = RunTimbre({"explain", "htdemucs-small"});
  ASSERT_EQ(fused.code, 0) << fused.err;
  EXPECT_NE(fused.out.find("crosstransformer"), std::string::npos);
  const Ran plain = RunTimbre({"explain", "htdemucs-small", "--disable", "fold,fusion,fast-kernels,static-plan"});
  ASSERT_EQ(plain.code, 0) << plain.err;
  EXPECT_TRUE(plain.out != fused.out);
  ExpectOneSentence(RunTimbre({"explain", "htdemucs-small", "--disable", "fuson"}), 2, "Did you mean 'fusion'?");
  ExpectOneSentence(RunTimbre({"explain", "htdemucs-smal"}), 2, "Did you mean 'htdemucs-small'?");
  ExpectOneSentence(RunTimbre({"explain", "htdemucs-small", "--device", "toaster"}), 1, "toaster");
}

TEST(Cli, AReportThatCannotBeWrittenIsAnErrorBeforeAnythingRuns) {
  ExpectOneSentence(RunTimbre({"devices", "--json", "/nonexistent/report.json"}), 1, "/nonexistent");
  EXPECT_EQ(RunTimbre({"devices", "--json", "/dev/null"}).code, 0);
}

// A variable with a typing mistake is no variable that was never set.
// What it would be written over is read by the command, or is what it makes.
TEST(Cli, AReportHasAFileOfItsOwn) {
  const TempFolder folder;
  const std::vector<std::string> there = {"a.wav", "song.hits.json", "song.mid", "song.yaml"};
  for (const std::string& name : there) WriteAll(folder / name, name);
  using Words = std::vector<std::string>;
  for (const Words& words : {Words{"drums", "--hits", "song.hits.json", "--json", "./song.hits.json"},
                             {"notes", "song.mid", "--json", "song.mid"},
                             {"notes", "song.mid", "--audio", "a.wav", "--json", "a.wav"},
                             {"join", "--timeline", "song.yaml", "--json", "song.yaml"},
                             {"join", "a.wav", "-o", "out.wav", "--json", "./out.wav"},
                             {"text", "x", "-m", "gone", "--logits", "x/../l.safetensors", "--json", "l.safetensors"},
                             {"drums", "a.wav", "--plot", "a.png", "--json", "a.png"}}) {
    ExpectOneSentence(
        RunTimbre(words, folder.path()), 2,
        words[0] == "notes" && words.size() == 4 ? "over the input 'song.mid'" : "give the report one of its own");
    EXPECT_EQ(FilesIn(folder.path()), there);
    for (const std::string& name : there) EXPECT_EQ(ReadAll(folder / name), name);
  }
}

TEST(Cli, AMalformedEnvironmentIsRefusedWithWhatIsAllowed) {
  struct Case {
    const char *name, *value, *allowed;
  };
  for (const Case& c :
       {Case{"TIMBRE_SIMD", "bogus", "on this machine"}, Case{"TIMBRE_VULKAN_TIMEOUT", "abc", "from 1 to 86400"},
        Case{"TIMBRE_VULKAN_TIMEOUT", "0", "from 1 to 86400"}, Case{"TIMBRE_VULKAN_TIMEOUT", "-3", "from 1 to 86400"},
        Case{"TIMBRE_VULKAN_TIMEOUT", "5 minutes", "from 1 to 86400"},
        Case{"TIMBRE_VULKAN_TIMEOUT", "99999999999999999999", "from 1 to 86400"},
        Case{"TIMBRE_VULKAN_VALIDATION", "yes", "0 or 1"}}) {
    const Environment environment(std::map<std::string, std::string>{{c.name, c.value}});
    const Ran ran = RunTimbre({"explain", "gtcrn", "--device", "cpu"});
    ExpectOneSentence(ran, 2, c.name);
    EXPECT_NE(ran.err.find(c.allowed), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(c.value), std::string::npos) << ran.err;
    EXPECT_EQ(RunTimbre({"explain", "--help"}).code, 0);
  }
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"TIMBRE_SIMD", ""}, {"TIMBRE_VULKAN_TIMEOUT", "86400"}, {"TIMBRE_VULKAN_VALIDATION", "0"}}) {
    const Environment environment(std::map<std::string, std::string>{{name, value}});
    EXPECT_EQ(RunTimbre({"explain", "gtcrn", "--device", "cpu"}).code, 0) << name;
  }
  const Environment environment(std::map<std::string, std::string>{{"TIMBRE_DEVICE", "vulcan"}});
  const Ran ran = RunTimbre({"explain", "gtcrn"});
  ExpectOneSentence(ran, 1, "TIMBRE_DEVICE=vulcan: ");
  EXPECT_EQ(ran.err.find("--device"), std::string::npos) << ran.err;
  EXPECT_EQ(RunTimbre({"explain", "gtcrn", "--device", "cpu"}).code, 0);
}

}  // namespace
}  // namespace timbre::testing
