// All commands, and what each of them takes besides its own options.
#pragma once

#include <span>
#include <string>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"

namespace timbre::cli {

std::span<const CommandRow> Commands();

// The options that every command has.
struct FrameOptions {
  TerminalOptions terminal;
  std::string json;        // where the report goes; "-": to the standard output
  bool no_config = false;  // leave the defaults alone that the user has written down
  FieldList Fields();
};

}  // namespace timbre::cli
