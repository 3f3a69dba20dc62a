// timbre lyrics: words for a song.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeLyricsCommand() {
  return MakeJobCommand(
      "lyrics",
      "What is printed is what 'timbre song --lyrics' takes. Style, mood and tempo are read off the prompt where they "
      "are\n"
      "not given; the same seed gives the same words.\n"
      "Examples:\n"
      "  timbre lyrics \"a lonely lighthouse keeper, slow folk ballad\"\n"
      "  timbre lyrics \"summer rain\" --structure verse,chorus,verse,chorus,outro --seed 7 -o words.txt\n"
      "  timbre lyrics \"summer rain\" | timbre song --lyrics - --style-text \"slow piano ballad\"\n");
}

}  // namespace timbre::cli
