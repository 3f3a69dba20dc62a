// timbre join: several files into one, cross-faded.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeJoinCommand() {
  return MakeJobCommand("join",
                        "Examples:\n"
                        "  timbre join intro.wav verse.flac outro.mp3 --crossfade 2 -o song.flac\n"
                        "  timbre join loop.wav loop.wav loop.wav --crossfade 0.5 --law auto -o long.wav\n"
                        "  timbre join --timeline song.yaml --normalise loudness --loudness -14 -o song.flac\n");
}

}  // namespace timbre::cli
