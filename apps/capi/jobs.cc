// The C interface over jobs, devices and models.
#include <atomic>

#include "apps/capi/events.h"
#include "apps/capi/guard.h"
#include "base/version.h"
#include "pipelines/job_json.h"
#include "runtime/device/device_report.h"
#include "store/model_report.h"

using timbre::Json;
using timbre::Result;

struct timbre_job {
  timbre::ParsedJob parsed;
  std::atomic<bool> cancelled{false};
  int stream = -1;
  bool ran = false;
  std::string report, error;
};

namespace {

// JSON that `make` gives, as text for timbre_free.
template <typename F>
char* TextOf(const F& make, char* error, size_t error_size) {
  const Result<std::string> text = timbre::capi::Guarded([&]() -> Result<std::string> {
    TIMBRE_TRY(const Json json, make());
    return timbre::ReportText(json);
  });
  char* const copy = text ? timbre::capi::Copy(*text) : nullptr;
  if (copy == nullptr) timbre::capi::Complain(text ? "no memory" : text.error().message, error, error_size);
  return copy;
}

}  // namespace

const char* timbre_version(void) { return timbre::Version(); }

char* timbre_devices(char* error, size_t error_size) { return TextOf(timbre::DevicesReport, error, error_size); }

char* timbre_models(char* error, size_t error_size) {
  return TextOf(
      []() -> Result<Json> {
        TIMBRE_TRY(const timbre::FetchOptions options, timbre::FetchOptionsFromEnvironment());
        Json models = Json::array();
        for (const timbre::ModelEntry& model : timbre::ModelCatalogue()) {
          models.push_back(timbre::ModelReport(model, options.cache));
        }
        return models;
      },
      error, error_size);
}

char* timbre_job_kinds(char* error, size_t error_size) {
  return TextOf([]() -> Result<Json> { return timbre::AllSchemas(); }, error, error_size);
}

void timbre_free(char* text) { std::free(text); }

timbre_job* timbre_job_create(const char* json, char* error, size_t error_size) {
  if (json == nullptr) {
    timbre::capi::Complain("there is no text of a job", error, error_size);
    return nullptr;
  }
  auto made = timbre::capi::Guarded([&]() -> Result<timbre_job*> {
    TIMBRE_TRY(timbre::ParsedJob parsed, timbre::ParseJob(std::string_view(json)));
    auto* const job = new timbre_job;
    job->parsed = std::move(parsed);
    return job;
  });
  if (!made) timbre::capi::Complain(made.error().message, error, error_size);
  return made.value_or(nullptr);
}

void timbre_job_destroy(timbre_job* job) { delete job; }

timbre_status timbre_job_set_stream(timbre_job* job, int descriptor) {
  if (job == nullptr || descriptor < 0 || job->ran) return TIMBRE_INVALID_ARGUMENT;
  job->stream = descriptor;
  return TIMBRE_OK;
}

timbre_status timbre_job_run(timbre_job* job, timbre_event_function on_event, void* user) {
  if (job == nullptr || job->ran) return TIMBRE_INVALID_ARGUMENT;
  job->ran = true;
  Json report;
  const auto done = timbre::capi::Guarded([&]() -> timbre::Status {
    timbre::capi::FunctionObserver observer(on_event, user);
    timbre::Status status = timbre::RunJob(*job->parsed.kind, *job->parsed.job,
                                           {.cancelled = &job->cancelled, .stream = job->stream}, observer, report);
    job->report = timbre::ReportText(report);
    return status;
  });
  if (done) return TIMBRE_OK;
  job->error = timbre::PrintableLines(done.error().message, ' ');
  return timbre::capi::StatusOf(done.error().code);
}

void timbre_job_cancel(timbre_job* job) {
  if (job != nullptr) job->cancelled = true;
}

const char* timbre_job_report(const timbre_job* job) { return job == nullptr ? "" : job->report.c_str(); }
const char* timbre_job_error(const timbre_job* job) { return job == nullptr ? "" : job->error.c_str(); }
