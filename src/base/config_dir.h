// Where a user writes down what timbre should know.
#pragma once

#include <string>

namespace timbre {

// $XDG_CONFIG_HOME/timbre, or ~/.config/timbre where that is not set (or not absolute). Empty where there is no home.
// Not created.
std::string ConfigDir();

}  // namespace timbre
