// timbre run: a job that is described by a file, and the descriptions of what that may say.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <optional>

#include "apps/cli/job_command.h"
#include "audio/byte_source.h"
#include "base/text.h"
#include "pipelines/job_json.h"

namespace timbre::cli {
namespace {

// Of at most kLongestJob bytes; one more says that there are too many.
Result<std::string> ReadText(const std::string& path) {
  FILE* const file = IsStandardInput(path) ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return Fail(ErrorCode::kNotFound, "the job '" + Printable(path) + "' cannot be read; is there such a file?");
  }
  std::string text(kLongestJob + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const bool failed = std::ferror(file) != 0;
  if (file != stdin) std::fclose(file);
  if (failed) return Fail(ErrorCode::kIo, "the job '" + Printable(path) + "' cannot be read.");
  return text;
}

class RunCommand final : public Command {
 public:
  FieldList Fields() override {
    return {{.name = "job",
             .value = &job_,
             .help = "a file with a job, - for the standard input; with --schema a kind of job",
             .positional = true},
            {.name = "schema",
             .value = &schema_,
             .help = "print what a job and its report may hold, as JSON Schemas, of one kind or of all"}};
  }

  std::string Examples() const override {
    return "A job is what a command does, as a file: its inputs are the command's, its options have the names of the\n"
           "command's with '_' for '-'.\n"
           "Examples:\n"
           "  echo '{\"kind\": \"separate\", \"inputs\": [\"song.mp3\"], \"options\": {\"model\": \"hpss\"}}' |\n"
           "    timbre run --progress json -\n"
           "  timbre run --schema separate\n";
  }

  bool TakesStdout() const override {
    // What the job says is read once it is known where the words go.
    const Job* const job = ParsedJobOrNone();
    return job != nullptr && job->Streams();
  }

  bool AnswersData() const override {
    const Job* const job = ParsedJobOrNone();
    return job != nullptr && job->AnswersData();
  }

  Status Run(Terminal& terminal, Report& report) override {
    if (schema_) return PrintSchemas(terminal);
    if (job_.empty()) return Fail(ErrorCode::kInvalidArgument, "JOB is missing; see 'timbre run --help'.");
    if (Status good = Parse(); !good) return good;
    return RunJobHere((*parsed_)->kind->name, *(*parsed_)->job, *this, terminal, report, !IsStandardInput(job_));
  }

 private:
  // None where there is nothing to parse, or it is no job.
  const Job* ParsedJobOrNone() const { return Parse() && parsed_ ? (*parsed_)->job.get() : nullptr; }

  // Once: the standard input can be read no second time.
  Status Parse() const {
    if (!parsed_ && !schema_ && !job_.empty()) {
      const Result<std::string> text = ReadText(job_);
      parsed_ = text ? ParseJob(*text) : Result<ParsedJob>(tl::unexpected<Error>(text.error()));
    }
    if (parsed_ && !*parsed_) return tl::unexpected<Error>(parsed_->error());
    return {};
  }

  Status PrintSchemas(Terminal& terminal) const {
    Json schemas = AllSchemas();
    if (!job_.empty()) {
      TIMBRE_TRY(const JobKind* const kind, FindJobKind(job_));
      schemas = Json(schemas[std::string(kind->name)]);
    }
    terminal.Print(schemas.dump(2));
    return {};
  }

  std::string job_;
  bool schema_ = false;
  mutable std::optional<Result<ParsedJob>> parsed_;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand() { return std::make_unique<RunCommand>(); }

}  // namespace timbre::cli
