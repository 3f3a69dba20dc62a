#include "models/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <utility>

#include "base/text.h"
#include "models/model_scores.h"

namespace timbre {
namespace {

TEST(CatalogueTest, EveryEntryIsWhole) {
  std::set<std::string_view> names;
  for (const ModelEntry& model : ModelCatalogue()) {
    SCOPED_TRACE(model.name);
    EXPECT_TRUE(names.insert(model.name).second) << "twice in the table";
    EXPECT_FALSE(model.summary.empty());
    EXPECT_FALSE(model.architecture.empty());
    EXPECT_FALSE(model.stems.empty());
    EXPECT_FALSE(model.licence.empty());
    EXPECT_TRUE(model.files.empty() ? model.page.empty() : model.page.starts_with("https://"));
    std::set<std::string_view> files;
    for (const ModelFile& file : model.files) {
      EXPECT_TRUE(files.insert(file.name).second) << file.name;
      EXPECT_TRUE(file.url.empty() || file.url.starts_with("https://")) << file.url;
      EXPECT_TRUE(file.sha256.empty() || file.sha256.size() == 64 || file.sha256.size() == 8) << file.name;
      EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string_view::npos) << file.sha256;
      EXPECT_GE(file.bytes, 0);
      // What a package holds is checked before it is believed.
      EXPECT_EQ(file.package.package.empty(), file.package.path.empty());
      EXPECT_TRUE(file.package.package.empty() || (file.package.package.find("==") != std::string_view::npos &&
                                                   file.bytes > 0 && file.sha256.size() == 64));
      // A name that left the model's folder would write elsewhere.
      EXPECT_EQ(file.name.find(".."), std::string_view::npos);
      EXPECT_NE(file.name.front(), '/');
    }
    for (const auto& weights : model.bag_weights) EXPECT_EQ(weights.size(), model.stems.size());
    EXPECT_TRUE(model.bag_weights.empty() || model.bag_weights.size() == model.files.size());
  }
}

// Demucs names a file by its signature and the beginning of its digest.
TEST(CatalogueTest, DemucsNamesHoldTheBeginningOfTheDigest) {
  int checked = 0;
  for (const ModelEntry& model : ModelCatalogue()) {
    for (const ModelFile& file : model.files) {
      if (!file.name.ends_with(".th")) continue;
      EXPECT_EQ(file.name.substr(9, 8), file.sha256.substr(0, 8)) << file.name;
      EXPECT_TRUE(file.url.ends_with(file.name)) << file.url;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 6);
}

TEST(CatalogueTest, TheDefaultsExist) {
  EXPECT_EQ((*FindModel(kDefaultSeparationModel))->task, ModelTask::kSeparate);
  EXPECT_EQ((*FindModel(kDefaultDenoiseModel))->task, ModelTask::kDenoise);
  EXPECT_EQ((*FindModel(kDefaultTextModel))->task, ModelTask::kText);
  EXPECT_TRUE((*FindModel(kBuiltInSeparationModel))->files.empty());
}

// Whoever reads a score finds the model, and the stem that it is of; of a stem there is one in a set.
TEST(CatalogueTest, ScoresAreOfStemsThatTheModelsGive) {
  size_t scores = 0, scored = 0;
  for (const ModelEntry& model : ModelCatalogue()) {
    SCOPED_TRACE(model.name);
    std::set<std::pair<ScoreSet, std::string_view>> seen;
    for (const StemScore& score : ScoresOf(model.name)) {
      EXPECT_EQ(score.model, model.name);
      EXPECT_TRUE(seen.emplace(score.set, score.stem).second) << score.stem;
      EXPECT_GT(score.sdr, 0);
      EXPECT_LT(score.sdr, 30);
      EXPECT_NE(ScoreSetName(score.set), "");
      EXPECT_TRUE(std::any_of(model.stems.begin(), model.stems.end(), [&](std::string_view stem) {
        return LowerCase(stem) == score.stem || (score.stem == "instrumental" && LowerCase(stem) == "other");
      })) << score.stem;
      ++scores;
    }
    scored += seen.empty() ? 0 : 1;
  }
  EXPECT_GE(scored, 40u);
  EXPECT_EQ(scores, AllScores().size())
      << "of a model that is not in the catalogue, or whose rows do not stand together";
  EXPECT_TRUE(ScoresOf("hpss").empty());
  EXPECT_NE(FindScore("bs-roformer-ep317", "Vocals"), nullptr);
  EXPECT_EQ(FindScore("hpss", "harmonic"), nullptr);
  EXPECT_EQ(FindScore("scnet-xl", "vocals"), nullptr) << "of another set";
}

TEST(CatalogueTest, AWrongNameGetsASuggestion) {
  const auto found = FindModel("htdemucs_fr");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_NE(found.error().message.find("htdemucs_ft"), std::string::npos) << found.error().message;
}

TEST(CatalogueTest, SizesAddUpOrAreUnknown) {
  EXPECT_EQ(ModelBytes(**FindModel("htdemucs_ft")), 4 * 84141271);
  EXPECT_EQ(ModelBytes(**FindModel("mdx23c-vocals")), 0);
}

}  // namespace
}  // namespace timbre
