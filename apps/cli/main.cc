// timbre: the program. Finds the command, gives it its options, runs it, writes its report, and says what went wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <new>

#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/command_table.h"
#include "apps/cli/config_file.h"
#include "apps/cli/environment.h"
#include "apps/cli/foreign_options.h"
#include "audio/ffmpeg_process.h"
#include "base/files.h"
#include "base/out_of_memory.h"
#include "base/suggest.h"
#include "base/text.h"
#include "base/version.h"
#include "pipelines/job_json.h"
#include "pipelines/report_file.h"

namespace timbre::cli {
namespace {

// Documented in HACKING.md.
enum ExitCode { kExitOk = 0, kExitFailed = 1, kExitUsage = 2, kExitCancelled = 130 };

ExitCode ExitCodeFor(ErrorCode code) {
  if (code == ErrorCode::kInvalidArgument) return kExitUsage;
  return code == ErrorCode::kCancelled ? kExitCancelled : kExitFailed;
}

ExitCode Complain(const Error& error, const TerminalOptions& options = {}) {
  Terminal(options).Complain(error);
  return ExitCodeFor(error.code);
}

std::string Help() {
  std::string text =
      "timbre runs audio models natively: songs into stems, drums into MIDI, clean speech, songs from words.\n"
      "Usage: timbre COMMAND [OPTIONS] …\n\nCommands:\n";
  for (const CommandRow& row : Commands()) text += fmt::format("  {:<11} {}\n", row.name, row.summary);
  return text +
         "\n'timbre COMMAND --help' shows a command's options; 'timbre --version' the version.\n"
         "Exit codes: 0 done, 1 failed, 2 the command line makes no sense, 130 cancelled.";
}

// Takes the numbers of streams that whoever started the program closed: else a file that is opened later gets one, is
// read as the input, or has messages written into it. Writing there fails as it would have, and there is nothing to
// read.
void HoldClosedStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest number that is free, which is this one.
    if (open("/dev/null", O_RDONLY) < 0) return;
  }
}

// Whether whoever read the standard output has stopped, as `head` does: what is not written then is not wanted.
bool ReaderIsGone() {
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

Status PrintReport(const Report& report) {
  const std::string text = ReportText(report);
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  if (ReaderIsGone()) return {};
  return Fail(ErrorCode::kIo, "the report could not be written to the standard output; is the disk full?");
}

// Whether sound can go to the standard output, and the report to `json`.
Status CheckStandardOutput(const std::string& json) {
  if (isatty(STDOUT_FILENO) != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "--stdout writes sound, and the standard output is a terminal; redirect it to a file or a program.");
  }
  struct stat out = {}, report = {};
  const int mode = fcntl(STDOUT_FILENO, F_GETFL);
  if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY || fstat(STDOUT_FILENO, &out) != 0) {
    return Fail(ErrorCode::kIo, "--stdout: the standard output is closed.");
  }
  const bool same = stat(json.c_str(), &report) == 0 && report.st_dev == out.st_dev && report.st_ino == out.st_ino;
  if (json != "-" && (!same || S_ISCHR(out.st_mode))) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "--json and --stdout would both write to the standard output; give the report a file of its own.");
}

// Whether the report would be written over a file that is read, or that the command writes as well.
Status CheckReportPath(const FieldList& fields, const std::string& json) {
  if (json.empty() || json == "-") return {};
  for (const Field& field : fields) {
    const bool names_file =
        field.placeholder.find("FILE") != std::string::npos || field.placeholder.find("PATH") != std::string::npos;
    if (field.name == "json" || !field.choices.empty() || !(field.positional || names_file)) continue;
    std::vector<std::string> files;
    if (const auto* const list = std::get_if<std::vector<std::string>*>(&field.value)) files = **list;
    if (const auto* const one = std::get_if<std::string*>(&field.value)) files = {**one};
    for (const std::string& file : files) {
      std::error_code missing;
      if (field.positional && std::filesystem::equivalent(file, json, missing)) {
        return Fail(ErrorCode::kInvalidArgument, "the report would be written over the input '" + file + "'");
      }
      if (field.positional || file.empty() || !IsSameFile(file, json)) continue;
      return Fail(ErrorCode::kInvalidArgument,
                  "--json and " + FlagOf(field) + " name the same file; give the report one of its own");
    }
  }
  return {};
}

ExitCode RunCommand(const CommandRow& row, std::vector<std::string> words) {
  const std::unique_ptr<Command> command = row.make();
  FrameOptions frame;
  FieldList fields = command->Fields();
  Append(fields, frame.Fields());
  const auto parsed =
      ParseCommandLine(fmt::format("timbre {}", row.name), row.summary, command->Examples(), fields, std::move(words),
                       [&] { return DefaultsOf(row.name, fields, !frame.no_config); });
  if (!parsed) return Complain(parsed.error());
  if (parsed->help) {
    std::fputs(parsed->text.c_str(), stdout);
    return kExitOk;
  }
  TerminalOptions& terminal_options = frame.terminal;
  const std::string& json = frame.json;
  if (const Status heeded = HeedEnvironment(); !heeded) return Complain(heeded.error());
  if (const Status free = command->TakesStdout() ? CheckStandardOutput(json) : Status(); !free) {
    return Complain(free.error());
  }
  terminal_options.stdout_is_taken = json == "-" || command->TakesStdout();
  terminal_options.only_answers = command->AnswersData();
  if (const Status free = CheckReportPath(fields, json); !free) return Complain(free.error());
  Result<ReportFile> report_file = ReportFile::Open(json == "-" ? "" : json);
  if (!report_file) return Complain(report_file.error(), terminal_options);
  Report report = {{"version", Version()}, {"command", row.name}};
  command->set_reported(!json.empty());
  Status status;
  {
    CatchSignals();
    SetUpFfmpegForProgram();
    Terminal terminal(terminal_options);
    status = command->Run(terminal, report);
  }
  if (!status) {
    report["error"] = {{"kind", ErrorCodeName(status.error().code)}, {"message", status.error().message}};
  }
  if (!status && status.error().code == ErrorCode::kCancelled) return Complain(status.error(), terminal_options);
  const Status written = json == "-" ? PrintReport(report) : report_file->Write(report);
  if (!status) return Complain(status.error(), terminal_options);
  return written ? kExitOk : Complain(written.error(), terminal_options);
}

// What somebody wants whose first word is no command: that of another program, a file or an option before any command,
// or one that is spelt otherwise.
std::string CommandHint(const std::string& word, const std::vector<std::string>& names) {
  if (const std::string command = ForeignCommand(word); !command.empty()) {
    return fmt::format("; what {} does is 'timbre {}' here.", word, command);
  }
  std::error_code error;
  if (word.starts_with('-') || std::filesystem::exists(word, error)) {
    return "; it comes first, as in 'timbre separate song.mp3', 'timbre drums drums.wav' or 'timbre denoise call.wav'.";
  }
  return "." + SuggestionFor(word, names);
}

ExitCode Main(std::vector<std::string> words) {
  if (words.empty()) return Complain({ErrorCode::kInvalidArgument, "a command is missing; see 'timbre --help'."});
  const std::string name = words.front();
  words.erase(words.begin());
  const bool help = name == "--help" || name == "-h" || name == "help";
  const bool version = name == "--version" || name == "version";
  // "help COMMAND" takes one more word, these on their own none.
  const size_t most = name == "help" ? 1 : 0;
  if ((help || version) && words.size() > most) {
    return Complain({ErrorCode::kInvalidArgument, "'" + words[most] + "' is one word too many; see 'timbre --help'."});
  }
  if (name == "help" && !words.empty() && words[0] != "help" && words[0] != "version" && words[0] != "--help") {
    return Main({words.front(), "--help"});
  }
  if (help) {
    std::puts(Help().c_str());
    return kExitOk;
  }
  if (version) {
    std::printf("timbre %s\n", Version());
    return kExitOk;
  }
  std::vector<std::string> names;
  for (const CommandRow& row : Commands()) {
    if (name == row.name) return RunCommand(row, std::move(words));
    names.push_back(row.name);
  }
  names.insert(names.end(), {"help", "version"});
  return Complain({ErrorCode::kInvalidArgument, "there is no command '" + name + "'" + CommandHint(name, names)});
}

// What was asked for and could not be printed is a failure, wherever it was printed.
ExitCode Written(ExitCode code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  if (code != kExitOk || ReaderIsGone()) return code;
  return Complain(
      {ErrorCode::kIo, "what was asked for could not be written to the standard output; is the disk full?"});
}

}  // namespace
}  // namespace timbre::cli

int main(int argc, char** argv) {
#ifdef __GLIBC__
  // Blocks of this size are the system's again once they are freed. glibc raises the bound with each that is, and what
  // a model was read into would stay in the heap, in pieces: 15 MB for HTDemucs from a package of halves.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
  timbre::cli::HoldClosedStreams();
  // Our own code does not throw; what a library threw past its call still ends in one sentence.
  try {
    return timbre::cli::Written(timbre::cli::Main(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "timbre: %s\n", timbre::kOutOfMemoryText);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "timbre: unexpected failure: %s.\n", timbre::PrintableLines(error.what(), ' ').c_str());
  }
  return timbre::cli::kExitFailed;
}
