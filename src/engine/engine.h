// Jobs over devices: what was accepted is done once and for all, whatever happens to a worker, to the server or to the
// disk. A slot is a thread that claims a job, has its worker process do it, and commits what came of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file_lock.h"
#include "engine/assets.h"
#include "engine/journal.h"

namespace timbre::engine {

// Why something was not done: "queue-full", "disk-full", "conflict", "invalid", "not-found", …, and a sentence.
struct Problem {
  std::string kind;
  std::string message;
};
template <typename T>
using Outcome = tl::expected<T, Problem>;
Problem ProblemOf(const Error& error);

struct Slot {
  std::string device;  // what jobs name, and what its worker computes on
  bool quick = false;  // for the kinds that take a moment, so that they never wait behind one that takes an hour
  bool named = false;  // only for jobs that name it
};

class Engine;

struct EngineSettings {
  std::string folder;
  std::vector<Slot> slots;
  // The program that a slot's jobs run in.
  std::function<std::vector<std::string>(const Slot&)> worker;
  // What the worker is sent for a job: `inputs` are paths, and what it writes belongs into `folder`.
  std::function<Json(const JobRecord& job, const Slot& slot, const std::vector<std::string>& inputs,
                     const std::string& folder)>
      order;
  int64_t most_jobs = 1000, most_jobs_of_client = 100;  // that have not ended
  int64_t reserve_bytes = int64_t{2} << 30;             // of the disk, left free
  int64_t quota_bytes = 0;                              // of all assets; 0: none
  // What a job may write, besides twelve times what its inputs take as float32: for what is made of little; 0: any.
  int64_t job_bytes = int64_t{1} << 30;
  int64_t keep_seconds = 7 * 24 * 3600;
  double silence_seconds = 900;  // of a worker that computes: then it hangs
  double cancel_seconds = 10;    // until a worker that does not heed a cancel is sent SIGTERM
  double end_seconds = 5;        // and until SIGKILL
  double idle_seconds = 600;     // after which a worker without work is ended
  // From the engine's threads, with none of its locks held. Events in their order. They are given the engine, since a
  // job that waits may begin, and be told of, before Open has returned it.
  std::function<void(Engine&, const EventRecord&)> on_event = {};
  std::function<void(Engine&, const std::string& job, const Json& progress)> on_progress = {};
};

struct Submission {
  std::string kind, client, project, device = "auto";
  std::vector<JobInput> inputs;
  Json options = Json::object();
  int priority = 1;
  bool quick = false;
  std::string key, digest;  // of an Idempotency-Key; empty: none
};

class Engine {
 public:
  // Opens the folder, which one engine has at a time (kUnsupported names it otherwise), and begins.
  static Result<std::unique_ptr<Engine>> Open(EngineSettings settings);
  ~Engine();

  struct Accepted {
    JobRecord job;
    bool replayed = false;
  };
  Outcome<Accepted> Submit(const Submission& submission);
  Outcome<JobState> Cancel(const std::string& id);
  Outcome<JobRecord> Retry(const std::string& id);
  Outcome<JobRecord> Change(const std::string& id, const JobChange& change);
  Outcome<void> Remove(const std::string& id);

  // A file in the store's "tmp" or "uploads", named `name` for people, as an asset. It has to be sound, MIDI
  // or tensors (.safetensors).
  Outcome<AssetRecord> AddAsset(const std::string& path, const std::string& name);
  // What a job reads besides sound: words, settings.
  Outcome<AssetRecord> AddText(const std::string& text, const std::string& name);
  Outcome<void> RemoveAsset(const std::string& id);
  // Changes of projects, which tell of themselves (journal.h).
  Status AddProject(const ProjectRecord& project, const std::vector<std::string>& assets);
  Result<std::optional<ProjectRecord>> ChangeProject(const std::string& id, int64_t revision,
                                                     const ProjectChange& change);
  Result<bool> RemoveProject(const std::string& id, int64_t revision);
  // Whether so many bytes more may be written.
  Outcome<void> CheckRoom(int64_t bytes);

  Journal& journal() { return *journal_; }
  AssetStore& assets() { return *assets_; }
  const EngineSettings& settings() const { return settings_; }
  // {"stage", "done", "total", "progress"} of a running job; null where nothing is known.
  Json ProgressOf(const std::string& job);
  // The seconds that a job still takes once it runs, by how long others of its kind, model and device took for a second
  // of sound; nothing where none have run, or the sound's length is not known.
  std::optional<double> EstimateOf(const JobRecord& job, double progress);

  struct SlotState {
    Slot slot;
    std::string job;  // empty: idle
    pid_t worker = -1;
    // Workers that ended while they ran a job, by why: "crashed", "silent", "deaf" to a cancel, "quota".
    std::map<std::string, int64_t> restarts;
    double busy_seconds = 0;
    double loaded = 0, reused = 0;  // models, by its jobs: read, or still there from the job before
    int64_t TimesRestarted() const;
  };
  std::vector<SlotState> Slots();
  bool draining() const { return draining_; }

  // Claims nothing more; jobs that run get so many seconds, then are queued again without its counting against them.
  void Stop(double grace_seconds);

 private:
  struct Runner;
  explicit Engine(EngineSettings settings);
  Status Begin();
  void RunSlot(Runner& runner);
  void RunJob(Runner& runner, JobRecord job);
  Outcome<AssetRecord> Keep(const std::string& path, const std::string& name, const std::string& media_type,
                            Json facts);
  // Until when what ended at a time (microseconds) is kept.
  int64_t KeptUntil(int64_t ended) const { return ended + settings_.keep_seconds * 1000000; }
  // The job as a change has left it; a conflict where its state forbids that.
  Outcome<JobRecord> Changed(const std::string& id, const Status& done);
  Status Prepare(const JobRecord& job, std::vector<std::string>& inputs, std::string& folder);
  Status Succeed(const JobRecord& job, Json report, Json said, const std::string& folder);
  double RoomOf(const JobRecord& job);
  void Settle(const JobRecord& job, const Journal::End& end);
  void Tidy();
  void Minder();
  void Publish();
  void Wake();

  EngineSettings settings_;
  std::optional<FileLock> lock_;
  std::unique_ptr<Journal> journal_;
  std::optional<AssetStore> assets_;
  std::shared_mutex files_;  // shared while a file gets its row, alone while rows and files are removed
  std::mutex publishing_;
  int64_t published_ = 0;  // the last event told; guarded by publishing_

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  uint64_t turn_ = 0;  // grows when there may be something to claim
  std::map<std::string, Json> progress_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::atomic<bool> draining_{false}, stop_now_{false};
  std::thread minder_;
};

}  // namespace timbre::engine
