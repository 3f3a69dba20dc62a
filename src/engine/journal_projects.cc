// Projects: documents with a history. A change names the revision that it was made from, and each step is kept, so that
// it can be gone back to.
#include <algorithm>

#include "engine/crash_points.h"
#include "engine/journal.h"

namespace timbre::engine {
namespace {

constexpr char kProjectColumns[] =
    "SELECT project.id, kind, name, revision, project.step, document, created, changed, job, "
    "(SELECT count(*) FROM project_step AS other WHERE other.project = project.id AND other.step < project.step), "
    "(SELECT count(*) FROM project_step AS other WHERE other.project = project.id AND other.step > project.step) "
    "FROM project JOIN project_step ON project_step.project = project.id AND project_step.step = project.step "
    "WHERE project.id = ?";

// Where a step is the newest that an asset is in, it lasts as long as that step can be gone back to.
constexpr char kUses[] =
    "INSERT INTO project_asset(project, asset, step) VALUES(?, ?, ?) "
    "ON CONFLICT(project, asset) DO UPDATE SET step = excluded.step";

}  // namespace

Result<ProjectRecord> Journal::LoadProject(const std::string& id, bool whole) {
  TIMBRE_TRY(const std::vector<Row> rows, database_.Run(kProjectColumns, {id}));
  if (rows.empty()) return Fail(ErrorCode::kNotFound, "there is no project '" + id.substr(0, 64) + "'.");
  const Row& row = rows[0];
  ProjectRecord project{.id = row.Text(0),
                        .kind = row.Text(1),
                        .name = row.Text(2),
                        .job = row.Text(8),
                        .revision = row.Int(3),
                        .step = row.Int(4),
                        .created = row.Int(6),
                        .changed = row.Int(7),
                        .undo = row.Int(9),
                        .redo = row.Int(10)};
  if (!whole) return project;
  project.document = Json::parse(row.Text(5), nullptr, false);
  if (project.document.is_discarded()) return Fail(ErrorCode::kCorrupt, "the project " + id + " is damaged.");
  return project;
}

// Only what is there can be pinned: a file may have gone since the client was told of it.
Status Journal::PinAssets(const std::string& project, int64_t step, const std::vector<std::string>& assets) {
  for (const std::string& asset : assets) {
    TIMBRE_TRY(const std::vector<Row> rows, database_.Run("SELECT 1 FROM asset WHERE id = ?", {asset}));
    if (rows.empty()) return Fail(ErrorCode::kNotFound, "there is no asset '" + asset.substr(0, 64) + "'.");
    TIMBRE_CHECK(database_.Do(kUses, {project, asset, step}));
  }
  return {};
}

Status Journal::TellOfProject(const std::string& id, int64_t revision, int64_t now) {
  const Json told = {{"project", id}, {"revision", revision}};
  return database_.Do("INSERT INTO event(job, project, type, data, at) VALUES('', ?, 'project.changed', ?, ?)",
                      {id, told.dump(), now});
}

Status Journal::AddProject(const ProjectRecord& project, const std::vector<std::string>& assets) {
  return Write([&]() -> Status {
    TIMBRE_CHECK(database_.Do(
        "INSERT INTO project(id, kind, name, job, revision, step, created, changed) VALUES(?, ?, ?, ?, 1, 1, ?, ?)",
        {project.id, project.kind, project.name, project.job, project.created, project.created}));
    TIMBRE_CHECK(database_.Do("INSERT INTO project_step(project, step, document) VALUES(?, 1, ?)",
                              {project.id, project.document.dump()}));
    TIMBRE_CHECK(PinAssets(project.id, 1, assets));
    return TellOfProject(project.id, 1, project.created);
  });
}

Result<ProjectRecord> Journal::FindProject(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return LoadProject(id);
}

Result<std::vector<ProjectRecord>> Journal::ListProjects(const ProjectFilter& filter) {
  const std::lock_guard lock(mutex_);
  TIMBRE_TRY(const std::vector<Row> rows,
             database_.Run("SELECT id FROM project WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR job = ?2) AND "
                           "(?3 = '' OR id < ?3) AND (?5 = '' OR EXISTS "
                           "(SELECT 1 FROM project_asset WHERE project = project.id AND asset = ?5)) "
                           "ORDER BY id DESC LIMIT ?4",
                           {filter.kind, filter.job, filter.before, int64_t{filter.limit}, filter.asset}));
  std::vector<ProjectRecord> projects;
  for (const Row& row : rows) {
    TIMBRE_TRY(ProjectRecord project, LoadProject(row.Text(0), false));
    projects.push_back(std::move(project));
  }
  return projects;
}

Result<std::optional<ProjectRecord>> Journal::ChangeProject(const std::string& id, int64_t revision, int64_t now,
                                                            const ProjectChange& change) {
  std::optional<ProjectRecord> changed;
  const Status written = Write([&]() -> Status {
    TIMBRE_TRY(const ProjectRecord project, LoadProject(id));
    if (project.revision != revision) return {};
    int64_t step = project.step;
    if (change.by != 0) {
      const bool there = change.by < 0 ? project.undo > 0 : project.redo > 0;
      if (!there) {
        return Fail(ErrorCode::kInvalidArgument,
                    change.by < 0 ? "there is nothing to undo." : "there is nothing to do again.");
      }
      step += change.by < 0 ? -1 : 1;
    } else if (change.document) {
      ++step;
      // What was undone can't be done again once something else was done; assets that only it had go with the step
      // before.
      TIMBRE_CHECK(database_.Do("DELETE FROM project_step WHERE project = ? AND step >= ?", {id, step}));
      TIMBRE_CHECK(
          database_.Do("UPDATE project_asset SET step = ?2 WHERE project = ?1 AND step > ?2", {id, project.step}));
      TIMBRE_CHECK(database_.Do("INSERT INTO project_step(project, step, document) VALUES(?, ?, ?)",
                                {id, step, change.document->dump()}));
      TIMBRE_CHECK(PinAssets(id, step, change.assets));
      TIMBRE_CHECK(database_.Do("DELETE FROM project_step WHERE project = ? AND step < ?", {id, step - kMostSteps}));
      TIMBRE_CHECK(database_.Do("DELETE FROM project_asset WHERE project = ? AND step < ?", {id, step - kMostSteps}));
    }
    TIMBRE_CHECK(
        database_.Do("UPDATE project SET name = ?, revision = revision + 1, step = ?, changed = ? WHERE id = ?",
                     {change.name.value_or(project.name), step, now, id}));
    At("before-project-commit");
    TIMBRE_TRY(changed, LoadProject(id));
    return TellOfProject(id, changed->revision, now);
  });
  if (!written) return tl::unexpected<Error>(written.error());
  At("after-project-commit");
  return changed;
}

Result<bool> Journal::RemoveProject(const std::string& id, int64_t revision, int64_t now) {
  bool removed = false;
  const Status written = Write([&]() -> Status {
    TIMBRE_TRY(const ProjectRecord project, LoadProject(id));
    if (project.revision != revision) return {};
    removed = true;
    TIMBRE_CHECK(database_.Do("DELETE FROM project WHERE id = ?", {id}));
    return TellOfProject(id, 0, now);
  });
  if (!written) return tl::unexpected<Error>(written.error());
  return removed;
}

}  // namespace timbre::engine
