#include "apps/cli/foreign_options.h"

#include <string_view>

namespace timbre::cli {
namespace {

struct ForeignOption {
  std::string_view command, name, program, here, why;
  bool lacking = false;  // nothing does the same
};

constexpr ForeignOption kForeign[] = {
#define TIMBRE_FOREIGN(command, name, program, here, why) {command, name, program, here, why},
#define TIMBRE_FOREIGN_LACKING(command, name, program, why) {command, name, program, "", why, true},
#include "apps/cli/foreign_options.inc"
#undef TIMBRE_FOREIGN
#undef TIMBRE_FOREIGN_LACKING
};

struct ForeignProgram {
  std::string_view name, command;
};
constexpr ForeignProgram kPrograms[] = {
    {"demucs", "separate"},     {"audio-separator", "separate"}, {"spleeter", "separate"}, {"uvr", "separate"},
    {"deep-filter", "denoise"}, {"deepFilter", "denoise"},       {"larsnet", "drums"},
};

}  // namespace

std::string ForeignHint(const std::string& command, const std::string& name) {
  for (const ForeignOption& option : kForeign) {
    if (option.name != name || command != "timbre " + std::string(option.command)) continue;
    const std::string there = std::string(option.program) + "'s " + name;
    if (!option.here.empty()) return there + " is " + std::string(option.here) + " here.";
    return there + (option.lacking ? " has no like here: " : " needs nothing here: ") + std::string(option.why) + ".";
  }
  return "";
}

std::string ForeignCommand(const std::string& program) {
  for (const ForeignProgram& row : kPrograms) {
    if (row.name == program) return std::string(row.command);
  }
  return "";
}

}  // namespace timbre::cli
