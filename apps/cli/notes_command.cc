// timbre notes: falling notes as a video.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeNotesCommand() {
  return MakeJobCommand("notes",
                        "Examples:\n"
                        "  timbre notes drums/song.mid --audio song.mp3 -o song.mp4\n"
                        "  timbre notes song.mid --audio song.mp3 --size 4k --fps 30 --speed 0.75 -o song.webm\n"
                        "  timbre notes song.mid --portrait --count-in 1 -o song.mp4\n"
                        "  timbre notes song.mid --fps 30 -o frames/\n");
}

}  // namespace timbre::cli
