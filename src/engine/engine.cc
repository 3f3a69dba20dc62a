#include "engine/engine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/event.h"
#include "base/file_faults.h"
#include "base/files.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/quantities.h"
#include "base/start_thread.h"
#include "engine/crash_points.h"
#include "engine/ids.h"
#include "engine/worker_process.h"

namespace timbre::engine {
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostOutputs = 1000;
constexpr auto kProgressEvery = std::chrono::milliseconds(200);
constexpr double kWeighEvery = 1;                // seconds
constexpr double kTimesInputs = 12;              // as float32, that a job may write
constexpr int64_t kMostPacking = 64;             // of sound whose length its file does not say
constexpr size_t kMostSaid = size_t{256} << 10;  // bytes of a job's words that are kept

double SecondsSince(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// `text` with every `from` in it replaced.
std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// What a client is told never names a place on the server's disk.
Json WithoutPaths(Json json, const std::vector<std::pair<std::string, std::string>>& names) {
  if (json.is_string()) {
    std::string text = json.get<std::string>();
    for (const auto& [path, name] : names) text = Replaced(std::move(text), path, name);
    return text;
  }
  if (json.is_structured()) {
    for (auto& part : json) part = WithoutPaths(std::move(part), names);
  }
  return json;
}

// What a job tells people, but for details: what its command answers, and what it warns of, is a client's to know.
// Pieces of an answer are put together again. Of one that says too much the beginning is kept, and a warning that it is
// no more than that.
class Words {
 public:
  void Add(const std::string& kind, const std::string& text) {
    const bool piece = kind == kPieceEvent;
    const bool kept =
        piece || kind == kAnswerEvent || kind == kMessageEvent || kind == kWarningEvent || kind == kStepDownEvent;
    if (!kept || full_) return;
    const bool goes_on = piece && !said_.empty() && said_.back()["kind"] == kPieceEvent;
    bytes_ += text.size() + (goes_on ? 0 : kEntryBytes);
    full_ = bytes_ > kMostSaid;
    if (full_) {
      said_.push_back({{"kind", kWarningEvent}, {"text", "it said more than a server keeps; the rest is left out"}});
    } else if (goes_on) {
      said_.back()["text"].get_ref<std::string&>() += text;
    } else {
      said_.push_back({{"kind", kind}, {"text", text}});
    }
  }
  const Json& said() const { return said_; }

 private:
  static constexpr size_t kEntryBytes = 64;  // about what an entry takes beside its text, which may be empty
  Json said_ = Json::array();
  size_t bytes_ = 0;
  bool full_ = false;
};

Json ProblemJson(const std::string& kind, const std::string& detail) {
  return {{"type", "/problems/" + kind}, {"detail", detail}};
}

// The files below `folder`, by their names relative to it, sorted.
Result<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error); !error && entry != fs::end(entry);
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_symlink(ignored) || !entry->is_regular_file(ignored)) continue;
    names.push_back(fs::relative(entry->path(), folder, ignored).generic_string());
    if (names.size() > kMostOutputs) return Fail(ErrorCode::kUnsupported, "the job has made more than 1000 files.");
  }
  if (error) return Fail(ErrorCode::kIo, "what the job has made can't be read: " + error.message() + ".");
  std::sort(names.begin(), names.end());
  return names;
}

// Of all files below `folder`, as far as they can be seen.
int64_t BytesBelow(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error); !error && entry != fs::end(entry);
       entry.increment(error)) {
    std::error_code gone;
    const auto size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
    if (!gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

// What sound takes as float32.
double DecodedBytes(const AssetRecord& asset) {
  const Json& facts = asset.facts;
  const auto number = [&](const char* name) {
    return facts.contains(name) && facts[name].is_number() ? facts[name].get<double>() : 0.0;
  };
  const double samples = number("seconds") * number("sample_rate") * number("channels");
  if (samples > 0) return samples * sizeof(float);
  return asset.media_type == "audio/midi" ? 0.0 : static_cast<double>(asset.bytes * kMostPacking);
}

// The part of a job that its speed depends on.
std::string SpeedKey(const JobRecord& job, const std::string& device) {
  const auto model = job.options.find("model");
  return job.kind + "|" + (model != job.options.end() && model->is_string() ? model->get<std::string>() : "") + "|" +
         device;
}

}  // namespace

Problem ProblemOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument: return {"invalid", error.message};
    case ErrorCode::kNotFound: return {"not-found", error.message};
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported: return {"unsupported", error.message};
    case ErrorCode::kIo: return {"input-output", error.message};
    default: return {"internal", error.message};
  }
}

struct Engine::Runner {
  Slot slot;
  std::thread thread;
  std::optional<WorkerProcess> worker;  // the thread's own
  Clock::time_point idle_since;
  // Guarded by the engine's mutex_.
  std::string job;
  pid_t pid = -1;
  std::map<std::string, int64_t> restarts;
  double busy_seconds = 0;
  double loaded = 0, reused = 0;
};

Engine::Engine(EngineSettings settings) : settings_(std::move(settings)) {}

Result<std::unique_ptr<Engine>> Engine::Open(EngineSettings settings) {
  std::unique_ptr<Engine> engine(new Engine(std::move(settings)));
  TIMBRE_CHECK(engine->Begin());
  return engine;
}

Status Engine::Begin() {
  TIMBRE_CHECK(MakeFolders(settings_.folder));
  (void)chmod(settings_.folder.c_str(), 0700);
  // A worker that a killed server had just forked has the lock too, until it is gone as well: a moment on an idle
  // machine.
  const auto until = Clock::now() + std::chrono::seconds(2);
  Result<FileLock> lock = FileLock::Acquire(settings_.folder + "/lock", [until] { return Clock::now() >= until; });
  if (!lock && lock.error().code == ErrorCode::kCancelled) {
    return Fail(ErrorCode::kUnsupported,
                "another server works in '" + settings_.folder + "'; end it, or give another --data.");
  }
  if (!lock) return tl::unexpected<Error>(lock.error());
  lock_ = *std::move(lock);
  TIMBRE_TRY(journal_, Journal::Open(settings_.folder + "/db.sqlite"));
  At("before-recovery");
  TIMBRE_CHECK(journal_->Recover(Now(), KeptUntil(Now())));
  At("after-recovery");
  TIMBRE_TRY(assets_, AssetStore::Open(settings_.folder));
  TIMBRE_TRY(const std::vector<std::string> known, journal_->AssetIds());
  assets_->RemoveOthers(known);
  Tidy();
  TIMBRE_TRY(const auto range, journal_->EventRange());
  published_ = range.second;
  for (const Slot& slot : settings_.slots) {
    auto runner = std::make_unique<Runner>();
    runner->slot = slot;
    Runner& begun = *runner;
    runners_.push_back(std::move(runner));
    // Workers die with the thread that forked them: it lives as long as the engine.
    TIMBRE_TRY(begun.thread, StartThread([this, &begun] { RunSlot(begun); }));
  }
  TIMBRE_TRY(minder_, StartThread([this] { Minder(); }));
  return {};
}

Engine::~Engine() { Stop(0); }

void Engine::Stop(double grace_seconds) {
  draining_ = true;
  {
    std::unique_lock lock(mutex_);
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::duration<double>(grace_seconds), [&] {
      return std::all_of(runners_.begin(), runners_.end(), [](const auto& runner) { return runner->job.empty(); });
    });
    stop_now_ = true;
    changed_.notify_all();
  }
  for (const auto& runner : runners_) {
    if (runner->thread.joinable()) runner->thread.join();
  }
  if (minder_.joinable()) minder_.join();
}

void Engine::Wake() {
  const std::lock_guard lock(mutex_);
  ++turn_;
  changed_.notify_all();
}

// Tells of what has been committed since the last time, each event once and in order.
void Engine::Publish() {
  const std::lock_guard lock(publishing_);
  for (;;) {
    const auto events = journal_->EventsAfter(published_, 100);
    if (!events || events->empty()) return;
    for (const EventRecord& event : *events) {
      published_ = event.seq;
      if (settings_.on_event) settings_.on_event(*this, event);
    }
  }
}

Outcome<void> Engine::CheckRoom(int64_t bytes) {
  if (assets_->FreeBytes() - bytes < settings_.reserve_bytes) {
    return tl::unexpected<Problem>({"disk-full", "the server's disk is nearly full; delete jobs, or try again later."});
  }
  if (settings_.quota_bytes > 0) {
    const auto used = journal_->AssetBytes();
    if (!used) return tl::unexpected<Problem>(ProblemOf(used.error()));
    if (*used + bytes > settings_.quota_bytes) {
      return tl::unexpected<Problem>({"disk-full", "the server keeps no more than its quota; delete jobs or assets."});
    }
  }
  return {};
}

Outcome<Engine::Accepted> Engine::Submit(const Submission& submission) {
  if (draining_) return tl::unexpected<Problem>({"draining", "the server is about to stop; try again later."});
  if (auto room = CheckRoom(0); !room) return tl::unexpected<Problem>(room.error());
  const auto all = journal_->CountUnfinished(""), own = journal_->CountUnfinished(submission.client);
  if (!all || !own) return tl::unexpected<Problem>(ProblemOf(all ? own.error() : all.error()));
  if (*all >= settings_.most_jobs || *own >= settings_.most_jobs_of_client) {
    return tl::unexpected<Problem>(
        {"queue-full", "as many jobs wait already as may wait; try again when some have ended."});
  }
  JobRecord job{.id = NewId(),
                .kind = submission.kind,
                .client = submission.client,
                .project = submission.project,
                .priority = submission.priority,
                .device_want = submission.device,
                .quick = submission.quick,
                .options = submission.options,
                .created = Now(),
                .inputs = submission.inputs};
  const std::shared_lock files(files_);
  for (const JobInput& input : job.inputs) {
    const auto asset = journal_->FindAsset(input.asset);
    if (!asset) return tl::unexpected<Problem>(ProblemOf(asset.error()));
    if (asset->facts.contains("seconds") && asset->facts["seconds"].is_number()) {
      job.audio_seconds += asset->facts["seconds"].get<double>();
    }
  }
  At("before-submit");
  const auto submitted = journal_->Submit(job, submission.key, submission.digest);
  if (!submitted) return tl::unexpected<Problem>(ProblemOf(submitted.error()));
  At("after-submit");
  Publish();
  Wake();
  auto stored = journal_->FindJob(submitted->id);
  if (!stored) return tl::unexpected<Problem>(ProblemOf(stored.error()));
  return Accepted{*std::move(stored), submitted->replayed};
}

Outcome<JobState> Engine::Cancel(const std::string& id) {
  const auto state = journal_->RequestCancel(id, Now(), KeptUntil(Now()));
  if (!state) return tl::unexpected<Problem>(ProblemOf(state.error()));
  At("after-cancel-request");
  Publish();
  Wake();
  return *state;
}

Outcome<JobRecord> Engine::Retry(const std::string& id) { return Changed(id, journal_->Retry(id, Now())); }

Outcome<JobRecord> Engine::Change(const std::string& id, const JobChange& change) {
  return Changed(id, journal_->Change(id, change, Now()));
}

Outcome<JobRecord> Engine::Changed(const std::string& id, const Status& done) {
  if (!done) {
    Problem problem = ProblemOf(done.error());
    if (problem.kind == "invalid") problem.kind = "conflict";  // it is the job's state that forbids it
    return tl::unexpected<Problem>(problem);
  }
  Publish();
  Wake();
  auto job = journal_->FindJob(id);
  if (!job) return tl::unexpected<Problem>(ProblemOf(job.error()));
  return *std::move(job);
}

Outcome<void> Engine::Remove(const std::string& id) {
  const auto job = journal_->FindJob(id);
  if (!job) return tl::unexpected<Problem>(ProblemOf(job.error()));
  Status removed;
  if (IsFinal(job->state)) {
    removed = journal_->RemoveJob(id);
  } else {
    removed = journal_->RemoveJobAtItsEnd(id);
    if (const auto cancelled = Cancel(id); removed && !cancelled) return tl::unexpected<Problem>(cancelled.error());
  }
  if (!removed) return tl::unexpected<Problem>(ProblemOf(removed.error()));
  Tidy();
  // What only this job had is of no use to anybody.
  for (const JobOutput& output : job->outputs) {
    if (const auto gone = RemoveAsset(output.asset); !gone && gone.error().kind != "conflict") {
      Log(LogLevel::kWarning, gone.error().message);
    }
  }
  return {};
}

Outcome<AssetRecord> Engine::AddAsset(const std::string& path, const std::string& name) {
  std::string media_type = MediaTypeOf(name);
  auto facts = FactsOf(path, media_type);
  if (!facts) {
    // The file has a name of ours that means nothing to anybody.
    std::string message = Replaced(facts.error().message, path, name);
    unlink(path.c_str());
    return tl::unexpected<Problem>({"media-type", std::move(message)});
  }
  return Keep(path, name, media_type, *std::move(facts));
}

Outcome<AssetRecord> Engine::AddText(const std::string& text, const std::string& name) {
  const std::string path = assets_->TemporaryPath();
  auto file = AtomicFile::Create(path);
  Status written = file ? file->Write(text) : Status(tl::unexpected<Error>(file.error()));
  if (written) written = file->Commit();
  if (!written) return tl::unexpected<Problem>({"input-output", "what was sent can't be kept; the disk may be full."});
  return Keep(path, name, "text/plain", Json::object());
}

Outcome<AssetRecord> Engine::Keep(const std::string& path, const std::string& name, const std::string& media_type,
                                  Json facts) {
  const std::shared_lock files(files_);
  auto asset = assets_->Take(path, name);
  if (asset) {
    asset->media_type = media_type;
    asset->facts = std::move(facts);
    if (const Status added = journal_->AddAsset(*asset); !added) asset = tl::unexpected<Error>(added.error());
  }
  if (!asset) {
    unlink(path.c_str());
    return tl::unexpected<Problem>(ProblemOf(asset.error()));
  }
  At("after-asset-row");
  return *std::move(asset);
}

Outcome<void> Engine::RemoveAsset(const std::string& id) {
  const std::unique_lock files(files_);
  if (const auto asset = journal_->FindAsset(id); !asset) return tl::unexpected<Problem>(ProblemOf(asset.error()));
  const auto removed = journal_->RemoveAsset(id);
  if (!removed) return tl::unexpected<Problem>(ProblemOf(removed.error()));
  if (!*removed) return tl::unexpected<Problem>({"conflict", "a job or a project has this asset; delete that first."});
  assets_->Remove(id);
  return {};
}

Status Engine::AddProject(const ProjectRecord& project, const std::vector<std::string>& assets) {
  TIMBRE_CHECK(journal_->AddProject(project, assets));
  Publish();
  return {};
}

Result<std::optional<ProjectRecord>> Engine::ChangeProject(const std::string& id, int64_t revision,
                                                           const ProjectChange& change) {
  TIMBRE_TRY(auto changed, journal_->ChangeProject(id, revision, Now(), change));
  Publish();
  return changed;
}

Result<bool> Engine::RemoveProject(const std::string& id, int64_t revision) {
  TIMBRE_TRY(const bool removed, journal_->RemoveProject(id, revision, Now()));
  Publish();
  return removed;
}

Json Engine::ProgressOf(const std::string& job) {
  const std::lock_guard lock(mutex_);
  const auto found = progress_.find(job);
  return found == progress_.end() ? Json() : found->second;
}

std::optional<double> Engine::EstimateOf(const JobRecord& job, double progress) {
  if (IsFinal(job.state) || job.audio_seconds <= 0) return std::nullopt;
  std::string device = job.device.empty() ? job.device_want : job.device;
  if (device == "auto" && !settings_.slots.empty()) device = settings_.slots.front().device;
  const auto factor = journal_->Speed(SpeedKey(job, device));
  if (!factor || !*factor) return std::nullopt;
  return **factor * job.audio_seconds * (1 - progress);
}

int64_t Engine::SlotState::TimesRestarted() const {
  int64_t times = 0;
  for (const auto& [reason, count] : restarts) times += count;
  return times;
}

std::vector<Engine::SlotState> Engine::Slots() {
  const std::lock_guard lock(mutex_);
  std::vector<SlotState> states;
  for (const auto& runner : runners_) {
    states.push_back({runner->slot, runner->job, runner->pid, runner->restarts, runner->busy_seconds, runner->loaded,
                      runner->reused});
  }
  return states;
}

// What is past its time.
void Engine::Tidy() {
  const std::unique_lock files(files_);
  const int64_t now = Now();
  const auto gone = journal_->Expire(now, now - settings_.keep_seconds * 1000000);
  if (!gone) {
    Log(LogLevel::kWarning, gone.error().message);
    return;
  }
  for (const std::string& id : *gone) assets_->Remove(id);
  const auto uploads = journal_->Uploads();
  if (!uploads) return;
  for (const UploadRecord& upload : *uploads) {
    if (upload.expires > now) continue;
    unlink(assets_->UploadPath(upload.id).c_str());
    (void)journal_->RemoveUpload(upload.id);
  }
}

void Engine::Minder() {
  std::unique_lock lock(mutex_);
  while (!stop_now_) {
    if (changed_.wait_for(lock, std::chrono::seconds(60), [&] { return stop_now_.load(); })) return;
    lock.unlock();
    Tidy();
    lock.lock();
  }
}

void Engine::RunSlot(Runner& runner) {
  for (;;) {
    uint64_t turn = 0;
    {
      const std::lock_guard lock(mutex_);
      if (draining_ || stop_now_) break;
      turn = turn_;
    }
    At("before-claim");
    auto claimed = journal_->Claim(runner.slot.device, runner.slot.quick, Now(), runner.slot.named);
    if (claimed && *claimed) {
      At("after-claim");
      Publish();
      const auto begun = Clock::now();
      {
        const std::lock_guard lock(mutex_);
        runner.job = (*claimed)->id;
      }
      RunJob(runner, **std::move(claimed));
      Publish();
      runner.idle_since = Clock::now();
      const std::lock_guard lock(mutex_);
      progress_.erase(runner.job);
      runner.job.clear();
      runner.busy_seconds += SecondsSince(begun);
      changed_.notify_all();
      continue;
    }
    if (!claimed) Log(LogLevel::kWarning, "no job can be claimed: " + claimed.error().message);
    if (runner.worker && SecondsSince(runner.idle_since) > settings_.idle_seconds) runner.worker.reset();
    // Priorities grow with time, and a disk that was full may have room: what nobody tells of is looked for.
    std::unique_lock lock(mutex_);
    if (!runner.worker) runner.pid = -1;
    changed_.wait_for(lock, std::chrono::seconds(5), [&] { return draining_ || stop_now_ || turn_ != turn; });
  }
  runner.worker.reset();
}

// The inputs under the names that people know them by, and a folder for what comes.
Status Engine::Prepare(const JobRecord& job, std::vector<std::string>& inputs, std::string& folder) {
  const std::string part = assets_->JobFolder(job.id);
  std::error_code ignored;
  fs::remove_all(part, ignored);
  folder = part + "/out";
  TIMBRE_CHECK(MakeFolders(folder));
  At("after-part-folder");
  for (size_t i = 0; i < job.inputs.size(); ++i) {
    const std::string place = part + "/in/" + std::to_string(i);
    TIMBRE_CHECK(MakeFolders(place));
    const std::string path = place + "/" + job.inputs[i].name, from = assets_->PathOf(job.inputs[i].asset);
    if (FileStepFails(FileStep::kLink, path) || link(from.c_str(), path.c_str()) != 0) {
      return NotDone(job.inputs[i].name, "laid before the worker", errno);
    }
    inputs.push_back(path);
  }
  return {};
}

// Files first, in their places and on the disk; then one transaction that names them all. What dies in between leaves
// files that no row names, and the next start removes them.
Status Engine::Succeed(const JobRecord& job, Json report, Json said, const std::string& folder) {
  TIMBRE_TRY(const std::vector<std::string> names, FilesBelow(folder));
  Journal::End end{.state = JobState::kSucceeded, .report = std::move(report), .said = std::move(said)};
  const int64_t now = Now();
  end.expires = KeptUntil(now);
  const std::shared_lock files(files_);
  At("before-output-rename");
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", folder, name);
    std::string media_type = MediaTypeOf(name);
    Json facts = Json::object();
    if (media_type.starts_with("audio/") && media_type != "audio/midi") {
      if (auto found = FactsOf(path, media_type); found) facts = *std::move(found);
    }
    TIMBRE_TRY(AssetRecord asset, assets_->Take(path, fs::path(name).filename().string()));
    asset.media_type = media_type;
    asset.facts = std::move(facts);
    end.outputs.push_back({name, asset.id, asset.bytes, asset.media_type, asset.crc32});
    end.assets.push_back(std::move(asset));
    At("after-output-rename");
  }
  At("before-commit");
  TIMBRE_CHECK(journal_->Finish(job.id, end, now));
  At("after-commit");
  if (job.audio_seconds > 0 && job.started > 0) {
    const double seconds = static_cast<double>(now - job.started) / 1e6;
    (void)journal_->NoteSpeed(SpeedKey(job, job.device), seconds / job.audio_seconds);
  }
  return {};
}

// In bytes; 0: any. Not a whole number: how long sound is, its file says, and may say anything.
double Engine::RoomOf(const JobRecord& job) {
  if (settings_.job_bytes <= 0) return 0;
  double decoded = 0;
  for (const JobInput& input : job.inputs) {
    if (const auto asset = journal_->FindAsset(input.asset); asset) decoded += DecodedBytes(*asset);
  }
  return static_cast<double>(settings_.job_bytes) + kTimesInputs * decoded;
}

// An end that could not be written down is tried again until it can, or the server stops: then the next one runs the
// job anew.
void Engine::Settle(const JobRecord& job, const Journal::End& end) {
  Journal::End timed = end;
  timed.expires = KeptUntil(Now());
  for (;;) {
    const Status finished = journal_->Finish(job.id, timed, Now());
    if (finished || finished.error().code == ErrorCode::kInternal) return;
    Log(LogLevel::kWarning, "the end of job " + job.id + " can't be written down yet: " + finished.error().message);
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_now_.load(); })) return;
  }
}

void Engine::RunJob(Runner& runner, JobRecord job) {
  std::vector<std::string> inputs;
  std::string folder;
  const std::string part = assets_->JobFolder(job.id);
  const auto clean = [&] {
    At("before-part-removal");
    std::error_code ignored;
    fs::remove_all(part, ignored);
    At("after-part-removal");
  };
  if (const Status prepared = Prepare(job, inputs, folder); !prepared) {
    Settle(job, {.state = JobState::kFailed, .error = ProblemJson("input-output", prepared.error().message)});
    return clean();
  }
  std::vector<std::pair<std::string, std::string>> names = {{folder + "/", ""}, {folder, "."}};
  for (size_t i = 0; i < inputs.size(); ++i) names.emplace_back(inputs[i], job.inputs[i].name);
  names.emplace_back(settings_.folder + "/", "");

  const auto worker_gone = [&](const char* reason) {
    runner.worker.reset();
    const std::lock_guard lock(mutex_);
    ++runner.restarts[reason];
    runner.pid = -1;
  };
  // Whoever kills the worker for what may be its own fault, or finds it dead, comes here.
  const auto crashed = [&](const char* reason, const std::string& how) {
    worker_gone(reason);
    const auto now = journal_->FindJob(job.id);
    if (now && now->state == JobState::kCancelling) return Settle(job, {.state = JobState::kCancelled});
    if (job.attempt >= job.most_attempts) {
      return Settle(job, {.state = JobState::kFailed,
                          .error = ProblemJson(
                              "crashed", "its worker " + how +
                                             (job.attempt > 1 ? ", " + TimesText(job.attempt) + " in a row" : "") +
                                             "; it is not tried again.")});
    }
    for (;;) {
      const Status queued = journal_->Requeue(job.id, "its worker " + how, true, Now(), KeptUntil(Now()));
      if (queued) return Wake();
      Log(LogLevel::kWarning, "job " + job.id + " can't be queued again yet: " + queued.error().message);
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_now_.load(); })) return;
    }
  };

  if (!runner.worker) {
    auto worker = WorkerProcess::Start(settings_.worker(runner.slot));
    if (!worker) {
      Settle(job, {.state = JobState::kFailed, .error = ProblemJson("no-worker", worker.error().message)});
      return clean();
    }
    runner.worker = *std::move(worker);
    const std::lock_guard lock(mutex_);
    runner.pid = runner.worker->pid();
  }
  At("before-send");
  if (!runner.worker->Send({{"run", settings_.order(job, runner.slot, inputs, folder)}})) {
    crashed("crashed", runner.worker->End());
    return clean();
  }
  At("after-send");

  // It is looked at from time to time, so that a job that runs away is ended, and before what it has made is taken.
  const double room = RoomOf(job);
  const auto over_quota = [&] {
    if (room <= 0 || static_cast<double>(BytesBelow(folder)) <= room) return false;
    runner.worker->Signal(SIGKILL);
    (void)runner.worker->End();
    worker_gone("quota");
    const std::string detail = fmt::format(
        "it has written more than the {:.0f} MiB that a job of its inputs may; ask for less, or have the server "
        "started "
        "with another --job-disk.",
        std::floor(room / 1048576));
    Settle(job, {.state = JobState::kFailed, .error = ProblemJson("disk-quota", detail)});
    return true;
  };

  auto heard = Clock::now(), told = Clock::time_point(), weighed = Clock::now();
  std::optional<Clock::time_point> cancelled;
  bool asked_to_end = false;
  Words words;
  for (auto asked = Clock::time_point();;) {
    auto message = runner.worker->Receive(100);
    if (!message) {
      crashed("crashed", runner.worker->End());
      return clean();
    }
    // The journal knows of cancels; it is asked ten times a second and not for each line.
    if (!cancelled && SecondsSince(asked) > 0.1) {
      asked = Clock::now();
      const auto now = journal_->FindJob(job.id);
      if (now && now->state == JobState::kCancelling) {
        cancelled = Clock::now();
        (void)runner.worker->Send({{"cancel", true}});
      }
    }
    if (stop_now_) {
      runner.worker->Signal(SIGKILL);
      runner.worker.reset();
      (void)journal_->Requeue(job.id, "the server stopped", false, Now(), KeptUntil(Now()));
      return clean();
    }
    if (cancelled && SecondsSince(*cancelled) > settings_.cancel_seconds && !asked_to_end) {
      runner.worker->Signal(SIGTERM);
      asked_to_end = true;
    }
    const bool deaf = cancelled && SecondsSince(*cancelled) > settings_.cancel_seconds + settings_.end_seconds;
    if (deaf || SecondsSince(heard) > settings_.silence_seconds) {
      runner.worker->Signal(SIGKILL);
      (void)runner.worker->End();
      crashed(deaf ? "deaf" : "silent", deaf ? "did not heed the cancel" : "said nothing for too long and was ended");
      return clean();
    }
    if (SecondsSince(weighed) > kWeighEvery) {
      weighed = Clock::now();
      if (over_quota()) return clean();
    }
    if (!*message) continue;
    heard = Clock::now();
    const WorkerWord said = Understand(**message);
    if (said.kind == WorkerWord::Kind::kProgress) {
      At("after-progress");
      const Json shown = {{"stage", said.stage},
                          {"done", said.done},
                          {"total", said.total},
                          {"progress", said.total > 0 ? std::clamp(said.done / said.total, 0.0, 1.0) : 0.0}};
      {
        const std::lock_guard lock(mutex_);
        progress_[job.id] = shown;
      }
      if (settings_.on_progress && Clock::now() - told >= kProgressEvery) {
        told = Clock::now();
        settings_.on_progress(*this, job.id, shown);
      }
      continue;
    }
    if (said.kind == WorkerWord::Kind::kEvent) words.Add(said.event, said.text);
    if (said.kind != WorkerWord::Kind::kEnd) continue;
    At("after-worker-answer");
    {
      const std::lock_guard lock(mutex_);
      runner.loaded += said.loaded;
      runner.reused += said.reused;
    }
    Json report = WithoutPaths(said.report, names), kept = WithoutPaths(words.said(), names);
    if (said.state == "succeeded") {
      if (over_quota()) return clean();
      if (const Status done = Succeed(job, std::move(report), std::move(kept), folder); !done) {
        const Json detail = WithoutPaths(done.error().message, names);
        Settle(job, {.state = JobState::kFailed, .error = ProblemJson("input-output", detail.get<std::string>())});
      }
    } else if (said.state == "cancelled") {
      Settle(job, {.state = JobState::kCancelled});
    } else {
      const Json detail = WithoutPaths(said.detail, names);
      Settle(job, {.state = JobState::kFailed,
                   .error = {{"type", said.problem}, {"detail", detail}},
                   .report = std::move(report),
                   .said = std::move(kept)});
    }
    return clean();
  }
}

}  // namespace timbre::engine
