// A command of the program: its options and what it does. Adding one is a file with a Make… function and a row of
// commands.inc.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/cli/terminal.h"
#include "base/fields.h"
#include "base/result.h"

namespace timbre::cli {

// What `--json` writes: commands add to it; the frame adds "version", "command" and, where one fails, "error".
using Report = nlohmann::ordered_json;

class Command {
 public:
  virtual ~Command() = default;
  // Bound to the command's own members. --quiet, --verbose, --json and --help are added by the frame.
  virtual FieldList Fields() = 0;
  // Lines for the end of the help: examples.
  virtual std::string Examples() const { return ""; }
  // Whether the options have what it makes written to the standard output, which words then keep away from.
  virtual bool TakesStdout() const { return false; }
  // Whether the standard output gets its answer alone, for a pipe: all other words go to stderr.
  virtual bool AnswersData() const { return false; }
  // Whether `--json` was given: what is measured for the report alone need not be measured otherwise. Set by the frame.
  bool reported() const { return reported_; }
  void set_reported(bool reported) { reported_ = reported; }
  // The options are set and each is valid in itself. An error's message becomes the one line on stderr.
  virtual Status Run(Terminal& terminal, Report& report) = 0;

 private:
  bool reported_ = false;
};

struct CommandRow {
  const char* name;
  const char* summary;
  std::unique_ptr<Command> (*make)();
};

}  // namespace timbre::cli
