// timbre combine: one track's versions by different models, made into one.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeCombineCommand() {
  return MakeJobCommand("combine",
                        "Examples:\n"
                        "  timbre combine a/vocals.wav b/vocals.wav -o vocals.wav\n"
                        "  timbre combine a/vocals.wav b/vocals.wav --weights 2,1 -o vocals.flac\n"
                        "  timbre combine a/vocals.wav b/vocals.wav --algorithm max_fft -o vocals.wav\n");
}

}  // namespace timbre::cli
