// timbre loudness: how loud files are, and the same files as loud as wanted.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeLoudnessCommand() {
  return MakeJobCommand("loudness",
                        "Examples:\n"
                        "  timbre loudness album/\n"
                        "  timbre loudness --json - song.flac\n"
                        "  timbre loudness --normalise -23 -o broadcast programme.wav\n");
}

}  // namespace timbre::cli
