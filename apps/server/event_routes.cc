// What happens, as it happens: one stream for all jobs.
#include <algorithm>
#include <charconv>

#include "apps/server/app.h"

namespace timbre::server {
namespace {

// More than that is not replayed: the state as it is says the same in fewer words.
constexpr int64_t kMostReplayed = 500;
constexpr int kMostInSnapshot = 100;

}  // namespace

void App::OnEvent(engine::Engine& engine, const engine::EventRecord& event) {
  Measure(engine, event);
  {
    const std::lock_guard lock(events_mutex_);
    last_event_ = event.seq;
    const std::string text = http::FormatEvent(event.type, event.data, event.seq);
    std::erase_if(subscribers_, [&](const Subscriber& subscriber) {
      if (!subscriber.Wants(event.job, event.project)) return subscriber.stream->closed();
      return !subscriber.stream->Push(text);
    });
  }
  if (http::Server* server = notified_; server != nullptr) server->Notify();
}

// Has no number: whoever comes back gets the job's state, and the next progress.
void App::OnProgress(engine::Engine& engine, const std::string& job, const Json& progress) {
  const auto record = engine.journal().FindJob(job);
  const std::string project = record ? record->project : "";
  const std::lock_guard lock(events_mutex_);
  Json told = progress;
  told["job"] = job;
  const std::string text = http::FormatEvent("job.progress", told.dump());
  std::erase_if(subscribers_, [&](const Subscriber& subscriber) {
    if (!subscriber.Wants(job, project)) return subscriber.stream->closed();
    return !subscriber.stream->Push(text);
  });
}

http::Response App::OpenEvents(http::Request& request) {
  std::string_view after = request.Header("Last-Event-ID");
  if (after.empty()) after = request.QueryValue("after");
  int64_t seen = -1;
  if (!after.empty()) {
    const auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), seen);
    if (error != std::errc() || end != after.data() + after.size() || seen < 0) {
      return http::Problem(422, "invalid", "Last-Event-ID, or 'after', is the number of an event.");
    }
  }
  const Subscriber wanted{.client = request.client,
                          .job = std::string(request.QueryValue("job")),
                          .project = std::string(request.QueryValue("project"))};
  http::Response response;
  response.events = std::make_shared<http::EventStream>();
  // Held until the stream is among those that are told: nothing is told twice, and nothing is left out.
  const std::lock_guard lock(events_mutex_);
  std::erase_if(subscribers_, [](const Subscriber& subscriber) { return subscriber.stream->closed(); });
  const auto own = std::count_if(subscribers_.begin(), subscribers_.end(),
                                 [&](const Subscriber& subscriber) { return subscriber.client == request.client; });
  if (own >= settings_.streams_of_client) {
    return Refused(engine::Problem{"queue-full", "this client has as many event streams open as it may."});
  }
  const auto range = engine_->journal().EventRange();
  if (!range) return Refused(range.error());
  std::string text = "retry: 2000\n\n";
  const bool replays = seen >= range->first - 1 && seen <= last_event_ && last_event_ - seen <= kMostReplayed;
  if (replays) {
    const auto events = engine_->journal().EventsAfter(seen, kMostReplayed);
    if (!events) return Refused(events.error());
    for (const engine::EventRecord& event : *events) {
      // What is committed but not told yet comes by itself.
      if (event.seq > last_event_) break;
      if (wanted.Wants(event.job, event.project)) text += http::FormatEvent(event.type, event.data, event.seq);
    }
  } else {
    if (seen >= 0) text += http::FormatEvent("reset", "{}");
    Json live = Json::array();
    if (!wanted.job.empty()) {
      const auto one = engine_->journal().FindJob(wanted.job);
      if (one && !engine::IsFinal(one->state) && wanted.Wants(one->id, one->project)) live.push_back(JobJson(*one));
    } else {
      for (const char* state : {"running", "cancelling", "queued"}) {
        const auto jobs = engine_->journal().ListJobs({.state = state, .limit = kMostInSnapshot});
        if (!jobs) return Refused(jobs.error());
        for (const engine::JobRecord& record : *jobs) {
          if (wanted.Wants(record.id, record.project)) live.push_back(JobJson(record));
        }
      }
    }
    const Json snapshot = {{"jobs", live}};
    text += http::FormatEvent("snapshot", snapshot.dump(-1, ' ', false, Json::error_handler_t::replace), last_event_);
  }
  if (!response.events->Push(text))
    return http::Problem(503, "too-many", "there is more to tell than a stream may hold.");
  subscribers_.push_back(wanted);
  subscribers_.back().stream = response.events;
  return response;
}

void App::AddEventRoutes(http::Router& router) {
  router.Add({.method = "GET",
              .pattern = "/v1/events",
              .name = "streamEvents",
              .summary = "Events as they happen (text/event-stream); with Last-Event-ID from there on",
              .query = {{"job", "string", "only of that job"},
                        {"project", "string", "only of that project and its jobs"},
                        {"after", "integer", "in place of Last-Event-ID"}},
              .gives = "text/event-stream",
              .statuses = {200, 422, 429},
              .handler = [this](http::Request& request) { return OpenEvents(request); }});
}

}  // namespace timbre::server
