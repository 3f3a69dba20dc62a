// Commands that run a job: what they take is its fields, what they report its report.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "apps/cli/command.h"
#include "pipelines/job.h"

namespace timbre::cli {

// `kind` is the name of a kind of job; `examples` are lines for the end of the help.
std::unique_ptr<Command> MakeJobCommand(std::string_view kind, std::string examples);

// Runs a job in this process: its words and its progress go to the terminal, its sound to the standard output, and
// Ctrl-C ends it. `asked` is the command that asks for it.
Status RunJobHere(std::string_view kind, Job& job, const Command& asked, Terminal& terminal, Report& report,
                  bool standard_input = true);

}  // namespace timbre::cli
