#include "engine/journal.h"

#include <gtest/gtest.h>

#include "engine/ids.h"
#include "tests/e2e/program.h"

namespace timbre::engine {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    journal_.reset();
    auto journal = Journal::Open((folder_ / "db").string());
    ASSERT_TRUE(journal) << journal.error().message;
    journal_ = *std::move(journal);
  }
  std::string Submit(const std::string& client = "a", int priority = 1, const std::string& device = "auto") {
    JobRecord job{
        .id = NewId(), .kind = "k", .client = client, .priority = priority, .device_want = device, .created = ++clock_};
    const auto submitted = journal_->Submit(job, "", "");
    EXPECT_TRUE(submitted) << submitted.error().message;
    return job.id;
  }
  std::string Claim(const std::string& device = "cpu") {
    const auto claimed = journal_->Claim(device, false, ++clock_);
    EXPECT_TRUE(claimed) << claimed.error().message;
    return claimed && *claimed ? (*claimed)->id : "";
  }
  JobState StateOf(const std::string& id) { return journal_->FindJob(id)->state; }

  static constexpr int64_t kExpires = int64_t{1} << 40;
  testing::TempFolder folder_;
  std::unique_ptr<Journal> journal_;
  int64_t clock_ = 1000;
};

TEST_F(JournalTest, ClaimsByPriorityThenByTurnThenByAge) {
  const std::string a1 = Submit("a"), a2 = Submit("a"), b1 = Submit("b"), high = Submit("c", 2), low = Submit("d", 0);
  EXPECT_EQ(Claim(), high);
  EXPECT_EQ(Claim(), a1);  // never served before, and older than b's
  EXPECT_EQ(Claim(), b1);  // a was served last
  EXPECT_EQ(Claim(), a2);
  EXPECT_EQ(Claim(), low);
  EXPECT_EQ(Claim(), "");
}

TEST_F(JournalTest, WaitingRaisesPriority) {
  const std::string low = Submit("a", 0);
  clock_ += 3 * int64_t{600} * 1000000;
  const std::string high = Submit("b", 2);
  EXPECT_EQ(Claim(), low);
  EXPECT_EQ(Claim(), high);
}

TEST_F(JournalTest, JobsThatNameADeviceWaitForIt) {
  const std::string gpu = Submit("a", 2, "vulkan"), any = Submit("a");
  EXPECT_EQ(Claim("cpu"), any);
  EXPECT_EQ(Claim("cpu"), "");
  EXPECT_EQ(Claim("vulkan"), gpu);
}

TEST_F(JournalTest, PausedJobsAreNotClaimed) {
  const std::string id = Submit();
  ASSERT_TRUE(journal_->Change(id, {.paused = true}, ++clock_));
  EXPECT_EQ(Claim(), "");
  ASSERT_TRUE(journal_->Change(id, {.priority = 2, .paused = false}, ++clock_));
  EXPECT_EQ(Claim(), id);
  const Status begun = journal_->Change(id, {.paused = true}, ++clock_);
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, ErrorCode::kInvalidArgument);
}

// What is put in front goes ahead of all of its client's, however long those have waited, and the last that was put
// there is the first; of other clients' it goes ahead of none that it would not have been ahead of by waiting as long.
TEST_F(JournalTest, WhatIsPutInFrontIsNext) {
  const std::string old = Submit("a"), older_high = Submit("a", 2), other = Submit("b", 2);
  clock_ += 5 * int64_t{600} * 1000000;
  const std::string first = Submit("a", 0), second = Submit("a"), late = Submit("b", 2);
  ASSERT_TRUE(journal_->Change(first, {.front = true}, ++clock_));
  EXPECT_EQ(*journal_->Position(*journal_->FindJob(first), clock_), 1) << "the other client's, which is older";
  ASSERT_TRUE(journal_->Change(second, {.front = true}, ++clock_));
  EXPECT_EQ(*journal_->Position(*journal_->FindJob(first), clock_), 2);
  EXPECT_EQ(*journal_->Position(*journal_->FindJob(older_high), clock_), 2);
  EXPECT_EQ(Claim(), second);
  EXPECT_EQ(Claim(), other);
  EXPECT_EQ(Claim(), first);
  EXPECT_EQ(Claim(), older_high);
  ASSERT_TRUE(journal_->Change(late, {.priority = 1}, ++clock_));
  EXPECT_EQ(Claim(), old);
  EXPECT_EQ(Claim(), late);
}

TEST_F(JournalTest, AKeyIsOneJob) {
  JobRecord job{.id = NewId(), .kind = "k", .client = "a", .created = 1};
  ASSERT_EQ(journal_->Submit(job, "key", "d1")->id, job.id);
  JobRecord again = job;
  again.id = NewId();
  const auto replayed = journal_->Submit(again, "key", "d1");
  EXPECT_EQ(replayed->id, job.id);
  EXPECT_TRUE(replayed->replayed);
  EXPECT_EQ(journal_->Submit(again, "key", "d2").error().code, ErrorCode::kInvalidArgument);
  again.client = "b";
  EXPECT_FALSE(journal_->Submit(again, "key", "d2")->replayed);
  EXPECT_EQ(journal_->ListJobs({})->size(), 2u);
}

TEST_F(JournalTest, WhatRanIsQueuedAgainUntilItIsPoison) {
  const std::string id = Submit();
  for (int attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_EQ(Claim(), id);
    Reopen();
    ASSERT_TRUE(journal_->Recover(++clock_, kExpires));
    EXPECT_EQ(StateOf(id), attempt < 3 ? JobState::kQueued : JobState::kFailed) << attempt;
  }
  EXPECT_EQ(journal_->FindJob(id)->error["type"], "/problems/crashed");
  EXPECT_EQ(journal_->FindJob(id)->expires, kExpires);
  ASSERT_TRUE(journal_->Retry(id, ++clock_));
  EXPECT_EQ(Claim(), id);
}

TEST_F(JournalTest, CancelsAtOnceWhatWaitsAndLaterWhatRuns) {
  const std::string running = Submit(), waiting = Submit();
  EXPECT_EQ(Claim(), running);
  EXPECT_EQ(journal_->RequestCancel(waiting, 1, 2).value(), JobState::kCancelled);
  EXPECT_EQ(journal_->RequestCancel(running, 1, 2).value(), JobState::kCancelling);
  EXPECT_EQ(journal_->RequestCancel(running, 1, 2).value(), JobState::kCancelling);
  Reopen();
  ASSERT_TRUE(journal_->Recover(++clock_, kExpires));
  EXPECT_EQ(StateOf(running), JobState::kCancelled);
  EXPECT_EQ(journal_->FindJob(running)->expires, kExpires);
}

// Its worker has gone: if the cancel is not heeded here, nobody will.
TEST_F(JournalTest, ACancelThatComesBeforeAJobIsQueuedAgainEndsIt) {
  const std::string id = Submit();
  EXPECT_EQ(Claim(), id);
  EXPECT_EQ(journal_->RequestCancel(id, 1, 2).value(), JobState::kCancelling);
  ASSERT_TRUE(journal_->Requeue(id, "its worker went", true, ++clock_, kExpires));
  EXPECT_EQ(StateOf(id), JobState::kCancelled);
  EXPECT_EQ(journal_->FindJob(id)->expires, kExpires);
  EXPECT_EQ(Claim(), "");
  // One that was not cancelled waits again.
  const std::string other = Submit();
  EXPECT_EQ(Claim(), other);
  ASSERT_TRUE(journal_->Requeue(other, "its worker went", true, ++clock_, kExpires));
  EXPECT_EQ(StateOf(other), JobState::kQueued);
}

// As earlier versions left them.
TEST_F(JournalTest, WhatEndedWithoutATimeIsGivenOne) {
  const std::string id = Submit();
  EXPECT_EQ(Claim(), id);
  ASSERT_TRUE(journal_->Finish(id, {.state = JobState::kCancelled}, ++clock_));
  EXPECT_EQ(journal_->FindJob(id)->expires, 0);
  ASSERT_TRUE(journal_->Recover(++clock_, kExpires));
  EXPECT_EQ(journal_->FindJob(id)->expires, kExpires);
  ASSERT_TRUE(journal_->Expire(kExpires, 0));
  EXPECT_FALSE(journal_->FindJob(id));
}

TEST_F(JournalTest, AJobEndsOnce) {
  const std::string id = Submit();
  EXPECT_EQ(Claim(), id);
  ASSERT_TRUE(journal_->Finish(id, {.state = JobState::kSucceeded}, 5));
  EXPECT_FALSE(journal_->Finish(id, {.state = JobState::kFailed}, 6));
  EXPECT_EQ(StateOf(id), JobState::kSucceeded);
  EXPECT_EQ(journal_->Retry(id, 7).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(JournalTest, EventsAreNumberedOnceAndWithoutGaps) {
  const std::string id = Submit();
  EXPECT_EQ(Claim(), id);
  ASSERT_TRUE(journal_->Finish(id, {.state = JobState::kSucceeded}, 5));
  const auto events = journal_->EventsAfter(0, 10);
  ASSERT_EQ(events->size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*events)[i].seq, static_cast<int64_t>(i) + 1);
  EXPECT_EQ((*events)[2].type, "job.ended");
  // Old ones go; their numbers never come again.
  ASSERT_TRUE(journal_->Expire(Now(), 0));
  EXPECT_EQ(journal_->EventRange().value(), (std::pair<int64_t, int64_t>(4, 3)));
  (void)Submit();
  EXPECT_EQ(journal_->EventsAfter(0, 10)->front().seq, 4);
}

TEST_F(JournalTest, AssetsStayAsLongAsAJobNamesThem) {
  const std::string asset(64, 'a');
  ASSERT_TRUE(journal_->AddAsset({.id = asset, .bytes = 3, .name = "x", .created = 1}));
  JobRecord job{.id = NewId(), .kind = "k", .client = "a", .created = 1, .inputs = {{asset, "x"}}};
  ASSERT_TRUE(journal_->Submit(job, "", ""));
  EXPECT_FALSE(journal_->RemoveAsset(asset).value());
  EXPECT_TRUE(journal_->Expire(100, 50)->empty());
  (void)journal_->RequestCancel(job.id, 10, 20);
  EXPECT_EQ(journal_->Expire(30, 50).value(), std::vector<std::string>{asset});
  EXPECT_EQ(journal_->FindJob(job.id).error().code, ErrorCode::kNotFound);
  JobRecord unknown{.id = NewId(), .kind = "k", .client = "a", .created = 1, .inputs = {{asset, "x"}}};
  EXPECT_FALSE(journal_->Submit(unknown, "", ""));
}

TEST_F(JournalTest, AFullDiskFailsTheCallAndNothingElse) {
  const std::string id = Submit();
  ASSERT_TRUE(journal_->LimitPages(1));
  int failed = 0;
  for (int i = 0; i < 200 && failed == 0; ++i) {
    JobRecord job{.id = NewId(), .kind = std::string(2000, 'k'), .client = "a", .created = 1};
    const auto submitted = journal_->Submit(job, "key" + std::to_string(i), "d");
    if (submitted) continue;
    ++failed;
    EXPECT_EQ(submitted.error().code, ErrorCode::kIo);
    EXPECT_NE(submitted.error().message.find("full"), std::string::npos) << submitted.error().message;
    EXPECT_EQ(journal_->FindJob(job.id).error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(journal_->LimitPages(0));
    EXPECT_FALSE(journal_->Submit(job, "key" + std::to_string(i), "d")->replayed);
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(StateOf(id), JobState::kQueued);
}

TEST_F(JournalTest, RefusesWhatIsNewerOrDamaged) {
  const std::string path = (folder_ / "db").string();
  journal_.reset();
  {
    auto database = Database::Open(path);
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->Execute("PRAGMA user_version=999"));
  }
  EXPECT_NE(Journal::Open(path).error().message.find("newer"), std::string::npos);
  testing::WriteAll(path,
                    "this is no database, whatever its name says, and longer than a header of one hundred bytes "
                    "would have to be for SQLite to look at it");
  EXPECT_EQ(Journal::Open(path).error().code, ErrorCode::kCorrupt);
}

// Two versions ago there was no place for what a job said, nor for what was put in front.
TEST_F(JournalTest, TakesOverAnOlderJournal) {
  const std::string old = Submit();
  ASSERT_EQ(Claim(), old);
  ASSERT_TRUE(journal_->Finish(old, {.state = JobState::kSucceeded, .report = {{"a", 1}}}, ++clock_));
  const std::string waiting = Submit();
  journal_.reset();
  {
    auto database = Database::Open((folder_ / "db").string());
    ASSERT_TRUE(database);
    const auto version = database->Run("PRAGMA user_version");
    ASSERT_TRUE(version);
    ASSERT_EQ((*version)[0].Int(0), 5) << "another version has come: take back what it adds as well";
    ASSERT_TRUE(database->Execute(
        "ALTER TABLE job DROP COLUMN front; ALTER TABLE job DROP COLUMN said; PRAGMA user_version=3"));
  }
  Reopen();
  const auto job = journal_->FindJob(old);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, JobState::kSucceeded);
  EXPECT_EQ(job->report["a"], 1);
  EXPECT_EQ(job->said, Json::array());
  ASSERT_EQ(Claim(), waiting);
  const Json said = {{{"kind", "answer"}, {"text", "yes"}}};
  ASSERT_TRUE(journal_->Finish(waiting, {.state = JobState::kFailed, .said = said}, ++clock_));
  Reopen();
  EXPECT_EQ(journal_->FindJob(waiting)->said, said);
  ASSERT_TRUE(journal_->Retry(waiting, ++clock_));
  EXPECT_EQ(journal_->FindJob(waiting)->said, Json::array());
}

TEST_F(JournalTest, OldJobsAndListsByPage) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Submit());
  JobFilter filter{.limit = 2};
  auto page = journal_->ListJobs(filter);
  ASSERT_EQ(page->size(), 2u);
  filter.before = page->back().id;
  const auto next = journal_->ListJobs(filter);
  ASSERT_EQ(next->size(), 2u);
  EXPECT_LT(next->front().id, page->back().id);
  EXPECT_TRUE(journal_->ListJobs({.state = "failed"})->empty());
}

TEST(EngineIds, SortByTimeAndAreKnownByTheirForm) {
  std::string last;
  for (int i = 0; i < 100; ++i) {
    const std::string id = NewId();
    EXPECT_TRUE(IsId(id)) << id;
    EXPECT_EQ(id[14], '7');
    EXPECT_GE(id.substr(0, 13), last);
    last = id.substr(0, 13);
  }
  for (const char* wrong : {"", "x", "../../../../../../../../etc/passwd00", "0198c2b0-0000-7000-8000-00000000000G"}) {
    EXPECT_FALSE(IsId(wrong)) << wrong;
  }
  EXPECT_EQ(TimeText(1767225599123456), "2025-12-31T23:59:59.123Z");
  EXPECT_EQ(Sha256Of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace timbre::engine
