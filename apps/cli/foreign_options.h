// Options and names of other programs that do the same work: whoever comes from there gives them, and is told timbre's
// own.
#pragma once

#include <string>

namespace timbre::cli {

// "demucs's --mp3 is --format mp3 here.", or nothing. command: "timbre separate".
std::string ForeignHint(const std::string& command, const std::string& name);

// The command that does what the program of this name does, or nothing: "separate" for "demucs".
std::string ForeignCommand(const std::string& program);

}  // namespace timbre::cli
