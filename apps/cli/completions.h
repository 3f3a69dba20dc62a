// What a shell completes, made from the options that the commands have.
#pragma once

#include <string>

namespace timbre::cli {

// Scripts: for ~/.local/share/bash-completion/completions/timbre, for _timbre in a folder of zsh's $fpath, for
// ~/.config/fish/completions/timbre.fish.
std::string BashCompletions();
std::string ZshCompletions();
std::string FishCompletions();

}  // namespace timbre::cli
