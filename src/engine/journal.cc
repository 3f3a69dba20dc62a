#include "engine/journal.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "base/quantities.h"
#include "engine/crash_points.h"
#include "engine/ids.h"

namespace timbre::engine {
namespace {

// "timb", by which `file` knows the database.
constexpr int kApplicationId = 0x74696d62;
constexpr int64_t kSecond = 1000000;
constexpr int64_t kHighPriority = 2;
constexpr int64_t kAging = 600 * kSecond;  // for which a waiting job's priority grows by one
constexpr int64_t kKeepKeys = 24 * 3600 * kSecond;
constexpr int64_t kKeepEvents = 7 * 24 * 3600 * kSecond;

// One step a version, in order; user_version says how many were made. A step that was released is never changed.
constexpr const char* kMigrations[] = {
    R"(
CREATE TABLE job(
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, client TEXT NOT NULL, project TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
  priority INTEGER NOT NULL, device_want TEXT NOT NULL, device TEXT NOT NULL DEFAULT '', quick INTEGER NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, most_attempts INTEGER NOT NULL,
  options TEXT NOT NULL, error TEXT, report TEXT, created INTEGER NOT NULL, started INTEGER, ended INTEGER,
  expires INTEGER, audio_seconds REAL NOT NULL) STRICT;
CREATE INDEX job_by_state ON job(state, priority DESC, id);
CREATE TABLE asset(
  id TEXT PRIMARY KEY, bytes INTEGER NOT NULL, crc32 INTEGER NOT NULL, media_type TEXT NOT NULL, name TEXT NOT NULL,
  facts TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE input(
  job TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE, n INTEGER NOT NULL,
  asset TEXT NOT NULL REFERENCES asset(id), name TEXT NOT NULL, PRIMARY KEY(job, n)) STRICT;
CREATE INDEX input_by_asset ON input(asset);
CREATE TABLE output(
  job TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE, name TEXT NOT NULL,
  asset TEXT NOT NULL REFERENCES asset(id), PRIMARY KEY(job, name)) STRICT;
CREATE INDEX output_by_asset ON output(asset);
CREATE TABLE event(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
  at INTEGER NOT NULL) STRICT;
CREATE TABLE idempotency(
  client TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(client, key)) STRICT;
CREATE TABLE upload(
  id TEXT PRIMARY KEY, client TEXT NOT NULL, name TEXT NOT NULL, length INTEGER NOT NULL, expires INTEGER NOT NULL)
  STRICT;
CREATE TABLE session(hash TEXT PRIMARY KEY, client TEXT NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE TABLE served(client TEXT PRIMARY KEY, turn INTEGER NOT NULL) STRICT;
CREATE TABLE speed(key TEXT PRIMARY KEY, factor REAL NOT NULL) STRICT;
)",
    R"(
CREATE TABLE project(
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, step INTEGER NOT NULL,
  created INTEGER NOT NULL, changed INTEGER NOT NULL) STRICT;
CREATE TABLE project_step(
  project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE, step INTEGER NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY(project, step)) STRICT;
CREATE TABLE project_asset(
  project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE, asset TEXT NOT NULL REFERENCES asset(id),
  step INTEGER NOT NULL, PRIMARY KEY(project, asset)) STRICT;
CREATE INDEX project_asset_by_asset ON project_asset(asset);
ALTER TABLE event ADD COLUMN project TEXT NOT NULL DEFAULT '';
)",
    R"(
ALTER TABLE project ADD COLUMN job TEXT NOT NULL DEFAULT '';
CREATE INDEX project_by_job ON project(job);
)",
    R"(
ALTER TABLE job ADD COLUMN said TEXT;
)",
    R"(
ALTER TABLE job ADD COLUMN front INTEGER NOT NULL DEFAULT 0;
)",
};

constexpr const char* kStateNames[] = {"queued", "running", "cancelling", "succeeded", "failed", "cancelled"};

constexpr char kJobColumns[] =
    "SELECT id, kind, client, project, state, priority, device_want, device, quick, paused, attempt, most_attempts, "
    "options, error, report, created, started, ended, expires, audio_seconds, said, front FROM job WHERE id = ?";

Json ParseOr(const std::string& text, Json otherwise) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? std::move(otherwise) : json;
}

std::string TextOf(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Value TextOrNull(const Json& json) {
  if (json.is_null()) return nullptr;
  return TextOf(json);
}

JobRecord JobOf(const Row& row) {
  JobRecord job;
  job.id = row.Text(0);
  job.kind = row.Text(1);
  job.client = row.Text(2);
  job.project = row.Text(3);
  job.state = FindJobState(row.Text(4)).value_or(JobState::kFailed);
  job.priority = static_cast<int>(row.Int(5));
  job.device_want = row.Text(6);
  job.device = row.Text(7);
  job.quick = row.Int(8) != 0;
  job.paused = row.Int(9) != 0;
  job.attempt = static_cast<int>(row.Int(10));
  job.most_attempts = static_cast<int>(row.Int(11));
  job.options = ParseOr(row.Text(12), Json::object());
  job.error = ParseOr(row.Text(13), nullptr);
  job.report = ParseOr(row.Text(14), nullptr);
  job.created = row.Int(15);
  job.started = row.Int(16);
  job.ended = row.Int(17);
  job.expires = row.Int(18);
  job.audio_seconds = row.Real(19);
  job.said = ParseOr(row.Text(20), Json::array());
  job.front = row.Int(21);
  return job;
}

AssetRecord AssetOf(const Row& row) {
  return {.id = row.Text(0),
          .bytes = row.Int(1),
          .crc32 = static_cast<uint32_t>(row.Int(2)),
          .media_type = row.Text(3),
          .name = row.Text(4),
          .facts = ParseOr(row.Text(5), Json::object()),
          .created = row.Int(6)};
}

UploadRecord UploadOf(const Row& row) {
  return {.id = row.Text(0), .client = row.Text(1), .name = row.Text(2), .length = row.Int(3), .expires = row.Int(4)};
}

tl::unexpected<Error> NoSuchJob(const std::string& id) {
  return Fail(ErrorCode::kNotFound, "there is no job '" + id.substr(0, 64) + "'.");
}

}  // namespace

std::string_view JobStateName(JobState state) { return kStateNames[static_cast<size_t>(state)]; }

std::optional<JobState> FindJobState(std::string_view name) {
  const auto* const found = std::find(std::begin(kStateNames), std::end(kStateNames), name);
  if (found == std::end(kStateNames)) return std::nullopt;
  return static_cast<JobState>(found - std::begin(kStateNames));
}

Result<std::unique_ptr<Journal>> Journal::Open(const std::string& path) {
  TIMBRE_TRY(Database database, Database::Open(path));
  std::unique_ptr<Journal> journal(new Journal(std::move(database)));
  TIMBRE_TRY(const std::vector<Row> check, journal->database_.Run("PRAGMA quick_check(1)"));
  if (check.size() != 1 || check[0].Text(0) != "ok") {
    return Fail(ErrorCode::kCorrupt,
                "'" + path + "' is damaged; put a copy in its place, or move it away to begin anew.");
  }
  const Status migrated = journal->Migrate();
  if (!migrated) return Prefix(migrated.error(), path);
  return journal;
}

Status Journal::Migrate() {
  TIMBRE_TRY(const std::vector<Row> version, database_.Run("PRAGMA user_version"));
  const int64_t made = version[0].Int(0), wanted = std::size(kMigrations);
  if (made > wanted) {
    return Fail(ErrorCode::kUnsupported, "a newer timbre has written this journal; run that one.");
  }
  for (int64_t step = made; step < wanted; ++step) {
    At("before-migration");
    const Status written = Write([&]() -> Status {
      TIMBRE_CHECK(database_.Execute(kMigrations[step]));
      At("during-migration");
      return database_.Execute("PRAGMA application_id=" + std::to_string(kApplicationId) +
                               "; PRAGMA user_version=" + std::to_string(step + 1));
    });
    if (!written) return tl::unexpected<Error>(written.error());
    At("after-migration");
  }
  return {};
}

Status Journal::Write(const std::function<Status()>& body) {
  const std::lock_guard lock(mutex_);
  const auto begun = std::chrono::steady_clock::now();
  Status written = database_.InTransaction(body);
  const auto taken = std::chrono::steady_clock::now() - begun;
  ++transactions_;
  write_microseconds_ += std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
  return written;
}

double Journal::write_seconds() const { return static_cast<double>(write_microseconds_) / 1e6; }

Status Journal::AddEvent(const std::string& job, const char* type, const Json& data, int64_t now) {
  Json told = {{"job", job}};
  told.update(data);
  return database_.Do(
      "INSERT INTO event(job, project, type, data, at) VALUES(?1, coalesce((SELECT project FROM job WHERE id = ?1), "
      "''), "
      "?2, ?3, ?4)",
      {job, std::string(type), TextOf(told), now});
}

Status Journal::Recover(int64_t now, int64_t expires) {
  return Write([&]() -> Status {
    TIMBRE_TRY(const std::vector<Row> rows,
               database_.Run("SELECT id, state, attempt, most_attempts FROM job WHERE state "
                             "IN ('running', 'cancelling') ORDER BY id"));
    for (const Row& row : rows) {
      const std::string& id = row.Text(0);
      if (row.Text(1) == "cancelling") {
        TIMBRE_CHECK(FinishLocked(id, {.state = JobState::kCancelled, .expires = expires}, now));
      } else if (row.Int(2) >= row.Int(3)) {
        TIMBRE_CHECK(FinishLocked(id,
                                  {.state = JobState::kFailed,
                                   .error = {{"type", "/problems/crashed"},
                                             {"detail", "the server or its worker ended " + TimesText(row.Int(2)) +
                                                            " while this job ran; it is not tried again."}},
                                   .expires = expires},
                                  now));
      } else {
        TIMBRE_CHECK(database_.Do("UPDATE job SET state = 'queued', device = '', started = NULL WHERE id = ?", {id}));
        TIMBRE_CHECK(AddEvent(id, "job.queued", {{"state", "queued"}, {"reason", "the server stopped"}}, now));
      }
    }
    // Earlier versions gave no time to what ended here, and kept it for ever.
    return database_.Do(
        "UPDATE job SET expires = ? WHERE state IN ('succeeded', 'failed', 'cancelled') AND expires IS NULL",
        {expires});
  });
}

Result<Journal::Submitted> Journal::Submit(const JobRecord& job, const std::string& key, const std::string& digest) {
  Submitted submitted{.id = job.id};
  const Status written = Write([&]() -> Status {
    if (!key.empty()) {
      TIMBRE_TRY(const std::vector<Row> known,
                 database_.Run("SELECT digest, job FROM idempotency WHERE client = ? AND key = ?", {job.client, key}));
      if (!known.empty() && known[0].Text(0) != digest) {
        return Fail(ErrorCode::kInvalidArgument, "this Idempotency-Key came with another request before.");
      }
      if (!known.empty()) {
        submitted = {known[0].Text(1), true};
        return {};
      }
      TIMBRE_CHECK(database_.Do("INSERT INTO idempotency(client, key, digest, job, at) VALUES(?, ?, ?, ?, ?)",
                                {job.client, key, digest, job.id, job.created}));
    }
    TIMBRE_CHECK(database_.Do(
        "INSERT INTO job(id, kind, client, project, state, priority, device_want, quick, "
        "most_attempts, options, created, audio_seconds) "
        "VALUES(?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
        {job.id, job.kind, job.client, job.project, int64_t{job.priority}, job.device_want, int64_t{job.quick},
         int64_t{job.most_attempts}, TextOf(job.options), job.created, job.audio_seconds}));
    for (size_t i = 0; i < job.inputs.size(); ++i) {
      TIMBRE_CHECK(database_.Do("INSERT INTO input(job, n, asset, name) VALUES(?, ?, ?, ?)",
                                {job.id, static_cast<int64_t>(i), job.inputs[i].asset, job.inputs[i].name}));
    }
    return AddEvent(job.id, "job.queued", {{"state", "queued"}, {"kind", job.kind}}, job.created);
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return submitted;
}

Result<JobRecord> Journal::Load(const std::string& id) {
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run(kJobColumns, {id}));
  if (rows.empty()) return NoSuchJob(id);
  JobRecord job = JobOf(rows[0]);
  TIMBRE_TRY(const std::vector<Row> inputs,
             database_.Run("SELECT asset, name FROM input WHERE job = ? ORDER BY n", {id}));
  for (const Row& row : inputs) job.inputs.push_back({row.Text(0), row.Text(1)});
  TIMBRE_TRY(const std::vector<Row> outputs,
             database_.Run("SELECT output.name, asset, bytes, media_type, crc32 FROM output JOIN asset ON asset.id = "
                           "output.asset WHERE job = ? ORDER BY output.name",
                           {id}));
  for (const Row& row : outputs) {
    job.outputs.push_back({row.Text(0), row.Text(1), row.Int(2), row.Text(3), static_cast<uint32_t>(row.Int(4))});
  }
  return job;
}

Result<JobRecord> Journal::FindJob(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return Load(id);
}

Result<std::vector<JobRecord>> Journal::ListJobs(const JobFilter& filter) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT id FROM job WHERE (?1 = '' OR state = ?1) AND (?2 = '' OR kind = ?2) AND "
                           "(?3 = '' OR project = ?3) AND (?4 = '' OR id < ?4) ORDER BY id DESC LIMIT ?5",
                           {filter.state, filter.kind, filter.project, filter.before, int64_t{filter.limit}}));
  std::vector<JobRecord> jobs;
  for (const Row& row : rows) {
    TIMBRE_TRY(JobRecord job, Load(row.Text(0)));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Result<int64_t> Journal::CountUnfinished(const std::string& client) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'cancelling') AND "
                           "(?1 = '' OR client = ?1)",
                           {client}));
  return rows[0].Int(0);
}

Result<int64_t> Journal::Position(const JobRecord& job, int64_t now) {
  const std::lock_guard lock(mutex_);
  const int64_t priority = job.priority + (now - job.created) / kAging;
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT count(*) FROM job WHERE state = 'queued' AND quick = ?1 AND paused = 0 AND id <> ?3 "
                           "AND (priority + (?4 - created) / ?5 > ?2 OR (priority + (?4 - created) / ?5 = ?2 AND "
                           "CASE WHEN client = ?6 AND front <> ?7 THEN front > ?7 ELSE id < ?3 END))",
                           {int64_t{job.quick}, priority, job.id, now, kAging, job.client, job.front}));
  return rows[0].Int(0);
}

Result<std::optional<JobRecord>> Journal::Claim(const std::string& device, bool quick, int64_t now, bool named) {
  {
    // Most of the time there is nothing to do, which costs no transaction.
    const std::lock_guard lock(mutex_);
    TIMBRE_TRY(const std::vector<Row> rows,
               database_.Run("SELECT 1 FROM job WHERE state = 'queued' AND quick = ? AND paused = 0 LIMIT 1",
                             {int64_t{quick}}));
    if (rows.empty()) return std::nullopt;
  }
  std::optional<JobRecord> claimed;
  const Status written = Write([&]() -> Status {
    TIMBRE_TRY(
        const std::vector<Row> rows,
        database_.Run("UPDATE job SET state = 'running', attempt = attempt + 1, device = ?1, started = ?2 "
                      "WHERE id = (SELECT job.id FROM job LEFT JOIN served ON served.client = job.client "
                      "WHERE state = 'queued' AND quick = ?3 AND paused = 0 AND (device_want = ?1 OR (device_want = "
                      "'auto' AND ?5 = 0)) "
                      "ORDER BY priority + (?2 - created) / ?4 DESC, coalesce(turn, 0), front DESC, job.id LIMIT 1) "
                      "RETURNING id, client",
                      {device, now, int64_t{quick}, kAging, int64_t{named}}));
    if (rows.empty()) return {};
    TIMBRE_CHECK(
        database_.Do("INSERT INTO served(client, turn) VALUES(?, (SELECT coalesce(max(turn), 0) + 1 FROM "
                     "served)) ON CONFLICT(client) DO UPDATE SET turn = excluded.turn",
                     {rows[0].Text(1)}));
    TIMBRE_TRY(claimed, Load(rows[0].Text(0)));
    return AddEvent(claimed->id, "job.started",
                    {{"state", "running"}, {"device", device}, {"attempt", claimed->attempt}}, now);
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return claimed;
}

Status Journal::FinishLocked(const std::string& id, const End& end, int64_t now) {
  for (const AssetRecord& asset : end.assets) {
    TIMBRE_CHECK(
        database_.Do("INSERT INTO asset(id, bytes, crc32, media_type, name, facts, created) "
                     "VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET created = excluded.created",
                     {asset.id, asset.bytes, int64_t{asset.crc32}, asset.media_type, asset.name, TextOf(asset.facts),
                      asset.created}));
  }
  for (const JobOutput& output : end.outputs) {
    TIMBRE_CHECK(database_.Do("INSERT INTO output(job, name, asset) VALUES(?, ?, ?)", {id, output.name, output.asset}));
  }
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run(
                 "UPDATE job SET state = ?, error = ?, report = ?, said = ?, ended = ?, expires = CASE WHEN expires IS "
                 "NULL THEN ? ELSE expires END WHERE id = ? AND state IN ('queued', 'running', "
                 "'cancelling') RETURNING id",
                 {std::string(JobStateName(end.state)), TextOrNull(end.error), TextOrNull(end.report),
                  TextOrNull(end.said), now, end.expires > 0 ? Value(end.expires) : Value(nullptr), id}));
  if (rows.empty()) return Fail(ErrorCode::kInternal, "the job " + id + " ends a second time.");
  Json told = {{"state", JobStateName(end.state)}};
  if (!end.error.is_null()) told["error"] = end.error;
  return AddEvent(id, "job.ended", told, now);
}

Status Journal::Finish(const std::string& id, const End& end, int64_t now) {
  return Write([&] { return FinishLocked(id, end, now); });
}

Status Journal::Requeue(const std::string& id, const std::string& reason, bool counts, int64_t now, int64_t expires) {
  return Write([&]() -> Status {
    // A cancel may have come since the caller looked. Nobody works on the job any more who could end it later.
    TIMBRE_TRY(const std::vector<Row> cancelling,
               database_.Run("SELECT 1 FROM job WHERE id = ? AND state = 'cancelling'", {id}));
    if (!cancelling.empty()) return FinishLocked(id, {.state = JobState::kCancelled, .expires = expires}, now);
    TIMBRE_CHECK(
        database_.Do("UPDATE job SET state = 'queued', device = '', started = NULL, attempt = attempt - ? "
                     "WHERE id = ? AND state = 'running'",
                     {int64_t{counts ? 0 : 1}, id}));
    if (database_.Changed() == 0) return {};
    return AddEvent(id, "job.queued", {{"state", "queued"}, {"reason", reason}}, now);
  });
}

Result<JobState> Journal::RequestCancel(const std::string& id, int64_t now, int64_t expires) {
  JobState state = JobState::kCancelling;
  const Status written = Write([&]() -> Status {
    TIMBRE_TRY(const JobRecord job, Load(id));
    state = job.state;
    if (job.state == JobState::kQueued) {
      state = JobState::kCancelled;
      return FinishLocked(id, {.state = JobState::kCancelled, .expires = expires}, now);
    }
    if (job.state != JobState::kRunning) return {};
    state = JobState::kCancelling;
    TIMBRE_CHECK(database_.Do("UPDATE job SET state = 'cancelling' WHERE id = ?", {id}));
    return AddEvent(id, "job.cancelling", {{"state", "cancelling"}}, now);
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return state;
}

Status Journal::Retry(const std::string& id, int64_t now) {
  return Write([&]() -> Status {
    TIMBRE_TRY(const JobRecord job, Load(id));
    if (job.state != JobState::kFailed && job.state != JobState::kCancelled) {
      return Fail(ErrorCode::kInvalidArgument,
                  "only a job that failed or was cancelled can be tried again; this one is " +
                      std::string(JobStateName(job.state)) + ".");
    }
    TIMBRE_CHECK(database_.Do(
        "UPDATE job SET state = 'queued', attempt = 0, error = NULL, report = NULL, said = NULL, device = '', "
        "started = NULL, ended = NULL, expires = NULL WHERE id = ?",
        {id}));
    return AddEvent(id, "job.queued", {{"state", "queued"}, {"reason", "tried again"}}, now);
  });
}

Status Journal::Change(const std::string& id, const JobChange& change, int64_t now) {
  return Write([&]() -> Status {
    TIMBRE_TRY(const JobRecord job, Load(id));
    if (job.state != JobState::kQueued) {
      return Fail(ErrorCode::kInvalidArgument, "only a job that waits can be put elsewhere or paused; this one is " +
                                                   std::string(JobStateName(job.state)) + ".");
    }
    int64_t priority = change.priority.value_or(job.priority), front = change.priority ? 0 : job.front;
    if (change.front) {
      // As high as any of the same client's, which may have grown by waiting, and ahead of them: others lose nothing
      // that they would not lose to those.
      TIMBRE_TRY(const std::vector<Row> rows,
                 database_.Run("SELECT max(priority + (?1 - created) / ?2), max(front) FROM job "
                               "WHERE state = 'queued' AND quick = ?3 AND client = ?4",
                               {now, kAging, int64_t{job.quick}, job.client}));
      priority = std::max<int64_t>(kHighPriority, rows[0].Int(0) - (now - job.created) / kAging);
      front = rows[0].Int(1) + 1;
    }
    TIMBRE_CHECK(database_.Do("UPDATE job SET priority = ?, paused = ?, front = ? WHERE id = ?",
                              {priority, int64_t{change.paused.value_or(job.paused)}, front, id}));
    return AddEvent(id, "job.changed", {{"state", "queued"}}, now);
  });
}

Status Journal::RemoveJob(const std::string& id) {
  return Write([&]() -> Status {
    TIMBRE_TRY(const JobRecord job, Load(id));
    if (!IsFinal(job.state)) return Fail(ErrorCode::kInternal, "a job is removed that has not ended.");
    return database_.Do("DELETE FROM job WHERE id = ?", {id});
  });
}

Status Journal::RemoveJobAtItsEnd(const std::string& id) {
  return Write([&]() -> Status { return database_.Do("UPDATE job SET expires = 1 WHERE id = ?", {id}); });
}

Status Journal::AddAsset(const AssetRecord& asset) {
  return Write([&]() -> Status {
    return database_.Do(
        "INSERT INTO asset(id, bytes, crc32, media_type, name, facts, created) VALUES(?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(id) DO UPDATE SET created = excluded.created",
        {asset.id, asset.bytes, int64_t{asset.crc32}, asset.media_type, asset.name, TextOf(asset.facts),
         asset.created});
  });
}

Result<AssetRecord> Journal::FindAsset(const std::string& id) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT id, bytes, crc32, media_type, name, facts, created FROM asset WHERE id = ?", {id}));
  if (rows.empty()) return Fail(ErrorCode::kNotFound, "there is no asset '" + id.substr(0, 64) + "'.");
  return AssetOf(rows[0]);
}

Result<std::vector<AssetRecord>> Journal::ListAssets(const std::string& before, int limit) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT id, bytes, crc32, media_type, name, facts, created FROM asset WHERE ?1 = '' OR "
                           "(created, id) < (SELECT created, id FROM asset WHERE id = ?1) ORDER BY created DESC, id "
                           "DESC LIMIT ?2",
                           {before, int64_t{limit}}));
  std::vector<AssetRecord> assets;
  assets.reserve(rows.size());
  for (const Row& row : rows) assets.push_back(AssetOf(row));
  return assets;
}

Result<bool> Journal::RemoveAsset(const std::string& id) {
  bool removed = false;
  const Status written = Write([&]() -> Status {
    TIMBRE_CHECK(
        database_.Do("DELETE FROM asset WHERE id = ?1 AND NOT EXISTS(SELECT 1 FROM input WHERE asset = ?1) AND "
                     "NOT EXISTS(SELECT 1 FROM output WHERE asset = ?1) AND "
                     "NOT EXISTS(SELECT 1 FROM project_asset WHERE asset = ?1)",
                     {id}));
    removed = database_.Changed() > 0;
    return {};
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return removed;
}

Result<int64_t> Journal::AssetBytes() {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run("SELECT coalesce(sum(bytes), 0) FROM asset"));
  return rows[0].Int(0);
}

Status Journal::AddUpload(const UploadRecord& upload) {
  return Write([&]() -> Status {
    return database_.Do("INSERT INTO upload(id, client, name, length, expires) VALUES(?, ?, ?, ?, ?)",
                        {upload.id, upload.client, upload.name, upload.length, upload.expires});
  });
}

Result<UploadRecord> Journal::FindUpload(const std::string& id) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT id, client, name, length, expires FROM upload WHERE id = ?", {id}));
  if (rows.empty()) return Fail(ErrorCode::kNotFound, "there is no upload '" + id.substr(0, 64) + "'.");
  return UploadOf(rows[0]);
}

Status Journal::RemoveUpload(const std::string& id) {
  return Write([&]() -> Status { return database_.Do("DELETE FROM upload WHERE id = ?", {id}); });
}

Result<std::vector<UploadRecord>> Journal::Uploads() {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run("SELECT id, client, name, length, expires FROM upload"));
  std::vector<UploadRecord> uploads;
  uploads.reserve(rows.size());
  for (const Row& row : rows) uploads.push_back(UploadOf(row));
  return uploads;
}

Status Journal::AddSession(const std::string& hash, const std::string& client, int64_t expires) {
  return Write([&]() -> Status {
    return database_.Do("INSERT INTO session(hash, client, expires) VALUES(?, ?, ?)", {hash, client, expires});
  });
}

Result<std::map<std::string, SessionRecord>> Journal::Sessions(int64_t now) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT hash, client, expires FROM session WHERE expires > ?", {now}));
  std::map<std::string, SessionRecord> sessions;
  for (const Row& row : rows) sessions[row.Text(0)] = {row.Text(1), row.Int(2)};
  return sessions;
}

Result<std::vector<EventRecord>> Journal::EventsAfter(int64_t seq, int limit) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT seq, job, type, data, project FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                           {seq, int64_t{limit}}));
  std::vector<EventRecord> events;
  events.reserve(rows.size());
  for (const Row& row : rows) events.push_back({row.Int(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4)});
  return events;
}

Result<std::pair<int64_t, int64_t>> Journal::EventRange() {
  const std::lock_guard lock(mutex_);
  // The last number that was given stays known when all events are gone.
  TIMBRE_TRY(
      const std::vector<Row> rows,
      database_.Run("SELECT (SELECT min(seq) FROM event), coalesce((SELECT seq FROM sqlite_sequence WHERE name = "
                    "'event'), 0)"));
  const int64_t last = rows[0].Int(1);
  return std::pair(rows[0].IsNull(0) ? last + 1 : rows[0].Int(0), last);
}

Status Journal::NoteSpeed(const std::string& key, double factor) {
  return Write([&]() -> Status {
    return database_.Do(
        "INSERT INTO speed(key, factor) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET factor = 0.7 * factor + 0.3 * "
        "excluded.factor",
        {key, factor});
  });
}

Result<std::optional<double>> Journal::Speed(const std::string& key) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run("SELECT factor FROM speed WHERE key = ?", {key}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Real(0);
}

Result<std::vector<std::string>> Journal::Expire(int64_t now, int64_t assets_before) {
  std::vector<std::string> gone;
  const Status written = Write([&]() -> Status {
    TIMBRE_CHECK(
        database_.Do("DELETE FROM job WHERE state IN ('succeeded', 'failed', 'cancelled') AND expires IS NOT "
                     "NULL AND expires <= ?",
                     {now}));
    TIMBRE_CHECK(database_.Do("DELETE FROM event WHERE at < ?", {now - kKeepEvents}));
    TIMBRE_CHECK(database_.Do("DELETE FROM idempotency WHERE at < ?", {now - kKeepKeys}));
    TIMBRE_CHECK(database_.Do("DELETE FROM session WHERE expires <= ?", {now}));
    TIMBRE_TRY(const std::vector<Row> rows,
               database_.Run("DELETE FROM asset WHERE created < ? AND NOT EXISTS(SELECT 1 FROM input WHERE asset = "
                             "asset.id) AND NOT EXISTS(SELECT 1 FROM output WHERE asset = asset.id) AND NOT "
                             "EXISTS(SELECT 1 FROM project_asset WHERE asset = asset.id) RETURNING id",
                             {assets_before}));
    for (const Row& row : rows) gone.push_back(row.Text(0));
    return {};
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return gone;
}

Result<std::vector<Journal::Count>> Journal::CountJobs() {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT state, kind, count(*) FROM job GROUP BY state, kind ORDER BY state, kind"));
  std::vector<Count> counts;
  counts.reserve(rows.size());
  for (const Row& row : rows) counts.push_back({row.Text(0), row.Text(1), row.Int(2)});
  return counts;
}

Result<std::vector<std::string>> Journal::AssetIds() {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run("SELECT id FROM asset"));
  std::vector<std::string> ids;
  ids.reserve(rows.size());
  for (const Row& row : rows) ids.push_back(row.Text(0));
  return ids;
}

Status Journal::Check() {
  return Write([&]() -> Status { return database_.Execute("PRAGMA user_version"); });
}

Status Journal::LimitPages(int64_t pages) {
  const std::lock_guard lock(mutex_);
  return database_.Execute("PRAGMA max_page_count=" + std::to_string(pages > 0 ? pages : 1073741823));
}

}  // namespace timbre::engine
