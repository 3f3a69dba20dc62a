// Options of other programs that do the same work: whoever comes from there gives them, and is told timbre's own.
#pragma once

#include <string>

namespace timbre::cli {

// "; demucs's --mp3 is --format mp3 here.", or nothing. command: "timbre separate".
std::string ForeignHint(const std::string& command, const std::string& name);

}  // namespace timbre::cli
