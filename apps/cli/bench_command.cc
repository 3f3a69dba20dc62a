// timbre bench: how fast a network or the kernels are here, against what the processor could do.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeBenchCommand() {
  return MakeJobCommand(
      "bench",
      "The real-time factor is seconds of computing for a second of a track, overlap of the tiles included.\n"
      "Examples:\n"
      "  timbre bench htdemucs --json -\n"
      "  timbre bench htdemucs --profile --plot roofline.svg\n"
      "  timbre bench kernels --only conv\n"
      "  timbre bench transfers --device vulkan\n");
}

}  // namespace timbre::cli
