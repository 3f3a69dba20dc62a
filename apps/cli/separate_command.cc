// timbre separate: tracks into stems.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeSeparateCommand() {
  return MakeJobCommand("separate",
                        "Examples:\n"
                        "  timbre separate song.mp3\n"
                        "  timbre separate --two-stems vocals --format flac -o karaoke album/\n"
                        "  timbre separate --model hpss song.mp3        (needs no download)\n"
                        "  ffmpeg -i film.mkv -f wav - | timbre separate --stdout vocals - | ffplay -i -\n");
}

}  // namespace timbre::cli
