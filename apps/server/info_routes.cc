// What is here, how it is, and who asks.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "apps/server/app.h"
#include "apps/server/kinds.h"
#include "apps/server/schemas.h"
#include "base/cache.h"
#include "base/paths.h"
#include "base/version.h"
#include "engine/ids.h"
#include "http/ranges.h"
#include "models/model_files.h"
#include "pipelines/studio/chain.h"

namespace timbre::server {
namespace {

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

// A value of a label, as the text format wants it.
std::string Label(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted;
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

http::Response App::Metrics() {
  std::string text;
  const auto family = [&](const char* name, const char* type, const char* help) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  };
  family("timbre_jobs", "gauge", "Jobs that are known, by state and kind.");
  if (const auto counts = engine_->journal().CountJobs(); counts) {
    for (const auto& count : *counts) {
      text += fmt::format("timbre_jobs{{state=\"{}\",kind=\"{}\"}} {}\n", count.state, Label(count.kind), count.jobs);
    }
  }
  family("timbre_device_busy_seconds_total", "counter", "Seconds in which a slot ran a job.");
  const auto slots = engine_->Slots();
  for (const auto& slot : slots) {
    text += fmt::format("timbre_device_busy_seconds_total{{device=\"{}\",quick=\"{}\"}} {:.3f}\n",
                        Label(slot.slot.device), slot.slot.quick, slot.busy_seconds);
  }
  family("timbre_worker_restarts_total", "counter", "Workers that ended while they ran a job.");
  for (const auto& slot : slots) {
    text += fmt::format("timbre_worker_restarts_total{{device=\"{}\",quick=\"{}\"}} {}\n", Label(slot.slot.device),
                        slot.slot.quick, slot.restarts);
  }
  {
    const std::lock_guard lock(metrics_mutex_);
    family("timbre_http_requests_total", "counter", "Requests that were answered.");
    for (const auto& [key, count] : requests_) {
      text += fmt::format("timbre_http_requests_total{{route=\"{}\",method=\"{}\",code=\"{}\"}} {}\n", std::get<0>(key),
                          Label(std::get<1>(key)), std::get<2>(key), count.requests);
    }
    family("timbre_http_seconds_total", "counter", "Seconds from a request's first line to the end of its answer.");
    for (const auto& [key, count] : requests_) {
      text += fmt::format("timbre_http_seconds_total{{route=\"{}\",method=\"{}\",code=\"{}\"}} {:.6f}\n",
                          std::get<0>(key), Label(std::get<1>(key)), std::get<2>(key), count.seconds);
    }
  }
  const auto single = [&](const char* name, const char* type, const char* help, int64_t value) {
    family(name, type, help);
    text += fmt::format("{} {}\n", name, value);
  };
  {
    const std::lock_guard lock(events_mutex_);
    single("timbre_sse_clients", "gauge", "Event streams that are open.", static_cast<int64_t>(subscribers_.size()));
  }
  single("timbre_upload_bytes_total", "counter", "Bytes that clients have sent.", upload_bytes_);
  single("timbre_disk_bytes", "gauge", "Bytes of all assets.", engine_->journal().AssetBytes().value_or(0));
  single("timbre_disk_free_bytes", "gauge", "Bytes that the disk has left.", engine_->assets().FreeBytes());
  single("timbre_db_transactions_total", "counter", "Transactions of the journal.", engine_->journal().transactions());
  single("process_resident_memory_bytes", "gauge", "Memory that the server holds.", ResidentBytes());
  single("process_open_fds", "gauge", "Files and sockets that the server has open.", OpenFiles());
  return http::Text(200, text, "text/plain; version=0.0.4; charset=utf-8");
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
              .handler = [this](http::Request&) { return Metrics(); }});
  router.Add({.method = "GET",
              .pattern = "/v1/openapi.json",
              .name = "getDescription",
              .summary = "This description",
              .gives = "Schema",
              .statuses = {200, 304},
              .handler = [this](http::Request& request) {
                return http::WithEtag(request, http::Json(200, server_->router().OpenApi(Version(), Schemas())));
              }});
  router.Add({.method = "POST",
              .pattern = "/v1/session",
              .name = "createSession",
              .summary = "A cookie for what can send no header, such as an EventSource",
              .statuses = {204},
              .handler = [this](http::Request& request) {
                const std::string token = engine::NewToken(), digest = engine::Sha256Of(token);
                const auto added =
                    engine_->journal().AddSession(digest, request.client, engine::Now() + kSessionSeconds * 1000000);
                if (!added) return Refused(added.error());
                {
                  const std::lock_guard lock(sessions_mutex_);
                  sessions_[digest] = request.client;
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
              .summary = "What jobs run on, and what runs there now",
              .gives = "Devices",
              .handler = [this](http::Request&) {
                Json slots = Json::array();
                for (const auto& slot : engine_->Slots()) {
                  slots.push_back({{"device", slot.slot.device},
                                   {"quick", slot.slot.quick},
                                   {"job", slot.job.empty() ? Json() : Json(slot.job)},
                                   {"restarts", slot.restarts},
                                   {"busy_seconds", slot.busy_seconds}});
                }
                return http::Json(200, {{"slots", slots}});
              }});
  router.Add(
      {.method = "GET",
       .pattern = "/v1/models",
       .name = "listModels",
       .summary = "Models that jobs can name, and whether they are here",
       .gives = "Models",
       .statuses = {200, 304},
       .handler = [](http::Request& request) { return http::WithEtag(request, http::Json(200, ModelsJson())); }});
}

}  // namespace timbre::server
