#include "tests/support/places.h"

namespace timbre::testing {

std::string SourceDir() { return TIMBRE_SOURCE_DIR; }
std::string ProgramPath() { return TIMBRE_PROGRAM; }
std::string LiarFolder() { return TIMBRE_LIAR; }
std::string CExamplePath() { return TIMBRE_C_EXAMPLE; }
std::string LadspaPath() { return TIMBRE_LADSPA; }

}  // namespace timbre::testing
