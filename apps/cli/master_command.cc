// timbre master: a job on files, or the list of presets.
#include <fmt/format.h>

#include <algorithm>

#include "apps/cli/job_command.h"
#include "apps/cli/many_files.h"
#include "apps/cli/remote_job.h"
#include "pipelines/studio/mastering_chain.h"

namespace timbre::cli {
namespace {

class MasterCommand final : public Command {
 public:
  MasterCommand() : job_((*FindJobKind("master"))->make()) {}

  FieldList Fields() override {
    FieldList fields = job_->Fields();
    const auto input = std::find_if(fields.begin(), fields.end(), [](const Field& field) { return field.positional; });
    input->required = false;
    inputs_ = std::get<std::vector<std::string>*>(input->value);
    many_.AddTo("master", fields);
    Append(fields, {{.name = "list-presets", .value = &list_, .help = "show the presets, and do nothing else"}});
    return Append(fields, Under("Server", remote_.FieldsOfJob()));
  }

  std::string Examples() const override {
    return "Examples:\n"
           "  timbre master song.wav\n"
           "  timbre master --preset rock_master --loudness -14 --format flac -o release album/\n"
           "  timbre master --chain mine.yaml song.wav\n"
           "  timbre master --list-presets\n";
  }

  bool TakesStdout() const override { return job_->Streams(); }

  Status Run(Terminal& terminal, Report& report) override {
    if (list_) return ListPresets(terminal, report);
    TIMBRE_CHECK(CheckRemote(remote_, many_));
    if (!remote_.server.empty()) return RunJobThere("master", *job_, remote_, terminal, report);
    if (many_.given()) return many_.Run("master", *job_, *this, terminal, report);
    if (inputs_->empty()) return Fail(ErrorCode::kInvalidArgument, "A file, a folder or --list-presets is missing.");
    return RunJobHere("master", *job_, *this, terminal, report);
  }

 private:
  static Status ListPresets(Terminal& terminal, Report& report) {
    report["presets"] = Report::array();
    for (const MasterPreset& preset : MasterPresets()) {
      Report row = {{"name", preset.name}};
      row.update(ChainToJson(preset.chain));
      report["presets"].push_back(std::move(row));
      terminal.Print(fmt::format("{:<20} {}", preset.name, preset.chain.description));
    }
    return {};
  }

  std::unique_ptr<Job> job_;
  std::vector<std::string>* inputs_ = nullptr;  // of the job
  ManyFiles many_;
  RemoteOptions remote_;
  bool list_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeMasterCommand() { return std::make_unique<MasterCommand>(); }

}  // namespace timbre::cli
