// From the words of the command line to fields, and the help. The one place that knows the parsing library.
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"

namespace timbre::cli {

// The program was asked for help instead: `text` is it.
struct Parsed {
  bool help = false;
  std::string text;
};

// Sets `fields` from `words` (without the program's and the command's name). `usage` is "timbre separate". Errors are
// kInvalidArgument: an unknown option (with the nearest one), a missing or bad value, an option without effect. Words
// behind "--" are no options, whatever they look like.
Result<Parsed> ParseCommandLine(const std::string& usage, const std::string& summary, const std::string& examples,
                                const FieldList& fields, std::vector<std::string> words);

}  // namespace timbre::cli
