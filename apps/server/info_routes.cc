// What is here, how it is, and who asks.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <tuple>

#include "apps/server/app.h"
#include "apps/server/kinds.h"
#include "apps/server/schemas.h"
#include "base/paths.h"
#include "base/version.h"
#include "engine/ids.h"
#include "engine/worker_process.h"
#include "http/ranges.h"
#include "models/model_files.h"
#include "pipelines/studio/mastering_chain.h"

namespace timbre::server {
namespace {

constexpr auto kSurveyLasts = std::chrono::minutes(5);
constexpr auto kSurveyTakes = std::chrono::seconds(20);
constexpr int64_t kSessionSeconds = 30 * 24 * 3600;

std::string_view StateName(ModelState state) {
  switch (state) {
    case ModelState::kBuiltIn: return "built-in";
    case ModelState::kInstalled: return "installed";
    case ModelState::kIncomplete: return "incomplete";
    case ModelState::kMissing: break;
  }
  return "missing";
}

Json ModelsJson() {
  const Result<std::string> cache = CacheDir();
  Json models = Json::array();
  for (const ModelEntry& model : ModelCatalogue()) {
    const ModelStatus status = StatusOfModel(cache ? *cache : "", model);
    models.push_back({{"name", model.name},
                      {"summary", model.summary},
                      {"task", ModelTaskName(model.task)},
                      {"stems", model.stems},
                      {"licence", model.licence},
                      {"state", StateName(status.state)},
                      {"bytes", ModelBytes(model)}});
  }
  return {{"models", models}};
}

int64_t ResidentBytes() {
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r"); file != nullptr) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return int64_t{pages} * sysconf(_SC_PAGE_SIZE);
}

int64_t OpenFiles() {
  std::error_code ignored;
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    (void)entry;
    ++count;
  }
  return count;
}

}  // namespace

// What devices there are, as a process of its own finds out: a driver that crashes takes no server along.
Json App::Survey() {
  const std::lock_guard lock(survey_mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (!survey_.is_null() && now - surveyed_ < kSurveyLasts) return survey_;
  surveyed_ = now;
  survey_ = {{"devices", Json::array()}, {"auto", nullptr}, {"reason", "the devices could not be looked at"}};
  auto worker = engine::WorkerProcess::Start(settings_.worker);
  if (!worker || !worker->Send({{"survey", true}})) return survey_;
  while (std::chrono::steady_clock::now() - now < kSurveyTakes) {
    const auto said = worker->Receive(200);
    if (!said) break;
    if (!*said) continue;
    const auto found = (*said)->find("survey");
    if (found == (*said)->end() || !found->is_object()) continue;
    survey_.update(*found);
    break;
  }
  return survey_;
}

http::Response App::MetricsPage() {
  std::string text = MetricHead("timbre_jobs", "gauge", "Jobs that are known, by state and kind.");
  if (const auto counts = engine_->journal().CountJobs(); counts) {
    for (const auto& count : *counts) {
      text +=
          MetricLine("timbre_jobs", {{"state", count.state}, {"kind", count.kind}}, static_cast<double>(count.jobs));
    }
  }
  const auto slots = engine_->Slots();
  const auto of_slots = [&](const char* name, const char* help, double (*value)(const engine::Engine::SlotState&)) {
    // Slots of one device are one series: two lines of the same labels are none.
    std::map<std::pair<std::string, bool>, double> sums;
    for (const auto& slot : slots) sums[{slot.slot.device, slot.slot.quick}] += value(slot);
    text += MetricHead(name, "counter", help);
    for (const auto& [slot, sum] : sums) {
      text += MetricLine(name, {{"device", slot.first}, {"quick", slot.second ? "true" : "false"}}, sum);
    }
  };
  of_slots("timbre_device_busy_seconds_total", "Seconds in which a device's workers ran a job.",
           [](const engine::Engine::SlotState& slot) { return slot.busy_seconds; });
  {
    std::map<std::tuple<std::string, bool, std::string>, int64_t> restarts;
    for (const auto& slot : slots) {
      for (const auto& [reason, count] : slot.restarts) restarts[{slot.slot.device, slot.slot.quick, reason}] += count;
    }
    text += MetricHead("timbre_worker_restarts_total", "counter", "Workers that ended while they ran a job, by why.");
    for (const auto& [of, count] : restarts) {
      const auto& [device, quick, reason] = of;
      text += MetricLine("timbre_worker_restarts_total",
                         {{"device", device}, {"quick", quick ? "true" : "false"}, {"reason", reason}},
                         static_cast<double>(count));
    }
  }
  of_slots("timbre_models_loaded_total", "Models that workers read from their files.",
           [](const engine::Engine::SlotState& slot) { return slot.loaded; });
  of_slots("timbre_models_reused_total", "Models that a job found loaded by the job before it.",
           [](const engine::Engine::SlotState& slot) { return slot.reused; });
  text += metrics_.Text();
  const auto single = [&](const char* name, const char* type, const char* help, int64_t value) {
    text += MetricHead(name, type, help) + MetricLine(name, {}, static_cast<double>(value));
  };
  {
    const std::lock_guard lock(events_mutex_);
    single("timbre_sse_clients", "gauge", "Event streams that are open.", static_cast<int64_t>(subscribers_.size()));
  }
  single("timbre_upload_bytes_total", "counter", "Bytes that clients have sent.", upload_bytes_);
  text += MetricHead("timbre_disk_bytes", "gauge", "Bytes of all assets.") +
          MetricLine("timbre_disk_bytes", {{"what", "assets"}},
                     static_cast<double>(engine_->journal().AssetBytes().value_or(0)));
  single("timbre_disk_free_bytes", "gauge", "Bytes that the disk has left.", engine_->assets().FreeBytes());
  single("timbre_db_transactions_total", "counter", "Transactions of the journal.", engine_->journal().transactions());
  text += MetricHead("timbre_db_seconds", "summary", "What the journal's transactions took, down to the disk.") +
          MetricLine("timbre_db_seconds_sum", {}, engine_->journal().write_seconds()) +
          MetricLine("timbre_db_seconds_count", {}, static_cast<double>(engine_->journal().transactions()));
  single("process_resident_memory_bytes", "gauge", "Memory that the server holds.", ResidentBytes());
  single("process_open_fds", "gauge", "Files and sockets that the server has open.", OpenFiles());
  return http::Text(200, text, "text/plain; version=0.0.4; charset=utf-8");
}

// The job that fetches a model. One that is there is fetched in a moment.
http::Response App::FetchModel(http::Request& request) {
  const auto model = FindModel(request.Captured("name"));
  if (!model) return Refused(model.error());
  engine::Submission submission{.kind = "pull", .client = request.client, .device = kNetwork};
  submission.options = {{"model", (*model)->name}};
  return Submit(request, std::move(submission));
}

void App::AddInfoRoutes(http::Router& router) {
  router.Add({.method = "GET",
              .pattern = "/healthz",
              .name = "getHealth",
              .summary = "Whether the process lives",
              .open = true,
              .gives = "text/plain",
              .handler = [](http::Request&) { return http::Text(200, "ok\n"); }});
  router.Add(
      {.method = "GET",
       .pattern = "/readyz",
       .name = "getReadiness",
       .summary = "Whether jobs are taken: the journal can be written, the disk has room, nothing is about to stop",
       .open = true,
       .gives = "Readiness",
       .statuses = {200, 503},
       .problems = false,
       .handler = [this](http::Request&) {
         Json failing = Json::array();
         if (engine_->draining()) failing.push_back("the server is about to stop");
         if (!engine_->journal().Check()) failing.push_back("the journal can't be written");
         if (!engine_->CheckRoom(0)) failing.push_back("the disk is nearly full");
         if (engine_->Slots().empty()) failing.push_back("there is no worker");
         const bool ready = failing.empty();
         return http::Json(ready ? 200 : 503, {{"ready", ready}, {"failing", failing}});
       }});
  router.Add({.method = "GET",
              .pattern = "/metrics",
              .name = "getMetrics",
              .summary = "Counts and gauges as Prometheus reads them",
              .gives = "text/plain",
              .handler = [this](http::Request&) { return MetricsPage(); }});
  router.Add({.method = "GET",
              .pattern = "/v1/openapi.json",
              .name = "getDescription",
              .summary = "This description",
              .gives = "Schema",
              .statuses = {200, 304},
              .handler = [](http::Request& request) {
                // Not of the router in use: a request may come before Start has the server whose it is.
                static const Json description = Description();
                return http::WithEtag(request, http::Json(200, description));
              }});
  router.Add({.method = "POST",
              .pattern = "/v1/session",
              .name = "createSession",
              .summary = "A cookie for what can send no header, such as an EventSource",
              .statuses = {204},
              .handler = [this](http::Request& request) {
                const std::string token = engine::NewToken(), digest = engine::Sha256Of(token);
                const int64_t now = engine::Now(), expires = now + kSessionSeconds * 1000000;
                const auto added = engine_->journal().AddSession(digest, request.client, expires);
                if (!added) return Refused(added.error());
                {
                  const std::lock_guard lock(sessions_mutex_);
                  std::erase_if(sessions_, [&](const auto& session) { return session.second.expires <= now; });
                  sessions_[digest] = {request.client, expires};
                }
                http::Response response{.status = 204};
                response.headers.Set("Set-Cookie", "timbre=" + token + "; HttpOnly; SameSite=Strict; Path=/; Max-Age=" +
                                                       std::to_string(kSessionSeconds));
                return response;
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/info",
              .name = "getInfo",
              .summary = "The version, and what the limits are",
              .gives = "Info",
              .statuses = {200, 304},
              .handler = [this](http::Request& request) {
                Json kinds = Json::array();
                for (const JobKind* kind : ServedKinds()) kinds.push_back(kind->name);
                const http::Limits& limits = settings_.limits;
                const engine::EngineSettings& engine = engine_->settings();
                return http::WithEtag(
                    request, http::Json(200, {{"version", Version()},
                                              {"kinds", kinds},
                                              {"limits",
                                               {{"upload_bytes", settings_.most_upload},
                                                {"json_bytes", 1 << 20},
                                                {"header_bytes", limits.header_bytes},
                                                {"target_bytes", limits.target_bytes},
                                                {"connections", limits.connections},
                                                {"connections_of_one_address", limits.connections_of_one_address},
                                                {"event_streams_of_client", settings_.streams_of_client},
                                                {"requests_per_second", settings_.requests_per_second},
                                                {"job_bytes", engine.job_bytes},
                                                {"jobs", engine.most_jobs},
                                                {"jobs_of_client", engine.most_jobs_of_client},
                                                {"keep_seconds", settings_.keep_seconds}}}}));
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/kinds",
              .name = "listKinds",
              .summary = "Kinds of jobs",
              .gives = "Kinds",
              .statuses = {200, 304},
              .handler = [](http::Request& request) {
                Json kinds = Json::array();
                for (const JobKind* kind : ServedKinds()) {
                  kinds.push_back({{"name", kind->name},
                                   {"summary", kind->summary},
                                   {"files", TakesFiles(*kind)},
                                   {"together", TakesTogether(kind->name)},
                                   {"schema", "/v1/kinds/" + std::string(kind->name) + "/schema"}});
                }
                return http::WithEtag(request, http::Json(200, {{"kinds", kinds}}));
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/kinds/{kind}/schema",
              .name = "getKindSchema",
              .summary = "What the options of a kind of job may be",
              .gives = "Schema",
              .statuses = {200, 304, 404},
              .handler = [](http::Request& request) {
                for (const JobKind* kind : ServedKinds()) {
                  if (kind->name == request.Captured("kind")) {
                    return http::WithEtag(request, http::Json(200, OptionsSchemaOf(*kind)));
                  }
                }
                return http::Problem(404, "not-found", "there is no such kind of job.");
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/presets",
              .name = "listPresets",
              .summary = "Mastering presets, and what each does",
              .gives = "Presets",
              .statuses = {200, 304},
              .handler = [](http::Request& request) {
                Json presets = Json::array();
                for (const MasterPreset& preset : MasterPresets()) {
                  presets.push_back({{"name", preset.name},
                                     {"title", preset.chain.title},
                                     {"description", preset.chain.description},
                                     {"chain", ChainToJson(preset.chain)}});
                }
                return http::WithEtag(request, http::Json(200, {{"presets", presets}}));
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/devices",
              .name = "listDevices",
              .summary = "What there is to compute on, what doctor found out about it, and what runs where now",
              .gives = "Devices",
              .handler = [this](http::Request&) {
                Json slots = Json::array();
                for (const auto& slot : engine_->Slots()) {
                  slots.push_back({{"device", slot.slot.device},
                                   {"quick", slot.slot.quick},
                                   {"job", slot.job.empty() ? Json() : Json(slot.job)},
                                   {"restarts", slot.TimesRestarted()},
                                   {"busy_seconds", slot.busy_seconds}});
                }
                Json devices = Survey();
                devices["slots"] = slots;
                return http::Json(200, devices);
              }});
  router.Add(
      {.method = "GET",
       .pattern = "/v1/models",
       .name = "listModels",
       .summary = "Models that jobs can name, and whether they are here",
       .gives = "Models",
       .statuses = {200, 304},
       .handler = [](http::Request& request) { return http::WithEtag(request, http::Json(200, ModelsJson())); }});
  router.Add({.method = "POST",
              .pattern = "/v1/models/{name}/fetch",
              .name = "fetchModel",
              .summary = "A job that fetches a model of the catalogue to the server",
              .gives = "Job",
              .statuses = {202, 400, 404, 429, 503, 507},
              .handler = [this](http::Request& request) { return FetchModel(request); }});
}

}  // namespace timbre::server
