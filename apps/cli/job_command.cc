#include "apps/cli/job_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "apps/cli/many_files.h"
#include "apps/cli/remote_job.h"
#include "apps/server/kinds.h"
#include "pipelines/job_presets.h"

namespace timbre::cli {
namespace {

// Whether a server takes it.
bool IsServed(std::string_view kind) {
  const std::vector<const JobKind*> served = server::ServedKinds();
  return std::any_of(served.begin(), served.end(), [&](const JobKind* one) { return one->name == kind; });
}

class JobCommand final : public Command {
 public:
  JobCommand(std::string_view kind, std::string examples) : kind_(kind), examples_(std::move(examples)) {
    if (const auto found = FindJobKind(kind)) job_ = (*found)->make();
  }
  FieldList Fields() override {
    FieldList fields = job_->Fields();
    many_.AddTo(kind_, fields);
    if (TakesPresets(kind_)) {
      fields.push_back({.name = "list-presets",
                        .value = &list_presets_,
                        .help = "show the presets, and do nothing else",
                        .heading = "Model"});
    }
    return IsServed(kind_) ? Append(fields, Under("Server", remote_.FieldsOfJob())) : fields;
  }
  std::string Examples() const override { return examples_; }
  bool TakesStdout() const override { return job_->Streams(); }
  bool AnswersData() const override { return job_->AnswersData(); }
  Status Run(Terminal& terminal, Report& report) override {
    if (list_presets_) return ListPresets(terminal, report);
    TIMBRE_CHECK(CheckRemote(remote_, many_));
    if (!remote_.server.empty()) return RunJobThere(kind_, *job_, remote_, terminal, report);
    if (many_.given()) return many_.Run(kind_, *job_, *this, terminal, report);
    // What the frame would say, had a list not been able to take its place.
    for (const Field& field : job_->Fields()) {
      const auto* const* inputs = std::get_if<std::vector<std::string>*>(&field.value);
      if (!field.positional || !field.required || inputs == nullptr || !(**inputs).empty()) continue;
      return Fail(ErrorCode::kInvalidArgument, FlagOf(field) + " is missing; see 'timbre " + kind_ + " --help'.");
    }
    return RunJobHere(kind_, *job_, *this, terminal, report);
  }

 private:
  Status ListPresets(Terminal& terminal, Report& report) const {
    TIMBRE_TRY(const std::vector<JobPreset> presets, JobPresets(kind_));
    report["presets"] = Report::array();
    for (const JobPreset& preset : presets) {
      report["presets"].push_back({{"name", preset.name},
                                   {"description", preset.description},
                                   {"options", preset.options},
                                   {"file", preset.file.empty() ? Report() : Report(preset.file)}});
      terminal.Print(fmt::format("{:<22} {}", preset.name, preset.description));
      std::string options;
      for (const auto& [key, value] : preset.options.items()) {
        std::string name = key;
        std::replace(name.begin(), name.end(), '_', '-');
        const std::string text = value.is_array()
                                     ? fmt::format("{}", fmt::join(value.get<std::vector<std::string>>(), ","))
                                 : value.is_string() ? value.get<std::string>()
                                                     : value.dump();
        options += fmt::format(" --{} {}", name, text);
      }
      terminal.Print("   " + options);
    }
    return {};
  }

  const std::string kind_, examples_;
  std::unique_ptr<Job> job_;
  ManyFiles many_;
  RemoteOptions remote_;
  bool list_presets_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeJobCommand(std::string_view kind, std::string examples) {
  return std::make_unique<JobCommand>(kind, std::move(examples));
}

Status RunJobHere(std::string_view kind, Job& job, const Command& asked, Terminal& terminal, Report& report,
                  bool standard_input) {
  TIMBRE_TRY(const JobKind* const row, FindJobKind(kind));
  const JobHost host{.cancelled = &CancelFlag(),
                     .stream = STDOUT_FILENO,
                     .standard_input = standard_input,
                     .alone = true,
                     .reported = asked.reported()};
  return RunJob(*row, job, host, terminal, report);
}

}  // namespace timbre::cli
