// The defaults that a user has written down, for options that the command line does not give:
//
//   separate:
//     model: htdemucs_ft
//     two-stems: vocals
//
// in ~/.config/timbre/config.yaml (ConfigDir()), or in the file that TIMBRE_CONFIG names; and what a --preset stands
// for, which goes before them.
#pragma once

#include <string>

#include "apps/cli/command_line.h"
#include "base/fields.h"

namespace timbre::cli {

// Of a command whose options are `fields`, those that the command line gives already set. Errors (kInvalidArgument)
// begin with the file and the line; only the command's own part is looked at beyond its name. `with_file` is false
// where the user's file is to be left alone.
Result<std::vector<OptionDefault>> DefaultsOf(const std::string& command, const FieldList& fields, bool with_file);

}  // namespace timbre::cli
