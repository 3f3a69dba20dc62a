// Projects: timelines, and hits of drums that are being corrected, with a history. What changes one names the revision
// that it was made from (If-Match), so that nobody overwrites what he has not seen (RFC 9110, 13.1.1; RFC 6585, 3).
// What only those of drums have is in drum_routes.cc and drum_jobs.cc.
#include <map>
#include <set>

#include "apps/server/app.h"
#include "apps/server/drum_project.h"
#include "apps/server/kinds.h"
#include "apps/server/project_answers.h"
#include "apps/server/requests.h"
#include "apps/server/timeline_operations.h"
#include "engine/ids.h"
#include "http/names.h"
#include "http/ranges.h"
#include "pipelines/studio/timeline.h"

namespace timbre::server {
namespace {

constexpr size_t kMostJson = size_t{1} << 20;
constexpr auto kPatience = std::chrono::seconds(60);

std::vector<std::string> AssetsOf(const Timeline& timeline) {
  std::vector<std::string> assets;
  for (const TimelineClip& clip : timeline.clips()) assets.push_back(clip.asset);
  return assets;
}

}  // namespace

http::Response App::CreateProject(http::Request& request) {
  const auto body = http::ParseJsonObject(request.body);
  if (!body) return http::Problem(400, "json", body.error().message);
  const Json kind = body->value("kind", Json("timeline"));
  if (kind == kDrums) return CreateDrums(*body);
  if (auto refused = CheckMembers(*body, {"kind", "name", "sample_rate", "channels", "crossfade"}); refused) {
    return *std::move(refused);
  }
  if (kind != "timeline") return Invalid("/kind", "'kind' is timeline or drums.");
  std::optional<std::string> name;
  if (auto refused = ReadName(*body, name); refused) return *std::move(refused);
  Json document = {{"sample_rate", 44100}};
  for (const char* member : {"sample_rate", "channels", "crossfade"}) {
    if (body->contains(member)) document[member] = (*body)[member];
  }
  const auto timeline = Timeline::FromJson(document);
  if (!timeline) return Invalid("", Sentence(timeline.error().message));
  engine::ProjectRecord project{.id = engine::NewId(),
                                .kind = "timeline",
                                .name = name.value_or(""),
                                .document = timeline->ToJson(),
                                .created = engine::Now()};
  return AddProject(std::move(project), {});
}

http::Response App::AddProject(engine::ProjectRecord project, const std::vector<std::string>& assets) {
  project.changed = project.created;
  if (const Status added = engine_->AddProject(project, assets); !added) return Refused(added.error());
  http::Response response = WithRevision(http::Json(201, ProjectJson(project, true)), project);
  response.headers.Set("Location", "/v1/projects/" + project.id);
  return response;
}

// One step of its history, and what it is then; `made`: members that say what came to be by it.
http::Response App::ChangeProject(const engine::ProjectRecord& project, const engine::ProjectChange& change,
                                  const Json& made) {
  const auto changed = engine_->ChangeProject(project.id, project.revision, change);
  if (!changed && changed.error().code == ErrorCode::kInvalidArgument) {
    return http::Problem(409, "conflict", changed.error().message);  // nothing to undo
  }
  if (!changed) return Refused(changed.error());
  if (!*changed) return Changed();
  Json json = ProjectJson(**changed, true);
  json.update(made);
  return WithRevision(http::Json(200, json), **changed);
}

http::Response App::RenameProject(http::Request& request) {
  const auto project = engine_->journal().FindProject(request.Captured("id"));
  if (!project) return Refused(project.error());
  if (auto refused = CheckPrecondition(request, *project); refused) return *std::move(refused);
  Json body;
  if (auto refused = ReadBody(request, {"name"}, body); refused) return *std::move(refused);
  engine::ProjectChange change;
  if (auto refused = ReadName(body, change.name); refused) return *std::move(refused);
  return ChangeProject(*project, change);
}

// Nothing where the length of a sound is still being found out.
std::optional<http::Response> App::TryOperation(const http::Request& request, const Json& body) {
  const auto project = engine_->journal().FindProject(request.Captured("id"));
  if (!project) return Refused(project.error());
  if (auto refused = CheckPrecondition(request, *project); refused) return refused;
  engine::ProjectChange change;
  const bool is_drums = project->kind == kDrums;
  Json made;  // the id of what came to be
  const Json name = body.value("op", Json());
  if (name == "undo" || name == "redo") {
    if (auto refused = CheckMembers(body, {"op"}); refused) return refused;
    change.by = name == "undo" ? -1 : 1;
  } else if (is_drums) {
    auto drums = DrumProject::FromJson(project->document);
    if (!drums) return http::ProblemOf({ErrorCode::kInternal, drums.error().message});
    if (name == "take") {
      if (auto refused = CheckMembers(body, {"op", "job"}); refused) return refused;
      engine::JobRecord job;
      if (auto refused = FindListening(body, job); refused) return refused;
      if (auto refused = TakeHeard(job, *drums); refused) return refused;
    } else if (name == "beats") {
      if (auto refused = SetBeats(body, *drums); refused) return refused;
    } else {
      const auto operated = OperateOnHits(drums->hits, body);
      if (!operated) return Invalid("", Sentence(operated.error().message));
      if (*operated) made = **operated;
    }
    change.document = drums->ToJson();
    change.assets = drums->Assets();
  } else {
    auto timeline = Timeline::FromJson(project->document);
    if (!timeline) return http::ProblemOf({ErrorCode::kInternal, timeline.error().message});
    const auto operated = Operate(*timeline, body, [this](const std::string& id) -> Result<std::optional<SoundLength>> {
      TIMBRE_TRY(const engine::AssetRecord asset, engine_->journal().FindAsset(id));
      TIMBRE_TRY(const auto peaks, previews_->FindPeaks(asset.id));
      if (!peaks) return std::nullopt;
      return SoundLength{.frames = peaks->frames, .sample_rate = peaks->sample_rate};
    });
    if (!operated) return Invalid("", Sentence(operated.error().message));
    if (!operated->done) return std::nullopt;
    if (!operated->clip.empty()) made = operated->clip;
    change.document = timeline->ToJson();
    change.assets = AssetsOf(*timeline);
  }
  return ChangeProject(*project, change, Json::object({{is_drums ? "hit" : "clip", made}}));
}

http::Response App::OperateOnProject(http::Request& request) {
  auto body = http::ParseJsonObject(request.body);
  if (!body) return http::Problem(400, "json", body.error().message);
  if (auto now = TryOperation(request, *body); now) return *std::move(now);
  http::Response response;
  response.patience = kPatience;
  response.later = [this, request, body = *std::move(body)](bool last) -> std::optional<http::Response> {
    if (auto answer = TryOperation(request, body); answer) return answer;
    if (!last) return std::nullopt;
    http::Response late = http::Problem(503, "not-yet", "the sound is still being decoded; try again in a moment.");
    late.headers.Set("Retry-After", "5");
    return late;
  };
  return response;
}

// The timeline as the job that joins files reads it: in seconds, and with the places where the engine lays its inputs.
Json App::JoinTimeline(const Timeline& timeline, std::vector<engine::JobInput>& inputs) {
  const double rate = timeline.sample_rate();
  std::map<std::string, size_t> places;  // of assets among the inputs
  Json json = {{"crossfade", timeline.crossfade()}, {"clips", Json::array()}};
  if (timeline.master()) json["master"] = ChainToJson(*timeline.master());
  for (const TimelineClip& clip : timeline.clips()) {
    const auto [place, fresh] = places.emplace(clip.asset, inputs.size());
    if (fresh) {
      const auto asset = engine_->journal().FindAsset(clip.asset);
      inputs.push_back({clip.asset, asset ? http::SafeFileName(asset->name) : "unnamed"});
    }
    Json entry = {{"file", "../" + std::to_string(place->second) + "/" + inputs[place->second].name},
                  {"from", static_cast<double>(clip.from) / rate},
                  {"length", static_cast<double>(clip.length) / rate},
                  {"gain_db", clip.gain_db},
                  {"mute", clip.mute},
                  {"solo", clip.solo}};
    if (clip.crossfade) entry["crossfade"] = *clip.crossfade;
    if (clip.chain) entry["chain"] = ChainToJson(*clip.chain);
    json["clips"].push_back(std::move(entry));
  }
  return json;
}

http::Response App::ExportProject(http::Request& request) {
  const auto project = engine_->journal().FindProject(request.Captured("id"));
  if (!project) return Refused(project.error());
  Json options;
  if (auto refused = ReadOptions(request, options); refused) return *std::move(refused);
  if (project->kind == kDrums) return ExportDrums(request, *project, std::move(options));
  const auto timeline = Timeline::FromJson(project->document);
  if (!timeline) return http::ProblemOf({ErrorCode::kInternal, timeline.error().message});
  if (timeline->clips().empty()) return http::Problem(409, "conflict", "the project has no clips to export.");
  engine::Submission submission{.kind = "join",
                                .client = request.client,
                                .project = project->id,
                                .options = std::move(options),
                                .quick = IsQuick("join", Json::object())};
  submission.options["sample_rate"] = timeline->sample_rate();
  if (const Status good = CheckJob("join", 1, submission.options); !good) {
    return Invalid("/options", good.error().message);
  }
  const auto kept = engine_->AddText(JoinTimeline(*timeline, submission.inputs).dump(), "timeline.yaml");
  if (!kept) return Refused(kept.error());
  submission.options["timeline"] = {{"asset", kept->id}};
  submission.inputs.push_back({kept->id, "timeline.yaml"});
  return Submit(request, std::move(submission));
}

Result<std::vector<engine::JobRecord>> App::JobsOf(const engine::ProjectRecord& project, engine::JobFilter filter) {
  filter.project = project.id;
  filter.limit = 100;
  TIMBRE_TRY(std::vector<engine::JobRecord> jobs, engine_->journal().ListJobs(filter));
  if (auto first = engine_->journal().FindJob(project.job); first && first->project.empty()) {
    jobs.push_back(*std::move(first));
  }
  return jobs;
}

void App::AddProjectRoutes(http::Router& router) {
  router.Add({.method = "POST",
              .pattern = "/v1/projects",
              .name = "createProject",
              .summary = "A timeline, empty at first, or the hits of drums that a job heard, to be corrected",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "ProjectRequest",
              .gives = "Project",
              .statuses = {201, 400, 415, 422},
              .handler = [this](http::Request& request) { return CreateProject(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/projects",
              .name = "listProjects",
              .summary = "Projects, the newest first, without what is in them",
              .query = {{"kind", "string", "only of that kind"},
                        {"job", "string", "only those that correct that job's result"},
                        {"asset", "string", "only those that have that file, in whatever step"},
                        {"cursor", "string", "the last id of the page before"},
                        {"limit", "integer", "of 1 to 100"}},
              .gives = "Projects",
              .statuses = {200, 422},
              .handler = [this](http::Request& request) {
                const auto limit = LimitOf(request);
                if (!limit) return WrongLimit();
                const engine::ProjectFilter filter{.kind = std::string(request.QueryValue("kind")),
                                                   .job = std::string(request.QueryValue("job")),
                                                   .asset = std::string(request.QueryValue("asset")),
                                                   .before = std::string(request.QueryValue("cursor")),
                                                   .limit = *limit};
                const auto projects = engine_->journal().ListProjects(filter);
                if (!projects) return Refused(projects.error());
                Json list = Json::array();
                for (const engine::ProjectRecord& project : *projects) list.push_back(ProjectJson(project, false));
                http::Response response = http::Json(200, {{"projects", list}});
                if (static_cast<int>(projects->size()) == *limit) {
                  std::string next = "/v1/projects?limit=" + std::to_string(*limit) + "&cursor=" + projects->back().id;
                  if (!filter.kind.empty()) next += "&kind=" + http::PercentEncode(filter.kind);
                  if (!filter.job.empty()) next += "&job=" + http::PercentEncode(filter.job);
                  if (!filter.asset.empty()) next += "&asset=" + http::PercentEncode(filter.asset);
                  response.headers.Set("Link", "<" + next + ">; rel=\"next\"");
                }
                return response;
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/projects/{id}",
              .name = "getProject",
              .summary = "A project, with where each clip lies; its ETag is the revision that a change has to name",
              .gives = "Project",
              .statuses = {200, 304, 404},
              .handler = [this](http::Request& request) {
                const auto project = engine_->journal().FindProject(request.Captured("id"));
                if (!project) return Refused(project.error());
                if (http::Evaluate(request, EtagOf(*project)) == http::Condition::kNotModified) {
                  return WithRevision({.status = 304}, *project);
                }
                return WithRevision(http::Json(200, ProjectJson(*project, true)), *project);
              }});
  router.Add(
      {.method = "GET",
       .pattern = "/v1/projects/{id}/files.zip",
       .name = "getProjectZip",
       .summary = "All files of a project as a zip archive: what is in it, and the newest of what was made of it",
       .gives = "application/zip",
       .statuses = {200, 404, 409},
       .handler = [this](http::Request& request) { return ProjectZip(request); }});
  router.Add({.method = "PATCH",
              .pattern = "/v1/projects/{id}",
              .name = "renameProject",
              .summary = "Another name; with If-Match",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "ProjectName",
              .gives = "Project",
              .statuses = {200, 400, 404, 412, 415, 422, 428},
              .handler = [this](http::Request& request) { return RenameProject(request); }});
  router.Add({.method = "DELETE",
              .pattern = "/v1/projects/{id}",
              .name = "deleteProject",
              .summary = "Forgets a project; with If-Match. Files that only it has go when their time is over",
              .statuses = {204, 404, 412, 428},
              .handler = [this](http::Request& request) {
                const auto project = engine_->journal().FindProject(request.Captured("id"));
                if (!project) return Refused(project.error());
                if (auto refused = CheckPrecondition(request, *project); refused) return *std::move(refused);
                const auto removed = engine_->RemoveProject(project->id, project->revision);
                if (!removed) return Refused(removed.error());
                return *removed ? http::Response{.status = 204} : Changed();
              }});
  router.Add({.method = "POST",
              .pattern = "/v1/projects/{id}/operations",
              .name = "changeProject",
              .summary = "One operation on a project; with If-Match. One that fails changes nothing",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "ProjectOperation",
              .gives = "Project",
              .statuses = {200, 400, 404, 409, 412, 415, 422, 428, 503},
              .handler = [this](http::Request& request) { return OperateOnProject(request); }});
  router.Add({.method = "POST",
              .pattern = "/v1/projects/{id}/export",
              .name = "exportProject",
              .summary = "A job that joins a timeline's clips into one file, or makes MIDI of drums, as they are now",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "ExportRequest",
              .gives = "Job",
              .statuses = {202, 400, 404, 409, 415, 422, 429, 503, 507},
              .handler = [this](http::Request& request) { return ExportProject(request); }});
}

}  // namespace timbre::server
