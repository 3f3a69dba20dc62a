// timbre audit: which inputs of a list have been done, by their manifests alone.
#include <fmt/format.h>

#include "apps/cli/command.h"
#include "apps/cli/manifest.h"
#include "apps/cli/many_files.h"
#include "apps/cli/terminal.h"

namespace timbre::cli {
namespace {

class AuditCommand final : public Command {
 public:
  FieldList Fields() override {
    return {{.name = "list",
             .value = &list_,
             .help = "the list that was worked on, a path a line, - for the standard input",
             .positional = true,
             .required = true},
            {.name = "command", .value = &command_, .help = "that worked on it", .choices = ManyFiles::Kinds()},
            {.name = "output",
             .value = &output_,
             .help = "where that wrote its files",
             .placeholder = "DIR",
             .letter = 'o'},
            {.name = "shard", .value = &shard_, .help = "only the inputs of part I of N", .placeholder = "I/N"},
            {.name = "whole", .value = &whole_, .help = "read every output, and compare its digest"}};
  }

  std::string Examples() const override {
    return "Prints the inputs that are not done, so that they can be worked on:\n"
           "  timbre audit songs.txt -o stems\n"
           "  timbre audit songs.txt -o stems | timbre separate --list - -o stems\n";
  }

  bool AnswersData() const override { return true; }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(const Shard shard, ParseShard(shard_));
    TIMBRE_TRY(const std::vector<std::string> paths, ReadPathList(list_, shard));
    size_t finished = 0;
    Report missing = Report::array();
    for (const std::string& path : paths) {
      if (terminal.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
      const Finished state = CheckManifest(output_, command_, path, nullptr, whole_);
      if (state == Finished::kYes) {
        ++finished;
        continue;
      }
      const char* const why = state == Finished::kMissing ? "not done"
                              : state == Finished::kStale ? "the input has changed"
                                                          : "an output is gone, or not what it was";
      terminal.Print(path);
      terminal.Detail(path + ": " + why);
      missing.push_back({{"input", path}, {"why", why}});
    }
    const size_t left = missing.size();
    report["inputs"] = paths.size();
    report["finished"] = finished;
    report["missing"] = std::move(missing);
    if (left > 0) return Fail(ErrorCode::kNotFound, fmt::format("{} of {} inputs are not done.", left, paths.size()));
    terminal.Say(fmt::format("all {} inputs are done", paths.size()));
    return {};
  }

 private:
  std::string list_, command_ = "separate", output_ = "separated", shard_;
  bool whole_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeAuditCommand() { return std::make_unique<AuditCommand>(); }

}  // namespace timbre::cli
