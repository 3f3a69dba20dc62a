#include "pipelines/job.h"

#include <exception>
#include <new>
#include <string>
#include <variant>
#include <vector>

#include "audio/byte_source.h"
#include "base/out_of_memory.h"
#include "base/suggest.h"
#include "base/text.h"
#include "base/version.h"

namespace timbre {

#define TIMBRE_JOB(name, command, function, summary) \
  std::unique_ptr<Job> Make##function();             \
  Json function##ReportSchema();
#include "pipelines/job_kinds.inc"
#undef TIMBRE_JOB

namespace {

constexpr JobKind kKinds[] = {
#define TIMBRE_JOB(name, command, function, summary) {name, command, summary, Make##function, function##ReportSchema},
#include "pipelines/job_kinds.inc"
#undef TIMBRE_JOB
};

// The caller's observer, and the flag that is asked besides.
class Watched final : public Observer {
 public:
  Watched(Observer& observer, const std::atomic<bool>* cancelled) : observer_(observer), cancelled_(cancelled) {}
  void OnProgress(const Progress& progress) override { observer_.OnProgress(progress); }
  void OnEvent(const Event& event) override { observer_.OnEvent(event); }
  bool Cancelled() override {
    return (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) || observer_.Cancelled();
  }

 private:
  Observer& observer_;
  const std::atomic<bool>* cancelled_;
};

Status CheckInputs(Job& job, const JobHost& host) {
  if (host.standard_input) return {};
  const auto refuse = [] {
    return Fail(ErrorCode::kInvalidArgument, "an input is the standard input, which this job may not read.");
  };
  for (const Field& field : job.Fields()) {
    if (!field.positional) continue;
    if (const auto* one = std::get_if<std::string*>(&field.value); one != nullptr && IsStandardInput(**one))
      return refuse();
    if (const auto* list = std::get_if<std::vector<std::string>*>(&field.value); list != nullptr) {
      for (const std::string& input : **list) {
        if (IsStandardInput(input)) return refuse();
      }
    }
  }
  return {};
}

// Our own code does not throw; what a library threw past its call still ends in one sentence.
Status RunCaught(Job& job, const JobHost& host, Observer& observer, Json& report) {
  try {
    return job.Run(host, observer, report);
  } catch (const std::bad_alloc&) {
    return Fail(ErrorCode::kOutOfMemory, kOutOfMemoryText);
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, std::string("unexpected failure: ") + error.what());
  }
}

}  // namespace

std::span<const JobKind> JobKinds() { return kKinds; }

Result<const JobKind*> FindJobKind(std::string_view name) {
  std::vector<std::string> names;
  for (const JobKind& kind : kKinds) {
    if (kind.name == name) return &kind;
    names.emplace_back(kind.name);
  }
  return Fail(ErrorCode::kNotFound, "there is no kind of job '" + Printable(name) + "'." + SuggestionFor(name, names));
}

Status RunJob(const JobKind& kind, Job& job, const JobHost& host, Observer& observer, Json& report) {
  report = {{"version", Version()}, {"command", kind.command}};
  Watched watched(observer, host.cancelled);
  Status status = CheckInputs(job, host);
  if (status && job.Streams() && host.stream < 0) {
    status = Fail(ErrorCode::kInvalidArgument, "'stdout' writes into a stream, and this job has none.");
  }
  if (status) status = RunCaught(job, host, watched, report);
  if (!status) {
    report["error"] = {{"kind", ErrorCodeName(status.error().code)}, {"message", status.error().message}};
  }
  return status;
}

}  // namespace timbre
