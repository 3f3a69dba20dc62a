#include "apps/server/worker.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/event.h"
#include "base/start_thread.h"
#include "engine/worker_process.h"
#include "pipelines/job_json.h"
#include "pipelines/kept_models.h"
#include "runtime/device/device_report.h"

namespace timbre::server {
namespace {

using Clock = std::chrono::steady_clock;

// The socket, to which several threads write whole lines.
class Line {
 public:
  void Say(const Json& message) {
    const std::string line = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    const std::lock_guard lock(mutex_);
    for (size_t sent = 0; sent < line.size();) {
      const ssize_t n = send(STDIN_FILENO, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;  // the reading side notices
      sent += static_cast<size_t>(n);
    }
  }

 private:
  std::mutex mutex_;
};

class Teller final : public Observer {
 public:
  Teller(Line& line, const std::atomic<bool>& cancelled) : line_(line), cancelled_(cancelled) {}
  void OnProgress(const Progress& progress) override {
    constexpr auto kEvery = std::chrono::milliseconds(100);
    const bool last = progress.total > 0 && progress.done >= progress.total;
    if (progress.stage.name() == stage_ && !last && Clock::now() - told_ < kEvery) return;
    told_ = Clock::now();
    stage_ = progress.stage.name();
    line_.Say({{"progress", {{"stage", stage_}, {"done", progress.done}, {"total", progress.total}}}});
  }
  void OnEvent(const Event& event) override {
    line_.Say({{"event", {{"kind", event.kind}, {"text", event.text}, {"facts", event.facts}}}});
  }
  bool Cancelled() override { return cancelled_.load(std::memory_order_relaxed); }

 private:
  Line& line_;
  const std::atomic<bool>& cancelled_;
  std::string_view stage_;
  Clock::time_point told_;
};

void Do(const Json& order, Line& line, const std::atomic<bool>& cancelled, KeptModels& models) {
  Json report = Json::object();
  Status done;
  models.BeginJob();
  if (auto parsed = JobFromJson(order); !parsed) {
    done = tl::unexpected<Error>(parsed.error());
  } else {
    Teller teller(line, cancelled);
    const JobHost host{.cancelled = &cancelled, .models = &models};
    done = RunJob(*parsed->kind, *parsed->job, host, teller, report);
  }
  Json end = {{"state", "succeeded"}};
  if (!done && done.error().code == ErrorCode::kCancelled) {
    end["state"] = "cancelled";
  } else if (!done) {
    end["state"] = "failed";
    // The name of the code as a part of an address: "not-found".
    std::string type(ErrorCodeName(done.error().code));
    std::replace_if(
        type.begin(), type.end(), [](char c) { return c < 'a' || c > 'z'; }, '-');
    end["error"] = {{"type", "/problems/" + type}, {"detail", done.error().message}};
  }
  end["models"] = {{"loaded", models.loaded()}, {"reused", models.reused()}};
  end["report"] = std::move(report);
  line.Say({{"end", std::move(end)}});
}

Status Confine(const WorkerLimits& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  umask(077);
  // One that does not heed a cancel is meant to end by these.
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  const auto limit = [](auto resource, int64_t bytes) {
    const rlimit both{static_cast<rlim_t>(bytes), static_cast<rlim_t>(bytes)};
    return bytes <= 0 || setrlimit(resource, &both) == 0;
  };
  if (limit(RLIMIT_AS, limits.memory_bytes) && limit(RLIMIT_FSIZE, limits.file_bytes) && limit(RLIMIT_CORE, 1))
    return {};
  return Fail(ErrorCode::kIo, "the worker's limits can't be set.");
}

}  // namespace

Status RunWorker(const WorkerLimits& limits) {
  struct stat info = {};
  if (fstat(STDIN_FILENO, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "a worker is started by 'timbre serve', over a socket.");
  }
  TIMBRE_CHECK(Confine(limits));
  Line line;
  engine::LineBuffer lines;
  std::atomic<bool> cancelled{false};
  KeptModels models;  // of the thread that runs a job, one after the other
  std::thread job;
  for (;;) {
    char buffer[65536];
    const ssize_t n = recv(STDIN_FILENO, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;
    // The server is gone, and with it everybody who wants to know.
    if (n <= 0) std::_Exit(0);
    if (!lines.Add({buffer, static_cast<size_t>(n)})) return Fail(ErrorCode::kCorrupt, "the server says too much.");
    while (const auto text = lines.Next()) {
      const Json message = Json::parse(*text, nullptr, false);
      if (!message.is_object()) return Fail(ErrorCode::kCorrupt, "the server says what is no JSON object.");
      if (message.contains("cancel")) cancelled = true;
      if (message.contains("survey")) {
        auto devices = DevicesReport();
        line.Say({{"survey", devices ? *std::move(devices) : Json{{"vulkan", devices.error().message}}}});
      }
      const auto run = message.find("run");
      if (run == message.end()) continue;
      if (job.joinable()) job.join();  // it has said its last word
      cancelled = false;
      TIMBRE_TRY(job, StartThread([order = *run, &line, &cancelled, &models] { Do(order, line, cancelled, models); }));
    }
  }
}

}  // namespace timbre::server
