#include "pipelines/drums/drums_config.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

std::string ErrorOf(const std::string& yaml, const std::vector<std::string>& settings = {}) {
  const auto config = ParseDrumsConfig(yaml, "mine.yaml", settings);
  return config ? "" : config.error().message;
}

TEST(DrumsConfig, TheDefaultIsWhole) {
  const auto config = LoadDrumsConfig("", {});
  ASSERT_TRUE(config) << config.error().message;
  for (const char* stem : {"kick", "snare", "toms", "hihat", "hh", "cymbals", "crash", "ride", "clap"}) {
    ASSERT_NE(config->Find(stem), nullptr) << stem;
    // Its last voice takes whatever comes.
    EXPECT_TRUE(config->Find(stem)->voices.back().conditions.empty()) << stem;
  }
  EXPECT_EQ(config->Find("vocals"), nullptr);
  EXPECT_EQ(config->midi_channel, 10);
}

TEST(DrumsConfig, AFileChangesWhatItNamesAndNothingElse) {
  const auto base = ParseDrumsConfig("", "", {});
  const auto config = ParseDrumsConfig(
      "stems:\n  hihat:\n    keep: {level_db: {min: -9}}\n    voices: {splash: {note: 55, decay_ms: {min: 900}}}\n"
      "ducking:\n  - {stem: snare, by: bd, threshold_db: -20, ratio: 2, attack_ms: 1, release_ms: 5, knee_db: 0, mix: "
      "0.5}\n",
      "mine.yaml", {});
  ASSERT_TRUE(base && config) << config.error().message;
  const DrumStemRules &before = *base->Find("hihat"), &now = *config->Find("hihat");
  EXPECT_EQ(now.pick.threshold, before.pick.threshold);
  ASSERT_EQ(now.keep.size(), before.keep.size());
  for (const DrumCondition& c : now.keep) {
    if (c.feature == OnsetFeature::kLevelDb) {
      EXPECT_EQ(c.min, -9);
    }
  }
  ASSERT_EQ(now.voices.size(), before.voices.size() + 1);
  EXPECT_EQ(now.voices.front().name, "splash");  // tried before those that were there
  ASSERT_EQ(config->ducking.size(), 1u);
  EXPECT_EQ(config->ducking[0].options.mix, 0.5);
}

TEST(DrumsConfig, SettingsComeLast) {
  const std::vector<std::string> settings = {"stems.kick.voices.kick.note=35", "tempo.min_bpm=80",
                                             "stems.snare.voices.clap=null", "stems.kick.keep.rise_db.min=12"};
  const auto config = ParseDrumsConfig("stems: {kick: {voices: {kick: {note: 41}}}}", "mine.yaml", settings);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->Find("kick")->voices[0].note, 35);
  EXPECT_EQ(config->tempo.min_bpm, 80);
  EXPECT_EQ(config->Find("snare")->voices.size(), 1u);
}

TEST(DrumsConfig, MistakesAreNamedWhereTheyAre) {
  EXPECT_EQ(ErrorOf("stems: {kick: {thresold: 1}}"),
            "mine.yaml: there is no entry stems.kick.thresold. Did you mean 'threshold'?");
  EXPECT_EQ(ErrorOf("stems: {kick: {keep: {levl_db: {min: 1}}}}"),
            "mine.yaml: stems.kick.keep.levl_db is no feature of a hit. Did you mean 'level_db'?");
  EXPECT_EQ(ErrorOf("stems: {kick: {band: [100, 50]}}"), "mine.yaml: stems.kick.band must begin below its end.");
  EXPECT_EQ(ErrorOf("stems: {kick: {voices: {kick: {note: 200}}}}"),
            "mine.yaml: stems.kick.voices.kick.note is 200, but must be from 0 to 127.");
  EXPECT_EQ(ErrorOf("tempo: {min_bpm: .nan}"), "mine.yaml: tempo.min_bpm must be a number.");
  EXPECT_NE(ErrorOf("tempo: {beats_per_bar: 3}").find("is now tempo.metre"), std::string::npos);
  EXPECT_NE(ErrorOf("tempo: {metre: 5/4}").find("one of auto, 2/4"), std::string::npos);
  EXPECT_EQ(ErrorOf("midi: 7"), "mine.yaml: midi must be a map of names to values.");
  EXPECT_EQ(ErrorOf("- a"), "mine.yaml: it must be a map like docs/drums.yaml.");
  EXPECT_NE(ErrorOf("stems: [").find("mine.yaml: it is not valid YAML at line 1"), std::string::npos);
  EXPECT_NE(ErrorOf("ducking: [{stem: snare, by: kik, threshold_db: -20, ratio: 2, attack_ms: 1, release_ms: 5, "
                    "knee_db: 0, mix: 1}]")
                .find("Did you mean 'kick'?"),
            std::string::npos);
  EXPECT_NE(ErrorOf("", {"nonsense"}).find("path.to.entry=value"), std::string::npos);
  EXPECT_NE(ErrorOf("", {"stems..kick=1"}), "");
  EXPECT_NE(ErrorOf("stems: {snare: {aliases: [kick]}}").find("which another stem has as well"), std::string::npos);
}

TEST(DrumsConfig, HugeAndDeepFilesAreRefused) {
  EXPECT_EQ(ErrorOf(std::string(300 * 1024, ' ')), "mine.yaml: it is larger than 256 KiB.");
  std::string deep = "a: ";
  for (int i = 0; i < 3000; ++i) deep += "[";
  EXPECT_NE(ErrorOf(deep), "");
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 7; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_EQ(ErrorOf(laughs), "mine.yaml: it has more than 20000 values.");
  EXPECT_EQ(LoadDrumsConfig("/nowhere.yaml", {}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace timbre
