// timbre score: how close an estimate is to its reference.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeScoreCommand() {
  return MakeJobCommand("score",
                        "Examples:\n"
                        "  timbre score vocals.wav separated/htdemucs/song/vocals.wav\n"
                        "  timbre score --json - clean.wav denoised.wav\n");
}

}  // namespace timbre::cli
