#include "apps/cli/foreign_options.h"

#include <string_view>

namespace timbre::cli {
namespace {

struct ForeignOption {
  std::string_view command, name, program, here, why;
};

constexpr ForeignOption kForeign[] = {
#define TIMBRE_FOREIGN(command, name, program, here, why) {command, name, program, here, why},
#include "apps/cli/foreign_options.inc"
#undef TIMBRE_FOREIGN
};

}  // namespace

std::string ForeignHint(const std::string& command, const std::string& name) {
  for (const ForeignOption& option : kForeign) {
    if (option.name != name || command != "timbre " + std::string(option.command)) continue;
    const std::string there = "; " + std::string(option.program) + "'s " + name;
    if (!option.here.empty()) return there + " is " + std::string(option.here) + " here.";
    return there + " needs nothing here: " + std::string(option.why) + ".";
  }
  return "";
}

}  // namespace timbre::cli
