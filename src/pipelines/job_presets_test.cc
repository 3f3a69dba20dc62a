#include "pipelines/job_presets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "models/catalogue.h"
#include "pipelines/job_json.h"
#include "pipelines/separate/model_choice.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

class JobPresetsTest : public ::testing::Test {
 protected:
  JobPresetsTest() { fs::create_directories(home_ / "timbre"); }
  void Write(const std::string& file, const std::string& text) { std::ofstream(home_ / "timbre" / file) << text; }

  const testing::TempFolder home_;
  const Environment environment_{{{"XDG_CONFIG_HOME", home_.path().string()}}};
};

// Of each preset that is compiled in: its options make a job, and its models are ones that there are and give the stems
// that it asks them for.
TEST_F(JobPresetsTest, WhatIsCompiledInCanBeUsed) {
  size_t count = 0;
  for (const char* kind : {"separate", "drums"}) {
    const auto presets = JobPresets(kind);
    ASSERT_TRUE(presets) << presets.error().message;
    for (const JobPreset& preset : *presets) {
      SCOPED_TRACE(preset.name);
      ++count;
      EXPECT_FALSE(preset.description.empty());
      const auto job = JobFromJson({{"kind", kind}, {"inputs", {"a.wav"}}, {"options", {{"preset", preset.name}}}});
      EXPECT_TRUE(job) << job.error().message;
      const auto text = [&](const char* key) { return preset.options.value(key, std::string()); };
      for (const char* key : {"model", "from_model"}) {
        if (text(key).empty()) continue;
        for (const std::string& name : ModelNames(text(key))) EXPECT_TRUE(FindModel(name)) << name;
      }
      if (text("from").empty()) continue;
      const std::vector<std::string> stems = ModelNames(text("from")), models = ModelNames(text("from_model"));
      ASSERT_EQ(stems.size(), models.size());
      for (size_t i = 0; i < stems.size(); ++i) {
        const auto& given = (*FindModel(models[i]))->stems;
        EXPECT_NE(std::find(given.begin(), given.end(), stems[i]), given.end()) << stems[i];
      }
    }
  }
  EXPECT_GE(count, 10u);
}

TEST_F(JobPresetsTest, TheUsersOwnReplaceThoseCompiledIn) {
  Write("presets-mine.yaml",
        "karaoke: {kind: separate, options: {model: hpss, shifts: 2}}\n"
        "quick: {kind: separate, description: mine, options: {model: hpss, stems: [harmonic]}}\n");
  Write("presets.yaml", "# nothing yet\n");
  Write("notes.yaml", "not: {a: preset}\n");
  const auto karaoke = PresetOptions("separate", "karaoke");
  ASSERT_TRUE(karaoke) << karaoke.error().message;
  EXPECT_EQ(*karaoke, (Json{{"model", "hpss"}, {"shifts", 2}}));
  // What is given itself wins, but for what is null.
  const auto all = WithPreset("separate", {{"preset", "karaoke"}, {"shifts", 5}, {"model", nullptr}});
  ASSERT_TRUE(all);
  EXPECT_EQ((*all)["shifts"], 5);
  EXPECT_EQ((*all)["model"], "hpss");
  EXPECT_EQ(*WithPreset("separate", {{"shifts", 5}}), (Json{{"shifts", 5}}));
  // Of two that can't be asked for together, the one that is given; a report's empty one is none.
  const auto two = WithPreset("separate", {{"preset", "quick"}, {"two_stems", "percussive"}, {"stems", Json::array()}});
  EXPECT_EQ(*two,
            (Json{{"model", "hpss"}, {"preset", "quick"}, {"two_stems", "percussive"}, {"stems", Json::array()}}));
  const auto none = WithPreset("separate", {{"preset", "quick"}, {"two_stems", ""}});
  EXPECT_EQ((*none)["stems"], Json({"harmonic"}));
  EXPECT_EQ(*WithPreset("master", {{"preset", "karaoke"}}), (Json{{"preset", "karaoke"}}));
}

TEST_F(JobPresetsTest, SaysWhatIsWrongAndWhere) {
  const auto expect = [&](const std::string& yaml, const std::string& part) {
    Write("presets.yaml", yaml);
    const auto presets = JobPresets("separate");
    ASSERT_FALSE(presets) << yaml;
    EXPECT_EQ(presets.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(presets.error().message.find("presets.yaml: "), std::string::npos) << presets.error().message;
    EXPECT_NE(presets.error().message.find(part), std::string::npos) << presets.error().message;
  };
  expect("- a\n", "no map of presets");
  expect("a: 3\n", "preset 'a': a preset is a map");
  expect("a: {options: {}}\n", "'kind' is missing");
  expect("a: {kind: master, options: {}}\n", "and not 'master'");
  expect("a: {kind: separate, optoins: {}}\n", "no 'optoins'");
  expect("a: {kind: separate, options: 3}\n", "'options' takes a map");
  expect("a: {kind: [x], options: {}}\n", "'kind' takes a text");
  expect("a: {kind: separate, options: {modell: x}}\n", "Did you mean 'model'?");
  expect("a: {kind: separate, options: {shifts: many}}\n", "'shifts' takes a number");
  expect("a: {kind: separate, options: {preset: a}}\n", "there is no option 'preset'");
  expect("a: {kind: separate, options: {input: [x]}}\n", "there is no option 'input'");
  expect("a: {kind: separate\n", "line ");
  Write("presets.yaml", "a: {kind: separate, options: {}}\n");
  Write("presets2.yaml", "a: {kind: separate, options: {}}\n");
  const auto twice = JobPresets("separate");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("has a preset of this name too"), std::string::npos) << twice.error().message;
}

TEST_F(JobPresetsTest, AnUnknownOneGetsASuggestion) {
  const auto error = [](const char* kind, const char* name) { return PresetOptions(kind, name).error().message; };
  EXPECT_NE(error("separate", "karoake").find("Did you mean 'karaoke'?"), std::string::npos);
  EXPECT_NE(error("separate", "drums-midi").find("is a preset of drums"), std::string::npos);
  const auto job = JobFromJson({{"kind", "separate"}, {"inputs", {"a.wav"}}, {"options", {{"preset", "karoake"}}}});
  ASSERT_FALSE(job);
}

}  // namespace
}  // namespace timbre
