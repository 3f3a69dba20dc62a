// timbre song: a song from words and a style.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeSongCommand() {
  return MakeJobCommand(
      "song",
      "Styles of sound and words are made with MuQ-MuLan, whose weights are for non-commercial use (CC BY-NC 4.0);\n"
      "a ready vector (--style) needs none of them.\n"
      "Examples:\n"
      "  timbre song --lyrics words.txt --style-text \"slow piano ballad, female voice\" --seconds 60\n"
      "  timbre song --lyrics words.txt --style-audio like-this.mp3 --seed 7 -o song.flac\n"
      "  timbre song --tokens case.safetensors --style case.safetensors --noise case.safetensors\n");
}

}  // namespace timbre::cli
