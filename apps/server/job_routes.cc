// Jobs: asked for, looked at, changed, and what came of them.
#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "apps/server/app.h"
#include "apps/server/kinds.h"
#include "apps/server/requests.h"
#include "apps/server/zip_source.h"
#include "engine/ids.h"
#include "http/names.h"
#include "http/ranges.h"

namespace timbre::server {
namespace {

constexpr std::array<const char*, 3> kPriorities = {"low", "normal", "high"};
constexpr int kLongestWait = 60;  // seconds
constexpr size_t kMostInputs = 1000;
constexpr size_t kMostJson = size_t{1} << 20;

Json TimeOrNull(int64_t time) { return time > 0 ? Json(engine::TimeText(time)) : Json(); }

std::optional<int> PriorityOf(const Json& value) {
  for (size_t i = 0; i < kPriorities.size(); ++i) {
    if (value == kPriorities[i]) return static_cast<int>(i);
  }
  return std::nullopt;
}

// The seconds of `wait=`, or of Prefer: wait= (RFC 7240); 0 where none are asked for, -1 where it is no number.
int WaitOf(const http::Request& request) {
  std::string_view text = request.QueryValue("wait");
  if (text.empty()) {
    const std::string_view prefer = request.Header("Prefer");
    const size_t at = prefer.find("wait=");
    if (at == std::string_view::npos) return 0;
    text = prefer.substr(at + 5);
    text = text.substr(0, text.find_first_of(",; "));
  }
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return -1;
  return std::min(seconds, kLongestWait);
}

Json OutputsJson(const engine::JobRecord& job) {
  Json outputs = Json::array();
  for (const engine::JobOutput& output : job.outputs) outputs.push_back(OutputJson(output));
  return outputs;
}

}  // namespace

Json OutputJson(const engine::JobOutput& output) {
  return {{"name", output.name},
          {"asset", output.asset},
          {"bytes", output.bytes},
          {"media_type", output.media_type},
          {"link", "/v1/assets/" + output.asset + "/data"}};
}

Json App::JobJson(const engine::JobRecord& job) {
  const std::string self = "/v1/jobs/" + job.id;
  Json json = {{"id", job.id}, {"kind", job.kind}, {"state", engine::JobStateName(job.state)}};
  const Json running = engine_->ProgressOf(job.id);
  const bool done = job.state == engine::JobState::kSucceeded;
  const double progress = done ? 1.0 : running.is_object() ? running.value("progress", 0.0) : 0.0;
  json["progress"] = progress;
  json["stage"] = running.is_object() ? running.value("stage", Json()) : Json();
  json["position"] = nullptr;
  if (job.state == engine::JobState::kQueued) {
    if (const auto position = engine_->journal().Position(job, engine::Now()); position) json["position"] = *position;
  }
  json["eta_s"] = nullptr;
  if (const auto estimate = engine_->EstimateOf(job, progress); estimate) json["eta_s"] = *estimate;
  json["attempt"] = job.attempt;
  json["device"] = job.device.empty() ? Json() : Json(job.device);
  json["priority"] = kPriorities[static_cast<size_t>(std::clamp(job.priority, 0, 2))];
  json["paused"] = job.paused;
  json["options"] = job.options;
  json["inputs"] = Json::array();
  for (const engine::JobInput& input : job.inputs) {
    json["inputs"].push_back({{"asset", input.asset}, {"name", input.name}});
  }
  json["outputs"] = OutputsJson(job);
  json["error"] = job.error;
  json["project"] = job.project;
  json["created"] = engine::TimeText(job.created);
  json["started"] = TimeOrNull(job.started);
  json["ended"] = TimeOrNull(job.ended);
  json["expires"] = TimeOrNull(job.expires);
  json["links"] = {
      {"self", self}, {"cancel", self + "/cancel"}, {"result", self + "/result"}, {"files", self + "/files.zip"}};
  return json;
}

// Files among the options become inputs behind the job's own, and content that comes as text an asset before that.
std::optional<http::Response> App::TakeOptionFiles(engine::Submission& submission, std::set<std::string>& taken) {
  for (const OptionFile& file : OptionFiles(submission.kind, submission.options)) {
    const std::string pointer = "/options/" + file.option;
    Json& value = submission.options[file.option];
    const Json given = value.is_object() ? value : Json::object();
    const Json id = given.value("asset", Json()), text = given.value("text", Json());
    const Json called = given.value("name", Json(file.option + file.ending));
    const bool by_id = id.is_string() && given.size() == 1;
    const bool by_text = text.is_string() && called.is_string() && given.size() == 1 + given.count("name");
    if (!by_id && !by_text) {
      return Invalid(pointer, "'" + file.option +
                                  R"(' is a file: {"asset": ID}, or its content and, if wanted, its name )" +
                                  R"(as {"text": "…", "name": "…"}.)");
    }
    std::string asset, name;
    if (by_id) {
      const auto found = engine_->journal().FindAsset(id.get<std::string>());
      if (!found && found.error().code == ErrorCode::kNotFound) return Invalid(pointer, found.error().message);
      if (!found) return Refused(found.error());
      asset = found->id;
      name = found->name;
    } else {
      name = http::SafeFileName(called.get<std::string>());
      if (!name.ends_with(file.ending)) name += file.ending;  // by which its reader knows it
      const auto kept = engine_->AddText(text.get<std::string>(), name);
      if (!kept) return Refused(kept.error());
      asset = kept->id;
    }
    value = {{"asset", asset}};
    submission.inputs.push_back({asset, UniqueName(std::move(name), taken)});
  }
  return std::nullopt;
}

http::Response App::CreateJob(http::Request& request) {
  Json body;
  if (auto refused = ReadBody(request, {"kind", "inputs", "options", "project", "priority", "device"}, body); refused) {
    return *std::move(refused);
  }
  engine::Submission submission{.client = request.client};
  const Json kind = body.value("kind", Json());
  if (!kind.is_string()) return Invalid("/kind", "'kind' is missing, or no text.");
  submission.kind = kind.get<std::string>();
  submission.options = body.value("options", Json::object());
  if (!submission.options.is_object()) return Invalid("/options", "'options' is an object of names and values.");
  submission.quick = IsQuick(submission.kind, submission.options);
  const Json inputs = body.value("inputs", Json::array());
  if (!inputs.is_array() || inputs.size() > kMostInputs) {
    return Invalid("/inputs", "'inputs' is a list of at most 1000 assets.");
  }
  std::set<std::string> taken;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string pointer = "/inputs/" + std::to_string(i);
    const bool is_object = inputs[i].is_object();
    if (is_object) {
      if (auto refused = CheckMembers(inputs[i], {"asset", "name"}); refused) return *std::move(refused);
    }
    const Json id = is_object ? inputs[i].value("asset", Json()) : inputs[i];
    const Json name = is_object ? inputs[i].value("name", Json("")) : Json("");
    if (!id.is_string() || !name.is_string())
      return Invalid(pointer, "an input is an asset's id, or {\"asset\", \"name\"}.");
    const auto asset = engine_->journal().FindAsset(id.get<std::string>());
    if (!asset && asset.error().code == ErrorCode::kNotFound) return Invalid(pointer, asset.error().message);
    if (!asset) return Refused(asset.error());
    std::string shown = name.get<std::string>().empty() ? asset->name : http::SafeFileName(name.get<std::string>());
    submission.inputs.push_back({asset->id, UniqueName(std::move(shown), taken)});
  }
  const size_t own = submission.inputs.size();
  if (const Status good = CheckJob(submission.kind, own, submission.options); !good) {
    return Invalid("/options", good.error().message);
  }
  if (auto refused = TakeOptionFiles(submission, taken); refused) return *std::move(refused);
  const Json project = body.value("project", Json(""));
  if (!project.is_string() || project.get_ref<const std::string&>().size() > 200) {
    return Invalid("/project", "'project' is a text of at most 200 bytes.");
  }
  submission.project = project.get<std::string>();
  if (!submission.project.empty()) {
    const auto found = engine_->journal().FindProject(submission.project);
    if (!found && found.error().code == ErrorCode::kNotFound) return Invalid("/project", found.error().message);
    if (!found) return Refused(found.error());
  }
  const auto priority = PriorityOf(body.value("priority", Json("normal")));
  if (!priority) return Invalid("/priority", "'priority' is low, normal or high.");
  submission.priority = *priority;
  const Json device = body.value("device", Json("auto"));
  bool there = device == "auto";
  for (const engine::Slot& slot : settings_.slots)
    there = there || (device == slot.device && slot.quick == submission.quick && !slot.named);
  if (!there) return Invalid("/device", "there is no such device here; GET /v1/devices lists them.");
  submission.device = device.get<std::string>();
  return Submit(request, std::move(submission));
}

// The answer to a request for a job, whichever route it came by; with an Idempotency-Key the same one makes one job.
http::Response App::Submit(const http::Request& request, engine::Submission submission) {
  submission.key = request.Header("Idempotency-Key");
  if (submission.key.size() > 200) return http::Problem(400, "key", "an Idempotency-Key has at most 200 bytes.");
  submission.digest = engine::Sha256Of(request.method + " " + request.path + "\n" + request.body);
  const auto accepted = engine_->Submit(submission);
  if (!accepted) return Refused(accepted.error());
  http::Response response = http::Json(202, JobJson(accepted->job));
  response.headers.Set("Location", "/v1/jobs/" + accepted->job.id);
  response.headers.Set("Retry-After", "1");
  if (accepted->replayed) response.headers.Set("Idempotency-Replayed", "true");
  return response;
}

http::Response App::GetJob(http::Request& request) {
  const std::string id = request.Captured("id");
  const int wait = WaitOf(request);
  if (wait < 0) return http::Problem(422, "invalid", "'wait' is a number of seconds.");
  const auto job = engine_->journal().FindJob(id);
  if (!job) return Refused(job.error());
  if (wait == 0 || engine::IsFinal(job->state)) return http::WithEtag(request, http::Json(200, JobJson(*job)));
  http::Response response;
  response.patience = std::chrono::seconds(wait);
  response.later = [this, id, seen = job->state](bool last) -> std::optional<http::Response> {
    const auto now = engine_->journal().FindJob(id);
    if (!now) return Refused(now.error());
    if (!last && now->state == seen) return std::nullopt;
    return http::Json(200, JobJson(*now));
  };
  return response;
}

http::Response App::ListJobs(http::Request& request) {
  engine::JobFilter filter{.state = std::string(request.QueryValue("state")),
                           .kind = std::string(request.QueryValue("kind")),
                           .project = std::string(request.QueryValue("project")),
                           .before = std::string(request.QueryValue("cursor"))};
  if (!filter.state.empty() && !engine::FindJobState(filter.state)) {
    return http::Problem(422, "invalid", "'state' is queued, running, cancelling, succeeded, failed or cancelled.");
  }
  if (!filter.before.empty() && !engine::IsId(filter.before))
    return http::Problem(422, "invalid", "'cursor' is no id.");
  const auto limit = LimitOf(request);
  if (!limit) return WrongLimit();
  filter.limit = *limit;
  const auto jobs = engine_->journal().ListJobs(filter);
  if (!jobs) return Refused(jobs.error());
  Json list = Json::array();
  for (const engine::JobRecord& job : *jobs) list.push_back(JobJson(job));
  http::Response response = http::Json(200, {{"jobs", list}});
  if (static_cast<int>(jobs->size()) == filter.limit) {
    std::string next = "/v1/jobs?limit=" + std::to_string(filter.limit) + "&cursor=" + jobs->back().id;
    if (!filter.state.empty()) next += "&state=" + filter.state;
    if (!filter.kind.empty()) next += "&kind=" + http::PercentEncode(filter.kind);
    if (!filter.project.empty()) next += "&project=" + http::PercentEncode(filter.project);
    response.headers.Set("Link", "<" + next + ">; rel=\"next\"");
  }
  return response;
}

http::Response App::ChangeJob(http::Request& request) {
  Json body;
  if (auto refused = ReadBody(request, {"priority", "paused", "front"}, body); refused) return *std::move(refused);
  engine::JobChange change;
  if (const auto value = body.find("priority"); value != body.end()) {
    change.priority = PriorityOf(*value);
    if (!change.priority) return Invalid("/priority", "'priority' is low, normal or high.");
  }
  if (const auto value = body.find("paused"); value != body.end()) {
    if (!value->is_boolean()) return Invalid("/paused", "'paused' is true or false.");
    change.paused = value->get<bool>();
  }
  if (const auto value = body.find("front"); value != body.end()) {
    if (*value != true) return Invalid("/front", "'front' is true.");
    if (change.priority) return Invalid("/front", "'front' brings the highest priority; name one of the two.");
    change.front = true;
  }
  const auto job = engine_->Change(request.Captured("id"), change);
  return job ? http::Json(200, JobJson(*job)) : Refused(job.error());
}

http::Response App::JobFile(http::Request& request) {
  const auto job = engine_->journal().FindJob(request.Captured("id"));
  if (!job) return Refused(job.error());
  // Looked up among what the job has made; what stands in the path reaches no file system.
  for (const engine::JobOutput& output : job->outputs) {
    if (output.name != request.Captured("name")) continue;
    return ServeAsset(request, output.asset, output.name.substr(output.name.rfind('/') + 1));
  }
  return http::Problem(404, "not-found", "the job has no file of that name.");
}

http::Response App::JobZip(http::Request& request) {
  const auto job = engine_->journal().FindJob(request.Captured("id"));
  if (!job) return Refused(job.error());
  if (job->state != engine::JobState::kSucceeded) return http::Problem(409, "conflict", "the job has not succeeded.");
  std::vector<ZipPart> parts;
  for (const engine::JobOutput& output : job->outputs) {
    parts.push_back({output.name, engine_->assets().PathOf(output.asset), output.bytes, output.crc32});
  }
  return ZipAnswer(std::move(parts), job->kind + "-" + job->id.substr(0, 8) + ".zip");
}

void App::AddJobRoutes(http::Router& router) {
  router.Add({.method = "POST",
              .pattern = "/v1/jobs",
              .name = "createJob",
              .summary = "A job, which is kept from the answer on whatever happens; with Idempotency-Key once",
              .body = http::BodyKind::kJson,
              .most_body = kMostJson,
              .takes = "JobRequest",
              .gives = "Job",
              .statuses = {202, 400, 415, 422, 429, 503, 507},
              .handler = [this](http::Request& request) { return CreateJob(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/jobs",
              .name = "listJobs",
              .summary = "Jobs, the newest first",
              .query = {{"state", "string", "only of that state"},
                        {"kind", "string", "only of that kind"},
                        {"project", "string", "only of that project"},
                        {"cursor", "string", "the last id of the page before"},
                        {"limit", "integer", "of 1 to 100"}},
              .gives = "Jobs",
              .statuses = {200, 422},
              .handler = [this](http::Request& request) { return ListJobs(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/jobs/{id}",
              .name = "getJob",
              .summary = "A job; with wait= when its state has changed",
              .query = {{"wait", "integer", "seconds, at most 60"}},
              .gives = "Job",
              .statuses = {200, 304, 404, 422},
              .handler = [this](http::Request& request) { return GetJob(request); }});
  router.Add(
      {.method = "PATCH",
       .pattern = "/v1/jobs/{id}",
       .name = "changeJob",
       .summary = "Another priority of a job that waits, a place ahead of all that the client has waiting, or a pause",
       .body = http::BodyKind::kJson,
       .most_body = kMostJson,
       .takes = "JobChange",
       .gives = "Job",
       .statuses = {200, 400, 404, 409, 415, 422},
       .handler = [this](http::Request& request) { return ChangeJob(request); }});
  router.Add({.method = "DELETE",
              .pattern = "/v1/jobs/{id}",
              .name = "deleteJob",
              .summary = "Cancels it where that is needed, and forgets it and what only it has made",
              .statuses = {204, 404},
              .handler = [this](http::Request& request) {
                const auto removed = engine_->Remove(request.Captured("id"));
                return removed ? http::Response{.status = 204} : Refused(removed.error());
              }});
  router.Add(
      {.method = "GET",
       .pattern = "/v1/jobs/{id}/result",
       .name = "getJobResult",
       .summary = "What came of a job that succeeded: its files, its report, and what its command would have said",
       .gives = "JobResult",
       .statuses = {200, 304, 404, 409},
       .handler = [this](http::Request& request) {
         const auto job = engine_->journal().FindJob(request.Captured("id"));
         if (!job) return Refused(job.error());
         if (job->state != engine::JobState::kSucceeded) {
           return http::Problem(409, "conflict", "the job is " + std::string(engine::JobStateName(job->state)) + ".");
         }
         return http::WithEtag(
             request,
             http::Json(
                 200, {{"id", job->id}, {"outputs", OutputsJson(*job)}, {"report", job->report}, {"said", job->said}}));
       }});
  router.Add({.method = "POST",
              .pattern = "/v1/jobs/{id}/cancel",
              .name = "cancelJob",
              .summary = "Ends it; 200 where it has ended already",
              .gives = "Job",
              .statuses = {200, 202, 404},
              .handler = [this](http::Request& request) {
                const auto state = engine_->Cancel(request.Captured("id"));
                if (!state) return Refused(state.error());
                const auto job = engine_->journal().FindJob(request.Captured("id"));
                if (!job) return Refused(job.error());
                return http::Json(*state == engine::JobState::kCancelling ? 202 : 200, JobJson(*job));
              }});
  router.Add({.method = "POST",
              .pattern = "/v1/jobs/{id}/retry",
              .name = "retryJob",
              .summary = "Queues a job anew that failed or was cancelled",
              .gives = "Job",
              .statuses = {202, 404, 409},
              .handler = [this](http::Request& request) {
                const auto job = engine_->Retry(request.Captured("id"));
                return job ? http::Json(202, JobJson(*job)) : Refused(job.error());
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/jobs/{id}/files.zip",
              .name = "getJobZip",
              .summary = "All files of a job that succeeded, as a zip archive",
              .gives = "application/zip",
              .statuses = {200, 404, 409},
              .handler = [this](http::Request& request) { return JobZip(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/jobs/{id}/files/{name}",
              .name = "getJobFile",
              .summary = "One file of a job; '/' in its name is written as %2F",
              .query = {{"download", "string", "as a file to keep, under that name"}},
              .gives = "application/octet-stream",
              .statuses = {200, 206, 304, 404, 412, 416},
              .handler = [this](http::Request& request) { return JobFile(request); }});
}

}  // namespace timbre::server
