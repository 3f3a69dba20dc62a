#include "pipelines/kept_models.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/e2e/program.h"

namespace timbre {
namespace {

class KeptModelsTest : public ::testing::Test {
 protected:
  // What a job does: takes models one after the other.
  void Do(const std::vector<std::string>& names) {
    models_.BeginJob();
    for (const std::string& name : names) {
      const Result<int> model = LoadKept(host_, name, "", [&]() -> Result<int> {
        loads_.push_back(name);
        return static_cast<int>(name.size());
      });
      ASSERT_TRUE(model);
      EXPECT_EQ(*model, static_cast<int>(name.size()));
    }
  }

  KeptModels models_;
  JobHost host_{.models = &models_};
  std::vector<std::string> loads_;
};

TEST_F(KeptModelsTest, TheNextJobFindsWhatTheLastOneLoaded) {
  Do({"htdemucs"});
  EXPECT_EQ(models_.loaded(), 1);
  EXPECT_EQ(models_.reused(), 0);
  Do({"htdemucs"});
  EXPECT_EQ(models_.loaded(), 0);
  EXPECT_EQ(models_.reused(), 1);
  Do({});  // a job without a model takes none away
  Do({"htdemucs", "mdx23c-drumsep"});
  Do({"mdx23c-drumsep", "htdemucs"});
  EXPECT_EQ(loads_, (std::vector<std::string>{"htdemucs", "mdx23c-drumsep"}));
  // What another model takes the place of has to be loaded anew.
  Do({"larsnet"});
  Do({"htdemucs"});
  EXPECT_EQ(loads_, (std::vector<std::string>{"htdemucs", "mdx23c-drumsep", "larsnet", "htdemucs"}));
}

TEST_F(KeptModelsTest, OtherSettingsAreAnotherModel) {
  models_.BeginJob();
  for (const char* settings : {"1", "2", "1"}) {
    const Result<int> model = LoadKept(host_, "larsnet", settings, [&]() -> Result<int> { return *settings; });
    ASSERT_TRUE(model);
    EXPECT_EQ(*model, *settings);
  }
  EXPECT_EQ(models_.loaded(), 2);
}

TEST_F(KeptModelsTest, NeitherFailuresNorPathsAreKept) {
  models_.BeginJob();
  const auto fail = []() -> Result<int> { return Fail(ErrorCode::kCorrupt, "damaged"); };
  EXPECT_FALSE(LoadKept(host_, "htdemucs", "", fail));
  EXPECT_FALSE(LoadKept(host_, "htdemucs", "", fail));
  EXPECT_EQ(models_.loaded() + models_.reused(), 0);
  const testing::TempFolder folder;
  const std::string path = (folder / "weights.th").string();
  testing::WriteAll(path, "one thing, then another");
  Do({path});
  Do({path});
  EXPECT_EQ(loads_, (std::vector<std::string>{path, path}));
  // Where nobody holds anything.
  host_.models = nullptr;
  Do({"htdemucs", "htdemucs"});
  EXPECT_EQ(loads_.size(), 4u);
}

}  // namespace
}  // namespace timbre
