// Defaults that the user has written down, and presets, through the program.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class ConfigFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "home/timbre");
    WriteTestWav(folder_ / "a.wav", 0.2);
  }
  void Config(const std::string& yaml) { WriteAll(folder_ / "home/timbre/config.yaml", yaml); }
  Ran Run(Words words) { return RunTimbre(words, folder_.path()); }
  // The options that a run reports.
  Json Options(Words more) {
    Words words = {"separate", "a.wav", "--json", "report.json"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = Run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.code == 0 ? Json::parse(ReadAll(folder_ / "report.json"))["options"] : Json();
  }

  TempFolder folder_;
  const Environment environment_{{{"XDG_CONFIG_HOME", (folder_ / "home").string()}}};
};

// A default that can't be asked for beside what is given stays away, of presets too.
TEST_F(ConfigFiles, GiveWayToWhatExcludesThem) {
  Config("separate: {model: hpss, stems: [harmonic]}\n");
  const Json options = Options({"--two-stems", "percussive"});
  EXPECT_EQ(options["two_stems"], "percussive");
  EXPECT_EQ(options["stems"], Json::array());
  WriteAll(folder_ / "home/timbre/presets.yaml", "mine: {kind: separate, options: {two_stems: percussive}}\n");
  EXPECT_EQ(Options({"--preset", "mine"})["stems"], Json::array());
  EXPECT_EQ(Options({"--preset", "mine", "--stems", "harmonic"})["two_stems"], "");
  EXPECT_NE(Run({"separate", "a.wav", "--stems", "harmonic", "--two-stems", "harmonic"}).err.find("exclude each other"),
            std::string::npos);
}

// Nor one that has no effect beside what is given.
TEST_F(ConfigFiles, GiveWayWhereTheyHaveNoEffect) {
  Config("separate: {model: hpss, format: mp3, bitrate: 192}\n");
  EXPECT_EQ(Options({})["bitrate"], 192);
  const Json options = Options({"--format", "wav"});
  EXPECT_EQ(options["format"], "wav");
  EXPECT_EQ(options["bitrate"], Json());
  Config("separate: {model: hpss, sample-format: s24}\n");
  EXPECT_EQ(Options({"--format", "mp3"})["sample_format"], "s16");
  EXPECT_EQ(Options({"--format", "flac"})["sample_format"], "s24");
  // What the command line itself asks for in vain is an error all the same.
  EXPECT_NE(Run({"separate", "a.wav", "--format", "wav", "--bitrate", "192"}).err.find("--bitrate has no effect"),
            std::string::npos);
  // A preset's, on the command line and in a job's file alike.
  WriteAll(folder_ / "home/timbre/presets.yaml",
           "mine: {kind: separate, options: {model: \"hpss,hpss\", ensemble: max_fft}}\n");
  EXPECT_EQ(Options({"--preset", "mine", "--model", "hpss"})["ensemble"], "avg_wave");
  WriteAll(folder_ / "job.json",
           R"({"kind": "separate", "inputs": ["a.wav"], "options": {"preset": "mine", "model": "hpss"}})");
  const Ran ran = Run({"run", "job.json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  WriteAll(folder_ / "job.json", R"({"kind": "separate", "inputs": ["a.wav"], "options": {"preset": "mine",)"
                                 R"( "model": "hpss", "ensemble": "min_fft"}})");
  EXPECT_NE(Run({"run", "job.json"}).err.find("'ensemble' has no effect"), std::string::npos);
}

TEST_F(ConfigFiles, GiveWhatTheCommandLineDoesNot) {
  Config(
      "# mine\n"
      "separate:\n"
      "  model: hpss\n"
      "  format: flac\n"
      "  stems: [harmonic]\n"
      "  tags: false\n"
      "  skip_existing: true   # as in a job's JSON\n"
      "  overlap:\n"
      "denoise: {atten-lim: 12}\n"
      "drums:\n");
  const Json options = Options({});
  EXPECT_EQ(options["format"], "flac");
  EXPECT_EQ(options["stems"], Json({"harmonic"}));
  EXPECT_EQ(options["tags"], false);
  EXPECT_EQ(options["skip_existing"], true);
  EXPECT_EQ(FilesIn(folder_ / "separated"), (Words{"hpss/a/harmonic.flac"}));
  // The command line wins, and can take back what a flag has set.
  const Json other = Options({"--format", "wav", "--stems", "percussive", "--tags", "--no-skip-existing"});
  EXPECT_EQ(other["format"], "wav");
  EXPECT_EQ(other["stems"], Json({"percussive"}));
  EXPECT_EQ(other["tags"], true);
  EXPECT_EQ(other["skip_existing"], false);
  const Json without = Options({"--no-config", "--model", "hpss"});
  EXPECT_EQ(without["format"], "wav");
  EXPECT_EQ(without["tags"], true);
  EXPECT_NE(Run({"separate", "a.wav", "--tags", "--no-tags", "--no-config"}).err.find("exclude each other"),
            std::string::npos);
}

TEST_F(ConfigFiles, AnotherOneByAVariable) {
  Config("separate: {format: flac}\n");
  WriteAll(folder_ / "other.yaml", "separate: {model: hpss, sample-format: s24}\n");
  const Environment named{{{"TIMBRE_CONFIG", (folder_ / "other.yaml").string()}}};
  EXPECT_EQ(Options({})["sample_format"], "s24");
  const Environment missing{{{"TIMBRE_CONFIG", "nowhere.yaml"}}};
  const Ran ran = Run({"separate", "a.wav"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("TIMBRE_CONFIG: there is no file 'nowhere.yaml'"), std::string::npos) << ran.err;
  EXPECT_EQ(Run({"separate", "a.wav", "--no-config", "-m", "hpss"}).code, 0);
}

TEST_F(ConfigFiles, SayFileAndLineOfWhatIsWrong) {
  const auto expect = [&](const std::string& yaml, const std::string& part) {
    Config(yaml);
    const Ran ran = Run({"separate", "a.wav", "-m", "hpss"});
    EXPECT_EQ(ran.code, 2) << yaml;
    EXPECT_TRUE(ran.err.starts_with("timbre: ")) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find("config.yaml: "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(folder_ / "separated"));
  };
  expect("separate:\n  model: hpss\n  shifts: many\n",
         "line 3: --shifts takes a whole number from 0 to 100, not 'many'.");
  expect("\nseparate:\n  modell: hpss\n", "line 3: there is no option 'modell'. Did you mean 'model'?");
  expect("seperate:\n  model: hpss\n", "line 1: there is no command 'seperate'. Did you mean 'separate'?");
  expect("separate: hpss\n", "line 1: 'separate' takes a map of options");
  expect("separate:\n  model: [a, b]\n", "line 2: 'model' takes one value");
  expect("separate:\n  stems:\n    - [a]\n", "line 3: 'stems' takes a list of texts");
  expect("separate:\n  tags: perhaps\n", "line 2: --no-tags is true or false");
  expect("separate:\n  format: aiff\n", "line 2: --format cannot be 'aiff'");
  expect("separate:\n  input: a.wav\n", "line 2: there is no option 'input'");
  expect("separate:\n  no-config: true\n", "line 2: there is no option 'no-config'");
  expect("- separate\n", "it takes commands");
  expect("separate: {\n", "line ");
  expect("separate: {model: x}\nseparate: {model: y}\n", "'separate' is there twice");
}

// What stands for other options goes before the file's, and behind the command line's.
TEST_F(ConfigFiles, PresetsGoBeforeThem) {
  WriteAll(folder_ / "home/timbre/presets.yaml",
           "mine: {kind: separate, options: {model: hpss, format: flac, shifts: 0, stems: ['harmonic']}}\n");
  Config("separate: {format: ogg, sample-format: s16, batch: 2}\n");
  Json options = Options({"--preset", "mine"});
  EXPECT_EQ(options["format"], "flac");
  EXPECT_EQ(options["batch"], 2);
  options = Options({"--preset", "mine", "--format", "wav", "--stems", "percussive"});
  EXPECT_EQ(options["format"], "wav");
  EXPECT_EQ(options["stems"], Json({"percussive"}));
  Config("separate: {preset: mine}\n");
  EXPECT_EQ(Options({})["format"], "flac");

  const Ran list = Run({"separate", "--list-presets", "--no-config"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_NE(list.out.find("karaoke "), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("--model hpss --format flac"), std::string::npos) << list.out;
  EXPECT_EQ(list.out.find("drums-midi"), std::string::npos);
  EXPECT_NE(Run({"drums", "--list-presets"}).out.find("drums-midi"), std::string::npos);
  const Ran none = Run({"separate", "a.wav", "--preset", "drums-midi", "--no-config"});
  EXPECT_NE(none.code, 0);
  EXPECT_NE(none.err.find("'drums-midi' is a preset of drums, and not of separate."), std::string::npos) << none.err;
  WriteAll(folder_ / "home/timbre/presets.yaml", "mine: {kind: separate, options: {modell: hpss}}\n");
  const Ran bad = Run({"separate", "a.wav", "--preset", "mine"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("presets.yaml: preset 'mine': there is no option 'modell'. Did you mean 'model'?"),
            std::string::npos)
      << bad.err;
}

TEST_F(ConfigFiles, TheFirstScreenOfSeparatesHelpFits) {
  const std::string help = Run({"separate", "--help"}).out;
  const std::string first = help.substr(0, help.find("\n\n\n"));
  EXPECT_LE(std::count(first.begin(), first.end(), '\n'), 23) << first;
}

}  // namespace
}  // namespace timbre::testing
