// Another program, run to its end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

struct ChildResult {
  int exit_code = 0;   // 128 + the signal's number where one ended it
  std::string output;  // what it wrote to its standard output
};

// Runs `command` (a program's name, looked for in PATH, and its arguments; no shell) with `input` as its standard input
// and its errors thrown away. Errors: kNotFound where there is no such program; kUnsupported where it writes more than
// `most_output` bytes; kIo where it takes longer than `seconds`, or can't be started. Where it fails it is ended first.
Result<ChildResult> RunChild(const std::vector<std::string>& command, std::string_view input, size_t most_output,
                             double seconds);

}  // namespace timbre
