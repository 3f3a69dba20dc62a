// Where the checkout and what was built from it lie. Compiled into one file alone, so that checkouts in several folders
// share what a compiler cache holds of all the others.
#pragma once

#include <string>

namespace timbre::testing {

std::string SourceDir();     // the checkout
std::string ProgramPath();   // the program
std::string LiarFolder();    // of the Vulkan layer that lies
std::string CExamplePath();  // tests/capi/example.c, built
std::string LadspaPath();    // the LADSPA plugin

}  // namespace timbre::testing
