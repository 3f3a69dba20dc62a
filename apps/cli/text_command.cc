// timbre text: what a language model writes after a prompt.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeTextCommand() {
  return MakeJobCommand(
      "text",
      "The report (--json) holds the ids, the speed, and how much of the memory's bandwidth that is: a token costs\n"
      "reading all weights once.\n"
      "Examples:\n"
      "  timbre text \"The rain came down on\" --max-tokens 40\n"
      "  timbre text --chat \"Write a verse about the sea\" --seed 7\n"
      "  timbre text -m Qwen3-0.6B/ --chat --system \"You rhyme.\" \"Hello\" --temperature 0.6\n"
      "  timbre text -m model.gguf - --greedy --stop END < prompt.txt\n");
}

}  // namespace timbre::cli
