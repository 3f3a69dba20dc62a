// What is measured of jobs, as their events tell of them.
#include "apps/server/app.h"
#include "engine/ids.h"

namespace timbre::server {
namespace {

double Seconds(int64_t from, int64_t to) { return static_cast<double>(to - from) / 1e6; }

std::string ModelOf(const engine::JobRecord& job) {
  const auto model = job.options.find("model");
  return model != job.options.end() && model->is_string() ? model->get<std::string>() : "";
}

// How often a job's report says that something was computed in a plainer way.
double StepsDownIn(const Json& report) {
  if (!report.is_object()) return 0;
  const auto steps = report.find("steps_down");
  if (steps == report.end() || !steps->is_array()) return 0;
  double count = 0;
  for (const Json& step : *steps) count += step.is_object() ? step.value("count", 1.0) : 1.0;
  return count;
}

}  // namespace

void App::Measure(engine::Engine& engine, const engine::EventRecord& event) {
  if (event.job.empty()) return;
  const int64_t now = engine::Now();
  if (event.type == "job.cancelling") {
    const std::lock_guard lock(cancels_mutex_);
    cancels_[event.job] = now;
    return;
  }
  if (event.type == "job.queued" && event.data.find("\"reason\"") != std::string::npos) {
    metrics_.Count("timbre_jobs_retried_total", {});
    return;
  }
  if (event.type != "job.started" && event.type != "job.ended") return;
  const auto job = engine.journal().FindJob(event.job);
  if (!job) return;
  if (event.type == "job.started") {
    if (job->attempt == 1) {
      metrics_.Observe("timbre_queue_wait_seconds", {{"kind", job->kind}}, Seconds(job->created, job->started));
    }
    return;
  }
  {
    const std::lock_guard lock(cancels_mutex_);
    if (const auto asked = cancels_.find(event.job); asked != cancels_.end()) {
      metrics_.Observe("timbre_cancel_seconds", {}, Seconds(asked->second, now));
      cancels_.erase(asked);
    }
  }
  if (job->started == 0 || job->ended == 0) return;
  const Labels labels = {{"kind", job->kind}, {"device", job->device}, {"model", ModelOf(*job)}};
  const double seconds = Seconds(job->started, job->ended);
  metrics_.Observe("timbre_job_seconds", labels, seconds);
  if (job->state == engine::JobState::kSucceeded && job->audio_seconds > 0) {
    metrics_.Observe("timbre_job_realtime_factor", labels, seconds / job->audio_seconds);
  }
  if (const double steps = StepsDownIn(job->report); steps > 0) {
    metrics_.Count("timbre_kernel_stepdowns_total", {{"device", job->device}}, steps);
  }
}

}  // namespace timbre::server
