// The engine with workers that do as they are told, killed at every point where it matters.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>

#include "base/file_faults.h"
#include "base/file_lock.h"
#include "engine/crash_points.h"
#include "engine/ids.h"
#include "engine/worker_process.h"
#include "tests/e2e/program.h"
#include "tests/support/fake_worker.h"
#include "tests/support/sweep.h"

namespace timbre::engine {
namespace {

namespace fs = std::filesystem;

EngineSettings Settings(const fs::path& folder) {
  EngineSettings settings;
  settings.folder = folder.string();
  settings.slots = {{.device = "cpu"}};
  settings.worker = [](const Slot&) {
    return std::vector<std::string>{fs::read_symlink("/proc/self/exe").string(), testing::kFakeWorker};
  };
  settings.order = [](const JobRecord& job, const Slot&, const std::vector<std::string>& inputs,
                      const std::string& out) -> Json {
    Json options = job.options;
    options["output"] = out;
    return {{"kind", job.kind}, {"inputs", inputs}, {"options", options}};
  };
  settings.reserve_bytes = 0;
  return settings;
}

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { settings_ = Settings(folder_ / "data"); }
  void Open() {
    auto engine = Engine::Open(settings_);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = *std::move(engine);
  }
  std::string Asset(double seconds = 0.05) {
    const std::string path = engine_->assets().TemporaryPath();
    testing::WriteTestWav(path, seconds);
    const auto asset = engine_->AddAsset(path, "song.wav");
    EXPECT_TRUE(asset) << asset.error().message;
    return asset ? asset->id : "";
  }
  std::string Submit(const std::string& what, Json more = Json::object()) {
    Submission submission{.kind = "test", .client = "a", .inputs = {{Asset(), "song.wav"}}};
    submission.options = std::move(more);
    submission.options["do"] = what;
    const auto accepted = engine_->Submit(submission);
    EXPECT_TRUE(accepted) << accepted.error().message;
    return accepted ? accepted->job.id : "";
  }
  // Waits until a state is reached or is passed for good.
  JobRecord Until(const std::string& id, JobState state) {
    for (int i = 0; i < 2000; ++i) {
      const auto job = engine_->journal().FindJob(id);
      if (!job || job->state == state || IsFinal(job->state)) return job.value_or(JobRecord());
      usleep(5000);
    }
    return {};
  }
  JobRecord End(const std::string& id) { return Until(id, JobState::kSucceeded); }

  testing::TempFolder folder_;
  EngineSettings settings_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, DoesAJobAndKeepsWhatItMade) {
  std::mutex mutex;
  std::vector<EventRecord> events;
  settings_.on_event = [&](Engine&, const EventRecord& event) {
    const std::lock_guard lock(mutex);
    events.push_back(event);
  };
  Open();
  const std::string id = Submit("copy");
  const JobRecord job = End(id);
  EXPECT_EQ(job.state, JobState::kSucceeded) << job.error;
  ASSERT_EQ(job.outputs.size(), 1u);
  EXPECT_EQ(job.outputs[0].name, "track/song.wav");
  EXPECT_EQ(job.outputs[0].asset, job.inputs[0].asset);  // the same bytes are the same asset
  EXPECT_EQ(job.outputs[0].media_type, "audio/wav");
  EXPECT_EQ(job.report["made"][0]["path"], "track/song.wav");  // no place on the server's disk
  EXPECT_EQ(job.report["made"][0]["input"], "song.wav");
  engine_->Stop(10);
  EXPECT_TRUE(fs::is_empty(folder_ / "data" / "jobs"));
  ASSERT_EQ(events.size(), 3u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].seq, static_cast<int64_t>(i) + 1);
}

TEST_F(EngineTest, FailsAsTheWorkerSays) {
  Open();
  const JobRecord job = End(Submit("fail"));
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.error["detail"], "x is no good.");
  EXPECT_EQ(job.attempt, 1);
}

// What a job says is kept, and the pieces of one answer are one; who says too much, be it nothing many times over, is
// cut short, and that is said.
TEST_F(EngineTest, KeepsWhatAJobSaysUpToABound) {
  Open();
  const auto said = [&](const char* kind, const std::string& text, int times) {
    const JobRecord job = End(Submit("talk", {{"kind", kind}, {"text", text}, {"times", times}}));
    EXPECT_EQ(job.state, JobState::kSucceeded) << job.error;
    return job.said;
  };
  const Json last = {{"kind", "answer"}, {"text", "the last word"}};
  EXPECT_EQ(said("piece", "ab", 3), Json({{{"kind", "piece"}, {"text", "ababab"}}, last}));
  EXPECT_EQ(said("detail", "more", 3), Json({last}));
  EXPECT_EQ(said("piece", "", 10000).size(), 2u);
  for (const auto& [kind, text, times] : std::vector<std::tuple<const char*, std::string, int>>{
           {"answer", "", 10000}, {"answer", std::string(100000, 'x'), 4}, {"piece", std::string(100000, 'x'), 4}}) {
    const Json cut = said(kind, text, times);
    EXPECT_EQ(cut.back()["kind"], "warning");
    EXPECT_LT(cut.size(), 5000u);
    EXPECT_LT(cut.dump().size(), size_t{300} << 10);
  }
}

TEST_F(EngineTest, TriesAgainWhatKillsItsWorkerButNotForEver) {
  Open();
  const JobRecord once = End(Submit("crash-once", {{"mark", (folder_ / "mark").string()}}));
  EXPECT_EQ(once.state, JobState::kSucceeded);
  EXPECT_EQ(once.attempt, 2);
  const JobRecord poison = End(Submit("crash"));
  EXPECT_EQ(poison.state, JobState::kFailed);
  EXPECT_EQ(poison.attempt, 3);
  EXPECT_EQ(poison.error["type"], "/problems/crashed");
  EXPECT_NE(poison.error["detail"].get<std::string>().find("signal 11"), std::string::npos) << poison.error;
  EXPECT_EQ(End(Submit("copy")).state, JobState::kSucceeded);  // the slot lives on
}

// Twelve times what the inputs take as float32 (2 channels of 0.05 s at 44100 Hz here), and what the server allows
// besides.
TEST_F(EngineTest, EndsAJobThatWritesMoreThanItMay) {
  constexpr int64_t kDecoded = 2205 * 2 * 4, kFile = 44 + 2205 * 2 * 2;
  settings_.job_bytes = 1000;
  Open();
  const int64_t fits = 12 * kDecoded + settings_.job_bytes - kFile;
  const std::string tail(static_cast<size_t>(fits), 'x');
  ASSERT_EQ(fs::file_size(engine_->assets().PathOf(Asset())), static_cast<uintmax_t>(kFile));
  EXPECT_EQ(End(Submit("copy", {{"tail", tail}})).state, JobState::kSucceeded);
  for (const auto& [what, more] : {std::pair<const char*, Json>{"copy", {{"tail", tail + "x"}}}, {"flood", {}}}) {
    const JobRecord job = End(Submit(what, more.is_null() ? Json::object() : more));
    EXPECT_EQ(job.state, JobState::kFailed) << what;
    EXPECT_EQ(job.error["type"], "/problems/disk-quota") << what;
    EXPECT_EQ(job.attempt, 1) << what;
  }
  EXPECT_EQ(engine_->Slots()[0].restarts, (std::map<std::string, int64_t>{{"quota", 2}}));
  // What failed by itself says why itself: nothing of it is taken, however much it was.
  const JobRecord failed = End(Submit("fail", {{"tail", std::string(tail.size() + kFile + 1, 'x')}}));
  EXPECT_EQ(failed.error["type"], "/problems/corrupt") << failed.error;
  EXPECT_EQ(End(Submit("copy")).state, JobState::kSucceeded);  // the slot lives on
  engine_->Stop(10);
  EXPECT_TRUE(fs::is_empty(folder_ / "data" / "jobs"));
}

TEST_F(EngineTest, EndsAWorkerThatHangs) {
  settings_.silence_seconds = 0.2;
  Open();
  const JobRecord job = End(Submit("hang"));
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.attempt, 3);
}

TEST_F(EngineTest, Cancels) {
  settings_.cancel_seconds = 0.1;
  settings_.end_seconds = 0.1;
  Open();
  const std::string slow = Submit("slow"), waiting = Submit("copy");
  EXPECT_EQ(Until(slow, JobState::kRunning).state, JobState::kRunning);
  EXPECT_EQ(engine_->Cancel(waiting).value(), JobState::kCancelled);
  EXPECT_EQ(engine_->Cancel(slow).value(), JobState::kCancelling);
  EXPECT_EQ(End(slow).state, JobState::kCancelled);
  EXPECT_EQ(engine_->Cancel(slow).value(), JobState::kCancelled);  // and again
  // One that does not heed it is killed, and that is no crash.
  const std::string deaf = Submit("deaf");
  EXPECT_EQ(Until(deaf, JobState::kRunning).state, JobState::kRunning);
  ASSERT_TRUE(engine_->Cancel(deaf));
  EXPECT_EQ(End(deaf).state, JobState::kCancelled);
  EXPECT_EQ(engine_->Cancel("nothing").error().kind, "not-found");
}

TEST_F(EngineTest, ForgetsWhatIsDeleted) {
  Open();
  const JobRecord job = End(Submit("copy", {{"tail", "x"}}));
  const std::string made = job.outputs[0].asset;
  EXPECT_EQ(engine_->RemoveAsset(made).error().kind, "conflict");
  ASSERT_TRUE(engine_->Remove(job.id));
  EXPECT_FALSE(engine_->journal().FindJob(job.id));
  EXPECT_FALSE(fs::exists(engine_->assets().PathOf(made)));
  EXPECT_TRUE(fs::exists(engine_->assets().PathOf(job.inputs[0].asset)));  // what a client brought stays its time
  const std::string running = Submit("slow");
  EXPECT_EQ(Until(running, JobState::kRunning).state, JobState::kRunning);
  ASSERT_TRUE(engine_->Remove(running));
  for (int i = 0; i < 400 && engine_->journal().FindJob(running)->state != JobState::kCancelled; ++i) usleep(5000);
}

TEST_F(EngineTest, StopsWithoutCountingItAgainstTheJob) {
  Open();
  const std::string id = Submit("slow");
  EXPECT_EQ(Until(id, JobState::kRunning).state, JobState::kRunning);
  engine_->Stop(0);
  EXPECT_EQ(engine_->Submit({.kind = "test"}).error().kind, "draining");
  engine_.reset();
  Open();
  const JobRecord job = Until(id, JobState::kRunning);
  EXPECT_EQ(job.attempt, 1);
}

// Many slots take long to begin: the first has claimed and told by then, while nobody has the engine but itself.
TEST_F(EngineTest, TellsOfWhatBeginsBeforeItIsThere) {
  Open();
  const std::string id = Submit("slow");
  EXPECT_EQ(Until(id, JobState::kRunning).state, JobState::kRunning);
  engine_.reset();
  std::atomic<int> told = 0, known = 0;
  settings_.on_event = [&](Engine& engine, const EventRecord& event) {
    ++told;
    known += engine.journal().FindJob(event.job).has_value() ? 1 : 0;
  };
  settings_.slots.assign(64, {.device = "cpu"});
  Open();
  EXPECT_EQ(Until(id, JobState::kRunning).state, JobState::kRunning);
  engine_->Stop(0);
  EXPECT_GE(told, 1);
  EXPECT_EQ(known, told);
}

TEST_F(EngineTest, TakesNoMoreThanItsLimits) {
  settings_.most_jobs = 3;
  settings_.most_jobs_of_client = 2;
  settings_.slots.clear();  // nothing is done
  Open();
  const std::string asset = Asset();
  const auto submit = [&](const std::string& client) {
    return engine_->Submit({.kind = "test", .client = client, .inputs = {{asset, "a.wav"}}});
  };
  EXPECT_TRUE(submit("a"));
  EXPECT_TRUE(submit("a"));
  EXPECT_EQ(submit("a").error().kind, "queue-full");
  EXPECT_TRUE(submit("b"));
  EXPECT_EQ(submit("b").error().kind, "queue-full");
  EXPECT_EQ(engine_->Submit({.kind = "test", .client = "c", .inputs = {{"nothing", "a"}}}).error().kind, "queue-full");
}

TEST_F(EngineTest, LeavesRoomOnTheDisk) {
  settings_.reserve_bytes = INT64_MAX / 2;
  Open();
  EXPECT_EQ(engine_->Submit({.kind = "test"}).error().kind, "disk-full");
  engine_.reset();
  settings_.reserve_bytes = 0;
  settings_.quota_bytes = 1000;
  Open();
  EXPECT_TRUE(engine_->CheckRoom(1000));
  EXPECT_EQ(engine_->CheckRoom(1001).error().kind, "disk-full");
}

TEST_F(EngineTest, TakesSoundAlone) {
  Open();
  const std::string path = engine_->assets().TemporaryPath();
  testing::WriteAll(path, "<html>");
  const auto refused = engine_->AddAsset(path, "page.html");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, "media-type");
  EXPECT_EQ(refused.error().message.find("tmp"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(EngineTest, OneServerAFolder) {
  Open();
  const auto second = Engine::Open(settings_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
}

// The disk fails at each step from the first on; the job ends all the same, and with a disk that works again the next.
TEST_F(EngineTest, SurvivesADiskThatFailsAtAnyStep) {
  Open();
  for (int step = 0; step < 12; ++step) {
    const std::string id = Submit("slow");
    EXPECT_EQ(Until(id, JobState::kRunning).state, JobState::kRunning);
    ASSERT_TRUE(engine_->Cancel(id));
    EXPECT_EQ(End(id).state, JobState::kCancelled);
    const std::string asset = Asset();
    std::atomic<int> left{step};
    SetFileFault([&left](FileStep, const std::string&) { return left.fetch_sub(1) == 0 ? ENOSPC : 0; });
    const auto accepted = engine_->Submit({.kind = "test",
                                           .client = "a",
                                           .inputs = {{asset, "song.wav"}},
                                           .options = {{"do", "copy"}, {"tail", std::to_string(step)}}});
    ASSERT_TRUE(accepted);
    const JobRecord job = End(accepted->job.id);
    SetFileFault({});
    EXPECT_TRUE(IsFinal(job.state)) << step;
    if (left < 0) {
      EXPECT_EQ(job.state, JobState::kFailed) << step;
      EXPECT_NE(job.error["detail"].get<std::string>().find("No space left"), std::string::npos) << job.error;
    }
    EXPECT_EQ(End(Submit("copy")).state, JobState::kSucceeded) << step;
  }
}

// What must hold of a folder after whatever has happened to the servers that worked in it.
void ExpectWhole(const fs::path& folder, const std::vector<std::string>& accepted) {
  auto journal = Journal::Open((folder / "db.sqlite").string());
  ASSERT_TRUE(journal) << journal.error().message;
  for (const std::string& id : accepted) {
    const auto job = (*journal)->FindJob(id);
    ASSERT_TRUE(job) << "an accepted job was forgotten";
    EXPECT_TRUE(IsFinal(job->state)) << JobStateName(job->state);
    if (job->state == JobState::kSucceeded) {
      EXPECT_EQ(job->outputs.size(), 1u);
    }
    int ends = 0;
    const auto events = (*journal)->EventsAfter(0, 10000);
    for (const EventRecord& event : *events) ends += event.job == id && event.type == "job.ended" ? 1 : 0;
    EXPECT_EQ(ends, 1) << id;
  }
  const auto events = (*journal)->EventsAfter(0, 10000);
  for (size_t i = 0; i < events->size(); ++i) EXPECT_EQ((*events)[i].seq, static_cast<int64_t>(i) + 1);
  // A project is as it was before a change or after it.
  const auto projects = (*journal)->ListProjects({.limit = 10});
  ASSERT_TRUE(projects) << projects.error().message;
  for (const ProjectRecord& listed : *projects) {
    const auto project = (*journal)->FindProject(listed.id);
    ASSERT_TRUE(project) << project.error().message;
    EXPECT_EQ(project->document["n"], project->revision - 1);
  }
  // Every row has its file, of the bytes that it says; every file has its row.
  std::vector<std::string> ids = *(*journal)->AssetIds(), files;
  std::sort(ids.begin(), ids.end());
  for (const auto& entry : fs::recursive_directory_iterator(folder / "assets")) {
    if (!entry.is_regular_file()) continue;
    files.push_back(entry.path().filename().string());
    EXPECT_EQ(Sha256Of(testing::ReadAll(entry.path())), files.back());
  }
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, ids);
  EXPECT_TRUE(fs::is_empty(folder / "jobs"));
  EXPECT_TRUE(fs::is_empty(folder / "tmp"));
}

// A life of a server in a process of its own: brings a file, submits three jobs, waits for all that there are. What was
// accepted is written to `log` as a client would have read it. Ends with 0, or where it is killed.
void Live(const EngineSettings& settings, const fs::path& log, bool submit) {
  auto engine = Engine::Open(settings);
  if (!engine) _exit(3);
  if (submit) {
    const std::string path = (*engine)->assets().TemporaryPath();
    testing::WriteTestWav(path, 0.02);
    const auto asset = (*engine)->AddAsset(path, "song.wav");
    if (!asset) _exit(4);
    const ProjectRecord project{.id = NewId(), .kind = "timeline", .document = {{"n", 0}}, .created = Now()};
    if (!(*engine)->AddProject(project, {asset->id})) _exit(7);
    if (!(*engine)->ChangeProject(project.id, 1, {.document = Json{{"n", 1}}, .assets = {asset->id}})) _exit(7);
    for (int i = 0; i < 3; ++i) {
      Submission submission{.kind = "test", .client = "a", .inputs = {{asset->id, "song.wav"}}};
      submission.options = {{"do", i == 2 ? "slow" : "copy"}, {"tail", std::string(static_cast<size_t>(i), 'x')}};
      const auto accepted = (*engine)->Submit(submission);
      if (!accepted) _exit(5);
      if (FILE* file = std::fopen(log.c_str(), "a"); file != nullptr) {
        std::fprintf(file, "%s\n", accepted->job.id.c_str());
        std::fclose(file);
      }
    }
  }
  for (int i = 0; i < 4000; ++i) {
    // The third is to be cancelled: at once where it runs.
    const auto all = (*engine)->journal().ListJobs({});
    bool ended = true;
    for (const JobRecord& job : *all) {
      if (job.state == JobState::kRunning && job.options["do"] == "slow") (void)(*engine)->Cancel(job.id);
      ended = ended && IsFinal(job.state);
    }
    if (ended) {
      (*engine)->Stop(10);
      _exit(0);
    }
    usleep(2000);
  }
  _exit(6);
}

int WaitFor(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> LinesOf(const fs::path& path) {
  std::vector<std::string> lines;
  std::istringstream text(testing::ReadAll(path));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

TEST(EngineKill, AtEveryPointNothingAcceptedIsLost) {
  for (const std::string& point : CrashPoints()) {
    for (const int count : testing::FullSweep() ? std::vector<int>{1, 2, 3} : std::vector<int>{1}) {
      testing::TempFolder folder;
      const EngineSettings settings = Settings(folder / "data");
      const fs::path log = folder / "accepted";
      pid_t child = fork();
      if (child == 0) {
        SetCrashPoint(point, count);
        Live(settings, log, true);
      }
      const int code = WaitFor(child);
      if (count == 1) {
        EXPECT_EQ(code, kCrashed) << point << " was not come to";
      }
      child = fork();
      if (child == 0) Live(settings, log, false);
      ASSERT_EQ(WaitFor(child), 0) << point;
      SCOPED_TRACE(point);
      ExpectWhole(folder / "data", LinesOf(log));
    }
  }
}

TEST(EngineKill, AtAnyMomentNothingAcceptedIsLost) {
  std::mt19937 random(7);
  for (int round = 0; round < (testing::FullSweep() ? 200 : 6); ++round) {
    testing::TempFolder folder;
    const EngineSettings settings = Settings(folder / "data");
    const fs::path log = folder / "accepted";
    pid_t child = fork();
    if (child == 0) Live(settings, log, true);
    usleep(random() % 150000);
    kill(child, SIGKILL);
    (void)WaitFor(child);
    child = fork();
    if (child == 0) Live(settings, log, false);
    ASSERT_EQ(WaitFor(child), 0) << round;
    SCOPED_TRACE(round);
    ExpectWhole(folder / "data", LinesOf(log));
  }
}

// The last that is left of a killed server holds its lock for a moment more; a server that lives holds it for good.
TEST(EngineKill, ALockThatIsAboutToGoIsWaitedFor) {
  testing::TempFolder folder;
  const EngineSettings settings = Settings(folder / "data");
  { ASSERT_TRUE(Engine::Open(settings)); }
  int held[2];
  ASSERT_EQ(pipe(held), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FileLock::Acquire(folder / "data/lock", nullptr);
    if (!lock || write(held[1], "x", 1) != 1) _exit(1);
    usleep(300000);
    _exit(0);
  }
  char begun = 0;
  ASSERT_EQ(read(held[0], &begun, 1), 1);
  const auto engine = Engine::Open(settings);
  EXPECT_TRUE(engine) << engine.error().message;
  EXPECT_EQ(WaitFor(child), 0);
  const auto second = Engine::Open(settings);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another server works in"), std::string::npos) << second.error().message;
  close(held[0]);
  close(held[1]);
}

TEST(EngineWorker, LinesAreBounded) {
  LineBuffer lines;
  EXPECT_TRUE(lines.Add("a\nb"));
  EXPECT_EQ(lines.Next(), "a");
  EXPECT_EQ(lines.Next(), std::nullopt);
  EXPECT_TRUE(lines.Add("c\n\n"));
  EXPECT_EQ(lines.Next(), "bc");
  EXPECT_EQ(lines.Next(), "");
  EXPECT_EQ(lines.Next(), std::nullopt);
  EXPECT_TRUE(lines.Add(std::string(LineBuffer::kLongest, 'x')));
  EXPECT_FALSE(lines.Add("x"));
}

TEST(EngineWorker, IsNoneWhereThereIsNoProgram) {
  const auto worker = WorkerProcess::Start({"/nothing/of/this/name"});
  ASSERT_FALSE(worker);
  EXPECT_NE(worker.error().message.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace timbre::engine
