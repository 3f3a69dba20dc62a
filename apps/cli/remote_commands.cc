// Clients of `timbre serve`: submit, jobs, watch, cancel, fetch.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "apps/cli/command.h"
#include "apps/cli/remote.h"
#include "base/text.h"
#include "engine/ids.h"
#include "http/message.h"
#include "pipelines/job_json.h"

namespace timbre::cli {
namespace {

std::string TextOf(const Report& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

class SubmitCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "job",
                         .value = &job_,
                         .help = "a file with a job, as 'timbre run' takes it",
                         .positional = true,
                         .required = true},
                        {.name = "priority",
                         .value = &priority_,
                         .help = "before or behind others",
                         .choices = {"low", "normal", "high"}}};
    return Append(fields, remote_.Fields());
  }
  std::string Examples() const override {
    return "The inputs are files of this machine, which are sent along. Prints the job's id.\n"
           "Example:\n"
           "  timbre watch $(timbre submit job.json)\n";
  }
  Status Run(Terminal& terminal, Report& report) override {
    std::ifstream file(job_, std::ios::binary);
    std::string text(kLongestJob + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    if (!file.eof() || text.empty()) {
      return Fail(ErrorCode::kNotFound, "the job '" + Printable(job_) + "' can't be read, or is none.");
    }
    // What makes no sense here makes none there.
    TIMBRE_TRY([[maybe_unused]] const ParsedJob parsed, ParseJob(text));
    Report job = Report::parse(text, nullptr, false);
    TIMBRE_TRY(Remote remote, Remote::Open(remote_, terminal));
    for (auto& input : job["inputs"]) {
      TIMBRE_TRY(input, remote.Upload(input.get<std::string>()));
    }
    job["priority"] = priority_;
    if (auto& options = job["options"]; options.is_null()) {
      options = Report::object();
    } else if (options.erase("output") > 0) {
      terminal.Warn("'output' is not the server's to know; 'timbre fetch --output' says where the files go");
    }
    // A request whose answer is lost is not a second job.
    TIMBRE_TRY(const Report made, remote.Ask("POST", "/v1/jobs", job, "Idempotency-Key: " + engine::NewId()));
    report["job"] = made;
    terminal.Print(TextOf(made, "id"));
    return {};
  }

 private:
  std::string job_, priority_ = "normal";
  RemoteOptions remote_;
};

class JobsCommand final : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "state",
                         .value = &state_,
                         .help = "only of that state",
                         .choices = {"", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"}},
                        {.name = "limit", .value = &limit_, .help = "the newest so many", .min = 1, .max = 100}};
    return Append(fields, remote_.Fields());
  }
  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(Remote remote, Remote::Open(remote_, terminal));
    TIMBRE_TRY(const Report jobs, remote.Ask("GET", fmt::format("/v1/jobs?limit={}&state={}", limit_, state_)));
    report["jobs"] = jobs.value("jobs", Report::array());
    for (const Report& job : report["jobs"]) {
      std::string inputs;
      for (const Report& input : job.value("inputs", Report::array())) inputs += " " + TextOf(input, "name");
      terminal.Print(fmt::format("{}  {:<10} {:>4.0f} %  {}{}", TextOf(job, "id"), TextOf(job, "state"),
                                 job.value("progress", 0.0) * 100, TextOf(job, "kind"), inputs));
    }
    return {};
  }

 private:
  std::string state_;
  int limit_ = 20;
  RemoteOptions remote_;
};

// What each of several jobs gets done.
class EachJobCommand : public Command {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "job",
                         .value = &ids_,
                         .help = "ids of jobs",
                         .placeholder = "ID",
                         .positional = true,
                         .required = true}};
    Append(fields, More());
    return Append(fields, remote_.Fields());
  }
  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(Remote remote, Remote::Open(remote_, terminal));
    report["jobs"] = Report::array();
    for (const std::string& id : ids_) {
      if (!engine::IsId(id)) return Fail(ErrorCode::kInvalidArgument, "'" + Printable(id) + "' is no id of a job.");
      TIMBRE_CHECK(Do(remote, id, terminal, report["jobs"]));
    }
    return {};
  }

 protected:
  virtual FieldList More() { return {}; }
  virtual Status Do(Remote& remote, const std::string& id, Terminal& terminal, Report& jobs) = 0;

 private:
  std::vector<std::string> ids_;
  RemoteOptions remote_;
};

class WatchCommand final : public EachJobCommand {
  Status Do(Remote& remote, const std::string& id, Terminal& terminal, Report& jobs) override {
    terminal.BeginProgress("running", id.substr(0, 8));
    const Result<Report> ended = remote.Wait(id);
    terminal.EndProgress();
    if (!ended) return tl::unexpected<Error>(ended.error());
    jobs.push_back(*ended);
    terminal.Print(id + " " + TextOf(*ended, "state"));
    if (TextOf(*ended, "state") == "succeeded") return {};
    const Report error = ended->value("error", Report());
    return Fail(ErrorCode::kIo,
                "the job " + TextOf(*ended, "state") + (error.is_object() ? ": " + TextOf(error, "detail") : ""));
  }
};

class CancelCommand final : public EachJobCommand {
  Status Do(Remote& remote, const std::string& id, Terminal& terminal, Report& jobs) override {
    TIMBRE_TRY(Report job, remote.Ask("POST", "/v1/jobs/" + id + "/cancel", Report::object()));
    terminal.Print(id + " " + TextOf(job, "state"));
    jobs.push_back(std::move(job));
    return {};
  }
};

class FetchCommand final : public EachJobCommand {
  FieldList More() override {
    return {{.name = "output", .value = &folder_, .help = "where the files go", .placeholder = "DIR", .letter = 'o'}};
  }
  Status Do(Remote& remote, const std::string& id, Terminal& terminal, Report& jobs) override {
    TIMBRE_TRY(const Report job, remote.Ask("GET", "/v1/jobs/" + id));
    TIMBRE_TRY(const std::vector<std::string> paths, remote.Fetch(job, folder_));
    jobs.push_back({{"id", id}, {"files", paths}});
    for (const std::string& path : paths) terminal.Print(path);
    return {};
  }
  std::string folder_ = ".";
};

}  // namespace

std::unique_ptr<Command> MakeSubmitCommand() { return std::make_unique<SubmitCommand>(); }
std::unique_ptr<Command> MakeJobsCommand() { return std::make_unique<JobsCommand>(); }
std::unique_ptr<Command> MakeWatchCommand() { return std::make_unique<WatchCommand>(); }
std::unique_ptr<Command> MakeCancelCommand() { return std::make_unique<CancelCommand>(); }
std::unique_ptr<Command> MakeFetchCommand() { return std::make_unique<FetchCommand>(); }

}  // namespace timbre::cli
