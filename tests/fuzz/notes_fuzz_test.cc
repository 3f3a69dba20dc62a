#include "pipelines/studio/notes_scene.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  return {
      "lanes:\n  - {name: Snare, colour: \"#D55E00\", notes: [{note: 38, name: snare, shape: box}, {note: 37, shape: "
      "diamond}]}\n",
      std::string("MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x99\x24\x40\x60\x89\x24\0\0\xff\x2f\0", 34)};
}

}  // namespace

// The same bytes as a table of lanes, and as a song.
TIMBRE_FUZZ_TARGET(NotesScene, Seeds, 2000) {
  (void)timbre::ParseNoteLanes(bytes, "fuzz.yaml");
  const auto song = timbre::ParseMidi(std::as_bytes(std::span(bytes)));
  if (song) (void)timbre::MakeNotesScene(*song, timbre::DefaultNoteLanes());
}
