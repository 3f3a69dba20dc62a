#include "formats/midi.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::string> Seeds() {
  const std::string track(
      "\x00\xFF\x03\x01x\x00\xFF\x51\x03\x07\xA1\x20\x00\xFF\x58\x04\x04\x02\x18\x08\x00\x99\x24\x64\x60\x24\x00\x10"
      "\xF0\x02\x7E"
      "\xF7\x00\xC9\x01\x00\x89\x26\x00\x00\xFF\x2F\x00",
      43);
  return {std::string("MThd\0\0\0\6\0\1\0\1\3\xC0", 14) + std::string("MTrk\0\0\0\x2B", 8) + track};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Midi, Seeds) {
  const auto song = timbre::ParseMidi({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  if (song) (void)song->NoteSeconds();
}
