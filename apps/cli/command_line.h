// From the words of the command line to fields, and the help. The one place that knows the parsing library.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace timbre::cli {

// The program was asked for help instead: `text` is it.
struct Parsed {
  bool help = false;
  std::string text;
};

// What an option is where the command line does not give it.
struct OptionDefault {
  std::string key;                  // of the field: KeyOf()
  std::vector<std::string> values;  // as SetField takes them
  std::string where;                // that it was said, for errors: "~/.config/timbre/config.yaml: line 3"
};
// Asked once, when what the command line gives is set. Of two for one option the first is taken.
using OptionDefaults = std::function<Result<std::vector<OptionDefault>>()>;

// What stands for a field's value in the help: "DIR", "wav|flac", "N".
std::string PlaceholderOf(const Field& field);

// The form of a flag that takes it back, where a default has set it: "--no-tags" for "--tags". Not in the help. Empty
// where there is none.
std::string InverseOf(const Field& field);

// Sets `fields` from `words` (without the program's and the command's name). `usage` is "timbre separate". Errors are
// kInvalidArgument: an unknown option (with the nearest one), a missing or bad value, an option without effect. Words
// behind "--" are no options, whatever they look like.
Result<Parsed> ParseCommandLine(const std::string& usage, const std::string& summary, const std::string& examples,
                                const FieldList& fields, std::vector<std::string> words,
                                const OptionDefaults& defaults = {});

}  // namespace timbre::cli
