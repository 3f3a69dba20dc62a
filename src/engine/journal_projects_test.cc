#include <gtest/gtest.h>

#include "engine/ids.h"
#include "engine/journal.h"
#include "tests/e2e/program.h"

namespace timbre::engine {
namespace {

class JournalProjectsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto journal = Journal::Open((folder_ / "db.sqlite").string());
    ASSERT_TRUE(journal) << journal.error().message;
    journal_ = *std::move(journal);
    for (const std::string& asset : {kFirst, kSecond}) ASSERT_TRUE(journal_->AddAsset({.id = asset, .created = 1}));
    ASSERT_TRUE(journal_->AddProject({.id = project_, .kind = "timeline", .document = {{"n", 0}}}, {}));
  }
  // The project then; nothing where the revision was another.
  std::optional<ProjectRecord> Change(const ProjectChange& change) {
    const auto now = journal_->FindProject(project_);
    const auto changed = journal_->ChangeProject(project_, now->revision, 5, change);
    EXPECT_TRUE(changed) << changed.error().message;
    return changed.value_or(std::nullopt);
  }
  // A step with that asset.
  std::optional<ProjectRecord> Step(int n, const std::string& asset) {
    return Change({.document = Json{{"n", n}}, .assets = {asset}});
  }

  const std::string kFirst = std::string(64, 'a'), kSecond = std::string(64, 'b');
  testing::TempFolder folder_;
  std::unique_ptr<Journal> journal_;
  const std::string project_ = NewId();
};

TEST_F(JournalProjectsTest, KeepsAnAssetAsLongAsAStepWithItCanBeGoneBackTo) {
  ASSERT_TRUE(Step(1, kFirst));
  ASSERT_TRUE(Step(2, kSecond));
  EXPECT_FALSE(journal_->RemoveAsset(kFirst).value_or(true));
  EXPECT_EQ(journal_->Expire(100, 100)->size(), 0u);
  for (int i = 0; i < Journal::kMostSteps; ++i) ASSERT_TRUE(Step(3, kSecond));
  EXPECT_EQ(journal_->FindProject(project_)->undo, Journal::kMostSteps);
  EXPECT_FALSE(journal_->RemoveAsset(kSecond).value_or(true));
  EXPECT_TRUE(journal_->RemoveAsset(kFirst).value_or(false));
}

TEST_F(JournalProjectsTest, GoesBackAndForthAndForgetsWhatWasUndone) {
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Step(i, kFirst));
  EXPECT_EQ(Change({.by = -1})->document["n"], 2);
  const auto back = Change({.by = -1});
  EXPECT_EQ(back->document["n"], 1);
  EXPECT_EQ(back->undo, 1);
  EXPECT_EQ(back->redo, 2);
  EXPECT_EQ(Change({.by = 1})->document["n"], 2);
  const auto other = Step(9, kSecond);
  EXPECT_EQ(other->redo, 0);
  EXPECT_EQ(other->revision, 8);
  EXPECT_FALSE(journal_->ChangeProject(project_, 8, 5, {.by = 1}));
  EXPECT_EQ(Change({.by = -1})->document["n"], 2);
}

TEST_F(JournalProjectsTest, ListsThoseThatCorrectAJob) {
  const std::string job = NewId(), own = NewId();
  ASSERT_TRUE(journal_->AddProject({.id = own, .kind = "drums", .job = job, .document = {{"n", 0}}}, {}));
  EXPECT_EQ(journal_->FindProject(own)->job, job);
  EXPECT_EQ(journal_->ListProjects({})->size(), 2u);
  for (const ProjectFilter& filter :
       {ProjectFilter{.job = job}, ProjectFilter{.kind = "drums"}, ProjectFilter{.limit = 1}}) {
    const auto listed = journal_->ListProjects(filter);
    ASSERT_EQ(listed->size(), 1u);
    EXPECT_EQ((*listed)[0].id, own);
  }
  EXPECT_EQ(journal_->ListProjects({.job = NewId()})->size(), 0u);
  EXPECT_EQ(journal_->ListProjects({.before = own})->front().id, project_);
}

TEST_F(JournalProjectsTest, ChangesNothingUnlessAllOfItCanBe) {
  const auto stale = journal_->ChangeProject(project_, 7, 5, {.name = "x"});
  ASSERT_TRUE(stale);
  EXPECT_FALSE(*stale);
  const auto gone =
      journal_->ChangeProject(project_, 1, 5, {.document = Json{{"n", 1}}, .assets = {std::string(64, 'c')}});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(journal_->FindProject(project_)->revision, 1);
  EXPECT_FALSE(*journal_->RemoveProject(project_, 2, 5));
  EXPECT_TRUE(*journal_->RemoveProject(project_, 1, 5));
  EXPECT_FALSE(journal_->FindProject(project_));
}

}  // namespace
}  // namespace timbre::engine
