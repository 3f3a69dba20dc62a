#include "apps/cli/command_table.h"

namespace timbre::cli {

#define TIMBRE_COMMAND(name, maker, summary) std::unique_ptr<Command> maker();
#include "apps/cli/commands.inc"
#undef TIMBRE_COMMAND

namespace {

constexpr CommandRow kCommands[] = {
#define TIMBRE_COMMAND(name, maker, summary) {name, summary, maker},
#include "apps/cli/commands.inc"
#undef TIMBRE_COMMAND
};

}  // namespace

std::span<const CommandRow> Commands() { return kCommands; }

FieldList FrameOptions::Fields() {
  return {{.name = "json", .value = &json, .help = "write a report, '-' for stdout", .placeholder = "FILE|-"},
          ChoiceField<bool>("progress", &terminal.json, {{"text", false}, {"json", true}},
                            "json: a line of JSON on stderr for every event, for programs"),
          {.name = "quiet", .value = &terminal.quiet, .help = "say nothing but what is wrong", .letter = 'q'},
          {.name = "verbose", .value = &terminal.verbose, .help = "say more", .letter = 'v'},
          {.name = "no-config", .value = &no_config, .help = "without the defaults of your configuration"}};
}

}  // namespace timbre::cli
