#include "apps/cli/many_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli/manifest.h"
#include "apps/server/kinds.h"
#include "pipelines/track_done.h"
#include "pipelines/track_inputs.h"

namespace timbre::cli {
namespace {

// What changes no byte of what comes out, or is said by the manifest's place.
constexpr std::string_view kNoMatter[] = {"output",    "temp",    "device", "threads",       "batch",
                                          "in_flight", "tune",    "strict", "skip_existing", "recursive",
                                          "verify",    "disable", "inject"};

bool Matters(const std::string& key) {
  return std::find(std::begin(kNoMatter), std::end(kNoMatter), key) == std::end(kNoMatter);
}

std::vector<std::string>* InputsOf(const FieldList& fields) {
  for (const Field& field : fields) {
    auto* const* list = std::get_if<std::vector<std::string>*>(&field.value);
    if (field.positional && field.name == "input" && list != nullptr) return *list;
  }
  return nullptr;
}

bool MakesFolder(const FieldList& fields) {
  return std::any_of(fields.begin(), fields.end(),
                     [](const Field& field) { return field.name == "output" && field.placeholder == "DIR"; });
}

bool IsForMany(std::string_view kind, const FieldList& fields) {
  return InputsOf(fields) != nullptr && MakesFolder(fields) && !server::TakesTogether(kind);
}

// Passes all on, and keeps a manifest of each input that is done.
class Keeper final : public Observer {
 public:
  Keeper(Observer& outer, std::string folder, std::string command, Report options)
      : outer_(outer), folder_(std::move(folder)), command_(std::move(command)), options_(std::move(options)) {}
  void OnProgress(const Progress& progress) override { outer_.OnProgress(progress); }
  void OnEvent(const Event& event) override {
    outer_.OnEvent(event);
    if (event.kind != kTrackEvent) return;
    const Status written = WriteManifest(folder_, command_, options_, event.facts);
    if (!written && status_) status_ = written;
  }
  bool Cancelled() override { return outer_.Cancelled(); }
  // The first that could not be written.
  const Status& status() const { return status_; }

 private:
  Observer& outer_;
  const std::string folder_, command_;
  const Report options_;
  Status status_;
};

}  // namespace

std::vector<std::string> ManyFiles::Kinds() {
  std::vector<std::string> kinds;
  for (const JobKind& kind : JobKinds()) {
    if (IsForMany(kind.name, kind.make()->Fields())) kinds.emplace_back(kind.name);
  }
  return kinds;
}

FieldList& ManyFiles::AddTo(std::string_view kind, FieldList& fields) {
  if (!IsForMany(kind, fields)) return fields;
  for (Field& field : fields) {
    if (field.positional) field.required = false;
  }
  return Append(
      fields,
      Under(
          "Many files",
          {{.name = "list",
            .value = &list_,
            .help =
                "more inputs, a path a line; what is done has a manifest and is not done again (docs/many-machines.md)",
            .placeholder = "FILE|-"},
           {.name = "shard",
            .value = &shard_,
            .help = "only the inputs of part I of N, from 0 on, by a digest of their paths",
            .placeholder = "I/N"}}));
}

Status ManyFiles::Run(std::string_view kind, Job& job, const Command& asked, Terminal& terminal, Report& report) {
  const FieldList fields = job.Fields();
  std::vector<std::string>& inputs = *InputsOf(fields);
  const Report given = FieldsToJson(fields);
  if (job.Streams()) return Fail(ErrorCode::kInvalidArgument, "--stdout does not go with --list and --shard.");
  if (given.value("recursive", false)) {
    return Fail(ErrorCode::kInvalidArgument, "--recursive does not go with --list and --shard; list the files.");
  }
  TIMBRE_TRY(const Shard shard, ParseShard(shard_));
  const std::string folder = given.value("output", "");
  std::vector<std::string> all;
  if (!inputs.empty()) {
    TIMBRE_TRY(const std::vector<TrackInput> named, ExpandInputs(inputs, false, folder));
    for (const TrackInput& input : named) {
      if (shard.Has(input.path)) all.push_back(input.path);
    }
  }
  if (!list_.empty()) {
    TIMBRE_TRY(const std::vector<std::string> listed, ReadPathList(list_, shard));
    all.insert(all.end(), listed.begin(), listed.end());
  }
  Report options = Report::object();
  for (const auto& [key, value] : given.items()) {
    // A dry run asks what the run that it is of would leave alone.
    if (key != "input" && Matters(key)) options[key] = key == "dry_run" ? Report(false) : value;
  }
  inputs.clear();
  size_t unreadable = 0;
  for (const std::string& path : all) {
    if (CheckManifest(folder, std::string(kind), path, options, false) == Finished::kYes) continue;
    // One that is not there must not keep the others from being worked on.
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      terminal.Warn(fmt::format("'{}' does not exist.", path));
      ++unreadable;
    } else {
      inputs.push_back(path);
    }
  }
  const size_t done = all.size() - inputs.size() - unreadable;
  terminal.Say(fmt::format("{} of {} inputs are done already, {} are to do", done, all.size(), inputs.size()));
  Status status;
  if (inputs.empty()) {
    report["tracks"] = Report::array();
  } else {
    TIMBRE_TRY(const JobKind* const row, FindJobKind(kind));
    const JobHost host{.cancelled = &CancelFlag(), .alone = true, .reported = asked.reported()};
    Keeper keeper(terminal, folder, std::string(kind), options);
    status = RunJob(*row, job, host, keeper, report);
    if (status) status = keeper.status();
  }
  if (!status || unreadable == 0) return status;
  return Fail(ErrorCode::kNotFound,
              fmt::format("{} of {} inputs do not exist; the warnings name them.", unreadable, all.size()));
}

}  // namespace timbre::cli
