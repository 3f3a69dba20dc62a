// What the engine must not forget: jobs, their inputs and outputs, assets, uploads, sessions and events, in one SQLite
// file. What happens together is one transaction, with the event that tells of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/database.h"

namespace timbre::engine {

using Json = nlohmann::ordered_json;

// Who moves a job there, and what moves it on:
enum class JobState : uint8_t {
  kQueued,      // a client's request, a retry, a server that stopped; a free slot claims it
  kRunning,     // a slot; its worker's answer, or its death, ends or requeues it
  kCancelling,  // a client's request while it ran; the worker's answer, or its end by a signal
  kSucceeded,   // final, as are the next two, until a client retries or deletes it, or it expires
  kFailed,
  kCancelled,
};
std::string_view JobStateName(JobState state);
std::optional<JobState> FindJobState(std::string_view name);
inline bool IsFinal(JobState state) { return state >= JobState::kSucceeded; }

struct JobInput {
  std::string asset;
  std::string name;  // for people, and for the names of outputs
};

struct JobOutput {
  std::string name;  // relative, with '/' between folders: "song/vocals.wav"
  std::string asset;
  int64_t bytes = 0;
  std::string media_type;
  uint32_t crc32 = 0;
};

struct JobRecord {
  std::string id, kind, client, project;
  JobState state = JobState::kQueued;
  int priority = 1;                  // 0 low, 1 normal, 2 high
  std::string device_want = "auto";  // or a slot's device
  std::string device;                // of the slot that took it
  bool quick = false;                // its kind has a lane of its own
  bool paused = false;
  int64_t front = 0;  // of one client's and one priority, the greatest comes first
  int attempt = 0, most_attempts = 3;
  Json options = Json::object();
  Json error;                                                // a problem, where it failed
  Json report;                                               // where it ended
  Json said;                                                 // [{"kind", "text"}]: what it told people meanwhile
  int64_t created = 0, started = 0, ended = 0, expires = 0;  // Now(); 0: not yet
  double audio_seconds = 0;                                  // of its inputs together; 0: not known
  std::vector<JobInput> inputs;
  std::vector<JobOutput> outputs;
};

struct AssetRecord {
  std::string id;  // SHA-256 of its bytes, 64 hexadecimal digits
  int64_t bytes = 0;
  uint32_t crc32 = 0;
  std::string media_type, name;
  Json facts = Json::object();
  int64_t created = 0;
};

struct UploadRecord {
  std::string id, client, name;
  int64_t length = 0, expires = 0;
};

struct SessionRecord {
  std::string client;
  int64_t expires = 0;
};

struct EventRecord {
  int64_t seq = 0;
  std::string job, type, data;  // JSON
  std::string project;          // of the job, or the one that has changed; empty: none
};

struct ProjectRecord {
  std::string id, kind, name;
  std::string job;       // whose result it corrects, though that may be gone; empty: none
  int64_t revision = 1;  // grows with each change
  int64_t step = 1;      // of the history, that the document is now
  Json document = Json::object();
  int64_t created = 0, changed = 0;
  int64_t undo = 0, redo = 0;  // steps that can be gone back, and forth again
};

// One of: another document, a step back (-1) or forth (1), another name alone.
struct ProjectChange {
  std::optional<std::string> name = {};
  std::optional<Json> document = {};
  std::vector<std::string> assets = {};  // that the document names
  int by = 0;
};

struct ProjectFilter {
  std::string kind, job, asset;  // empty: any; the asset of any of its steps
  std::string before;            // an id: only older ones
  int limit = 50;
};

// What of a waiting job is to be another.
struct JobChange {
  std::optional<int> priority;
  std::optional<bool> paused;
  bool front = false;  // ahead of all that the client has waiting
};

struct JobFilter {
  std::string state, kind, project;  // empty: any
  std::string before;                // an id: only older ones
  int limit = 50;
};

// Thread-safe. Failures of the file are kIo, with the system's words; then nothing of the call has happened.
class Journal {
 public:
  // Opens or makes `path`, brings an older form up to date, refuses a newer one and a damaged one.
  static Result<std::unique_ptr<Journal>> Open(const std::string& path);

  // After a start: jobs that ran when the last server ended are queued again, or have failed where that was the
  // attempt too many; those that were being cancelled are cancelled. What has ended is kept until `expires`.
  Status Recover(int64_t now, int64_t expires);

  // A job with a key that the client has used before is the one that it made then. kInvalidArgument where `digest`, of
  // the request, is another.
  struct Submitted {
    std::string id;
    bool replayed = false;
  };
  Result<Submitted> Submit(const JobRecord& job, const std::string& key, const std::string& digest);
  Result<JobRecord> FindJob(const std::string& id);  // kNotFound
  Result<std::vector<JobRecord>> ListJobs(const JobFilter& filter);
  // Of states that are not final, by client; the empty name: of all.
  Result<int64_t> CountUnfinished(const std::string& client);
  // Jobs that will be claimed before this one.
  Result<int64_t> Position(const JobRecord& job, int64_t now);
  // The next job for a slot of that device: by priority, which grows by one each ten minutes of waiting; of one
  // priority the client's who was served longest ago; of one client what was put in front, then the oldest. `named`:
  // only jobs that name the device.
  Result<std::optional<JobRecord>> Claim(const std::string& device, bool quick, int64_t now, bool named = false);
  struct End {
    JobState state = JobState::kFailed;
    Json error, report, said;
    std::vector<JobOutput> outputs;
    std::vector<AssetRecord> assets;  // rows for what the outputs name
    int64_t expires = 0;
  };
  Status Finish(const std::string& id, const End& end, int64_t now);
  // Back from running; `counts` says whether the attempt was the job's fault. A job that is being cancelled ends
  // instead, and is kept until `expires`.
  Status Requeue(const std::string& id, const std::string& reason, bool counts, int64_t now, int64_t expires);
  // The state that it has then: kCancelled at once where it waits.
  Result<JobState> RequestCancel(const std::string& id, int64_t now, int64_t expires);
  // A job that has failed or was cancelled is queued anew. kInvalidArgument in other states.
  Status Retry(const std::string& id, int64_t now);
  // Of a job that waits. kInvalidArgument in other states.
  Status Change(const std::string& id, const JobChange& change, int64_t now);
  // Forgets a job that has ended.
  Status RemoveJob(const std::string& id);
  // Has it forgotten as soon as it has ended.
  Status RemoveJobAtItsEnd(const std::string& id);

  Status AddAsset(const AssetRecord& asset);
  Result<AssetRecord> FindAsset(const std::string& id);  // kNotFound
  Result<std::vector<AssetRecord>> ListAssets(const std::string& before, int limit);
  // False where a job has it as an input or an output, or a project has it, be it in a step that can be gone back to.
  Result<bool> RemoveAsset(const std::string& id);
  Result<int64_t> AssetBytes();

  // kNotFound where an asset isn't there.
  Status AddProject(const ProjectRecord& project, const std::vector<std::string>& assets);
  Result<ProjectRecord> FindProject(const std::string& id);  // kNotFound
  // The newest first, without their documents.
  Result<std::vector<ProjectRecord>> ListProjects(const ProjectFilter& filter);
  static constexpr int kMostSteps = 200;
  // Nothing where the revision is another by now. kInvalidArgument where there is no such step.
  Result<std::optional<ProjectRecord>> ChangeProject(const std::string& id, int64_t revision, int64_t now,
                                                     const ProjectChange& change);
  // False where the revision is another by now.
  Result<bool> RemoveProject(const std::string& id, int64_t revision, int64_t now);

  Status AddUpload(const UploadRecord& upload);
  Result<UploadRecord> FindUpload(const std::string& id);  // kNotFound
  Status RemoveUpload(const std::string& id);
  Result<std::vector<UploadRecord>> Uploads();

  Status AddSession(const std::string& hash, const std::string& client, int64_t expires);
  Result<std::map<std::string, SessionRecord>> Sessions(int64_t now);  // those that have not expired, by hash

  Result<std::vector<EventRecord>> EventsAfter(int64_t seq, int limit);
  Result<std::pair<int64_t, int64_t>> EventRange();  // the first kept, or the one to come, and the last

  // The seconds that a second of audio takes, smoothed, by kind, model and device.
  Status NoteSpeed(const std::string& key, double factor);
  Result<std::optional<double>> Speed(const std::string& key);

  // What is too old: jobs past their time, events and keys older than a day's or a week's worth, assets that no job
  // names and that are older than `assets_before`. The assets whose files can go.
  Result<std::vector<std::string>> Expire(int64_t now, int64_t assets_before);
  // Of jobs by state and kind, for metrics: "queued", "separate", 3.
  struct Count {
    std::string state, kind;
    int64_t jobs = 0;
  };
  Result<std::vector<Count>> CountJobs();
  Result<std::vector<std::string>> AssetIds();
  // Whether it can be written.
  Status Check();
  int64_t transactions() const { return transactions_; }
  double write_seconds() const;  // that they took together, down to the disk

  // For tests: no more pages than that, so that a write fails as on a full disk. 0: as many as there is room for.
  Status LimitPages(int64_t pages);

 private:
  explicit Journal(Database database) : database_(std::move(database)) {}
  Status Migrate();
  Status Write(const std::function<Status()>& body);
  Status AddEvent(const std::string& job, const char* type, const Json& data, int64_t now);
  Result<JobRecord> Load(const std::string& id);
  Result<ProjectRecord> LoadProject(const std::string& id, bool whole = true);
  Status PinAssets(const std::string& project, int64_t step, const std::vector<std::string>& assets);
  Status TellOfProject(const std::string& id, int64_t revision, int64_t now);
  Status FinishLocked(const std::string& id, const End& end, int64_t now);

  std::mutex mutex_;
  Database database_;  // guarded by mutex_
  std::atomic<int64_t> transactions_{0}, write_microseconds_{0};
};

}  // namespace timbre::engine
