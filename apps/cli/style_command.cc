// timbre style: how alike clips are, and the same clips nearer to one another.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeStyleCommand() {
  return MakeJobCommand("style",
                        "Examples:\n"
                        "  timbre style intro.wav verse.wav chorus.wav\n"
                        "  timbre style --match both -o even clips/\n"
                        "  timbre style clips/ --vector clips.safetensors --style-text \"slow piano ballad\"\n"
                        "  timbre style --prompt \"slow jazz ballad, no drums\"\n"
                        "  timbre song --lyrics words.txt --style clips.safetensors\n");
}

}  // namespace timbre::cli
