// Another program, run to its end.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

struct ChildResult {
  int exit_code = 0;   // 128 + the signal's number where one ended it
  std::string output;  // what it wrote to its standard output
};

struct ChildOptions {
  size_t most_output = size_t{1} << 20;  // bytes
  double seconds = 60;
  bool join_errors = false;              // its standard error is output as well; else it is thrown away
  std::vector<std::string> environment;  // "NAME=value", beside this process's own and before them
  // Asked some ten times a second; an error ends the program and is what RunChild returns.
  std::function<Status()> watch;
};

// Runs `command` (a program's name, looked for in PATH, and its arguments; no shell) with `input` as its standard
// input. Errors: kNotFound where there is no such program; kUnsupported where it writes more than it may; kIo where it
// takes too long, or can't be started; what the watch says. Where it fails it is ended first.
Result<ChildResult> RunChild(const std::vector<std::string>& command, std::string_view input,
                             const ChildOptions& options);
Result<ChildResult> RunChild(const std::vector<std::string>& command, std::string_view input, size_t most_output,
                             double seconds);

}  // namespace timbre
