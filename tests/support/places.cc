#include "tests/support/places.h"

#include <cstdlib>

namespace timbre::testing {

namespace {

// A bundle of the built tests (tools/make_bundle.py) says where it was unpacked.
std::string Elsewhere(const char* variable, const std::string& usual, const char* below = "") {
  const char* folder = std::getenv(variable);
  return folder != nullptr && *folder != '\0' ? folder + std::string(below) : usual;
}

}  // namespace

std::string SourceDir() { return Elsewhere("TIMBRE_CHECKOUT", TIMBRE_SOURCE_DIR); }
std::string ProgramPath() { return Elsewhere("TIMBRE_BUILT", TIMBRE_PROGRAM, "/timbre"); }
std::string LiarFolder() { return TIMBRE_LIAR; }
std::string CExamplePath() { return TIMBRE_C_EXAMPLE; }
std::string LadspaPath() { return TIMBRE_LADSPA; }

}  // namespace timbre::testing
