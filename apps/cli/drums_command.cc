// timbre drums: from a song, a drum track or stems to MIDI.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeDrumsCommand() {
  return MakeJobCommand("drums",
                        "Examples:\n"
                        "  timbre drums --from drums song.mp3 --plot song.png\n"
                        "  timbre drums drumtrack.wav --keep-stems -o midi\n"
                        "  timbre drums --separated stems/ --set stems.hihat.keep.level_db.min=-30\n"
                        "  timbre drums --separated stems/ --learn corrected.mid --learned mine.yaml\n"
                        "  timbre drums --from drums song.mp3 --quantise 1/16 --video song.mp4 --save-hits\n"
                        "  timbre drums --hits drums/song.hits.json --quantise 1/8 --swing 0.6\n");
}

}  // namespace timbre::cli
