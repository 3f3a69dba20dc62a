#include "formats/midi.h"

#include <smf.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>

#include "base/atomic_file.h"
#include "base/mapped_file.h"

namespace timbre {
namespace {

constexpr int64_t kLastTick = 0x0FFFFFFF;  // what four bytes of seven bits hold
constexpr int kSlowest = 0xFFFFFF;         // microseconds per beat, three bytes
constexpr size_t kLargestFile = 8 << 20;
constexpr int kDefaultTempo = 500000;

tl::unexpected<Error> Corrupt(const char* what) {
  return Fail(ErrorCode::kCorrupt, std::string("It is no valid MIDI file: ") + what + ".");
}

// Reads big-endian numbers from a run of bytes; past its end `good` turns false and everything reads as 0.
struct Reader {
  std::span<const std::byte> bytes;
  size_t at = 0;
  bool good = true;

  bool Done() const { return at >= bytes.size(); }
  int Peek() const { return Done() ? 0 : std::to_integer<int>(bytes[at]); }
  int Byte() {
    if (Done()) {
      good = false;
      return 0;
    }
    return std::to_integer<int>(bytes[at++]);
  }
  int64_t Number(int count) {
    int64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | Byte();
    return value;
  }
  int64_t Variable() {
    int64_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const int byte = Byte();
      value = value << 7 | (byte & 0x7F);
      if ((byte & 0x80) == 0) return value;
    }
    good = false;
    return 0;
  }
  Reader Take(int64_t size) {
    const size_t left = bytes.size() - at;
    if (size < 0 || static_cast<size_t>(size) > left) {
      good = false;
      size = static_cast<int64_t>(left);
    }
    Reader part{bytes.subspan(at, static_cast<size_t>(size))};
    at += static_cast<size_t>(size);
    return part;
  }
};

Status ReadTrack(Reader track, MidiSong& song) {
  int64_t tick = 0;
  int status = 0;
  std::array<std::vector<size_t>, 16 * 128> sounding;  // indices into song.notes, by channel and note
  while (!track.Done()) {
    tick += track.Variable();
    if (tick > kLastTick) return Corrupt("a track is longer than MIDI can be");
    const int first = track.Peek();
    if (first == 0xFF) {
      track.Byte();
      const int type = track.Byte();
      Reader data = track.Take(track.Variable());
      if (!track.good) break;
      if (type == 0x2F) break;
      if (type == 0x51 && data.bytes.size() == 3) {
        song.tempi.push_back({tick, std::max(1, static_cast<int>(data.Number(3)))});
      } else if (type == 0x58 && data.bytes.size() >= 2) {
        const int beats = data.Byte(), power = data.Byte();
        if (power <= 7 && beats > 0) song.metres.push_back({tick, beats, 1 << power});
      } else if (type == 0x03 && song.track_name.empty()) {
        song.track_name.assign(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
      }
      continue;
    }
    if (first == 0xF0 || first == 0xF7) {
      track.Byte();
      track.Take(track.Variable());
      status = 0;
      continue;
    }
    if (first >= 0x80) status = track.Byte();
    if (status < 0x80 || status >= 0xF0) return Corrupt("data comes without the status that says what it is");
    const int kind = status & 0xF0;
    const int one = track.Byte(), two = kind == 0xC0 || kind == 0xD0 ? 0 : track.Byte();
    if (!track.good) break;
    if (one > 127 || two > 127) return Corrupt("a data byte is above 127");
    if (kind != 0x80 && kind != 0x90) continue;
    std::vector<size_t>& open = sounding[static_cast<size_t>(status & 0x0F) * 128 + static_cast<size_t>(one)];
    if (kind == 0x90 && two > 0) {
      open.push_back(song.notes.size());
      song.notes.push_back({tick, -1, (status & 0x0F) + 1, one, two});
    } else if (!open.empty()) {
      song.notes[open.back()].length = tick - song.notes[open.back()].tick;
      open.pop_back();
    }
  }
  if (!track.good) return Corrupt("a track ends in the middle of an event");
  for (MidiNote& note : song.notes) {
    if (note.length < 0) note.length = tick - note.tick;
  }
  return {};
}

struct SmfDelete {
  void operator()(smf_t* smf) const { smf_delete(smf); }
};

// Adds an event of bytes to a track, in order of time.
bool Add(smf_track_t* track, int64_t tick, std::vector<unsigned char> bytes) {
  smf_event_t* event = smf_event_new_from_pointer(bytes.data(), static_cast<int>(bytes.size()));
  if (event == nullptr) return false;
  smf_track_add_event_pulses(track, event, static_cast<int>(tick));
  return true;
}

Status Check(const MidiSong& song) {
  auto wrong = [](const char* what) {
    return Fail(ErrorCode::kInvalidArgument, std::string("MIDI cannot hold ") + what + ".");
  };
  if (song.ticks_per_beat < 1 || song.ticks_per_beat > 0x7FFF) return wrong("so many ticks a beat");
  int64_t last = 0;
  for (const MidiTempo& t : song.tempi) {
    if (t.tick < last || t.tick > kLastTick) return wrong("a tempo at that time");
    if (t.microseconds_per_beat < 1 || t.microseconds_per_beat > kSlowest) return wrong("such a tempo");
    last = t.tick;
  }
  last = 0;
  for (const MidiMetre& m : song.metres) {
    if (m.tick < last || m.tick > kLastTick || m.beats < 1 || m.beats > 255 || m.unit < 1 || m.unit > 128 ||
        !std::has_single_bit(static_cast<unsigned>(m.unit))) {
      return wrong("such a metre");
    }
    last = m.tick;
  }
  last = 0;
  for (const MidiNote& n : song.notes) {
    if (n.tick < last || n.length < 0 || n.tick + n.length > kLastTick) return wrong("a note at that time");
    if (n.channel < 1 || n.channel > 16 || n.note < 0 || n.note > 127 || n.velocity < 1 || n.velocity > 127) {
      return wrong("such a note");
    }
    last = n.tick;
  }
  return {};
}

}  // namespace

std::vector<double> MidiSong::NoteSeconds() const {
  std::vector<double> times;
  double seconds = 0;
  int64_t from = 0;
  int tempo = kDefaultTempo;
  size_t next = 0;
  auto advance = [&](int64_t tick) {
    seconds += static_cast<double>(tick - from) * tempo * 1e-6 / ticks_per_beat;
    from = tick;
  };
  for (const MidiNote& note : notes) {
    for (; next < tempi.size() && tempi[next].tick <= note.tick; ++next) {
      advance(tempi[next].tick);
      tempo = tempi[next].microseconds_per_beat;
    }
    advance(note.tick);
    times.push_back(seconds);
  }
  return times;
}

int64_t MidiSong::TickAt(double seconds) const {
  int64_t from = 0;
  int tempo = kDefaultTempo;
  for (const MidiTempo& change : tempi) {
    const double until = static_cast<double>(change.tick - from) * tempo * 1e-6 / ticks_per_beat;
    if (until > seconds) break;
    seconds -= until;
    from = change.tick;
    tempo = change.microseconds_per_beat;
  }
  return from + std::llround(std::max(0.0, seconds) * 1e6 * ticks_per_beat / tempo);
}

Status WriteMidi(const MidiSong& song, const std::string& path, OutputSet* outputs) {
  TIMBRE_CHECK(Check(song));
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path, outputs));
  const std::unique_ptr<smf_t, SmfDelete> smf(smf_new());
  bool good = smf != nullptr && smf_set_format(smf.get(), 1) == 0 && smf_set_ppqn(smf.get(), song.ticks_per_beat) == 0;
  smf_track_t* const time = good ? smf_track_new() : nullptr;
  if (time != nullptr) smf_add_track(smf.get(), time);
  smf_track_t* const drums = time != nullptr ? smf_track_new() : nullptr;
  if (drums == nullptr) return Fail(ErrorCode::kOutOfMemory, path + ": there is no memory for the MIDI file.");
  smf_add_track(smf.get(), drums);

  auto byte = [](int64_t value) { return static_cast<unsigned char>(value & 0xFF); };
  size_t m = 0, t = 0;
  while (good && (m < song.metres.size() || t < song.tempi.size())) {
    if (t == song.tempi.size() || (m < song.metres.size() && song.metres[m].tick <= song.tempi[t].tick)) {
      const MidiMetre& metre = song.metres[m++];
      // A metronome's clicks, in 24ths of a quarter: each note, or three eighths in compound metres.
      const bool compound = metre.unit == 8 && metre.beats % 3 == 0 && metre.beats > 3;
      const auto click = byte(compound ? 36 : std::max(1, 96 / metre.unit));
      good =
          Add(time, metre.tick,
              {0xFF, 0x58, 4, byte(metre.beats), byte(std::countr_zero(static_cast<unsigned>(metre.unit))), click, 8});
    } else {
      const MidiTempo& tempo = song.tempi[t++];
      const int us = tempo.microseconds_per_beat;
      good = Add(time, tempo.tick, {0xFF, 0x51, 3, byte(us >> 16), byte(us >> 8), byte(us)});
    }
  }
  if (good && !song.track_name.empty()) {
    std::vector<unsigned char> name = {0xFF, 0x03, byte(std::min<size_t>(127, song.track_name.size()))};
    name.insert(name.end(), song.track_name.begin(), song.track_name.begin() + name[2]);
    good = Add(drums, 0, std::move(name));
  }
  // Note-offs among the note-ons, a note's end before another's begin at the same tick.
  struct Event {
    int64_t tick;
    int status, note, velocity;
  };
  std::vector<Event> events;
  for (const MidiNote& n : song.notes) {
    events.push_back({n.tick, 0x90 | (n.channel - 1), n.note, n.velocity});
    events.push_back({n.tick + std::max<int64_t>(1, n.length), 0x80 | (n.channel - 1), n.note, 0});
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.tick != b.tick ? a.tick < b.tick : (a.status & 0x10) < (b.status & 0x10);
  });
  for (size_t i = 0; good && i < events.size(); ++i) {
    good = Add(drums, events[i].tick, {byte(events[i].status), byte(events[i].note), byte(events[i].velocity)});
  }
  if (!good) return Fail(ErrorCode::kOutOfMemory, path + ": there is no memory for the MIDI file.");
  for (smf_track_t* track : {time, drums}) {
    const smf_event_t* last = smf_track_get_last_event(track);
    good = good && smf_track_add_eot_pulses(track, last == nullptr ? 0 : static_cast<int>(last->time_pulses)) == 0;
  }
  if (!good || smf_save(smf.get(), file.temporary_path().c_str()) != 0) {
    return Fail(ErrorCode::kIo, path + ": the MIDI file cannot be written; check the folder and the space left.");
  }
  return file.Commit();
}

Result<MidiSong> ParseMidi(std::span<const std::byte> bytes) {
  if (bytes.size() > kLargestFile) return Fail(ErrorCode::kUnsupported, "A MIDI file above 8 MiB is not read.");
  Reader file{bytes};
  if (file.Number(4) != 0x4D546864) return Corrupt("it does not begin with MThd");
  Reader header = file.Take(file.Number(4));
  const int64_t format = header.Number(2), tracks = header.Number(2), division = header.Number(2);
  if (!file.good || !header.good) return Corrupt("its header is cut off");
  if (format > 1) {
    return Fail(ErrorCode::kUnsupported,
                "MIDI files of format " + std::to_string(format) + " are not read; save it as format 1.");
  }
  if ((division & 0x8000) != 0)
    return Fail(ErrorCode::kUnsupported, "MIDI files in SMPTE time are not read; save it in ticks a beat.");
  if (division == 0) return Corrupt("a beat has no ticks");
  MidiSong song;
  song.ticks_per_beat = static_cast<int>(division);
  for (int64_t read = 0; read < tracks;) {
    if (file.Done()) return Corrupt("it has fewer tracks than it says");
    const int64_t kind = file.Number(4);
    const Reader chunk = file.Take(file.Number(4));
    if (!file.good) return Corrupt("a track is cut off");
    if (kind != 0x4D54726B) continue;  // chunks of other kinds are to be passed over
    TIMBRE_CHECK(ReadTrack(chunk, song));
    ++read;
  }
  auto earlier = [](const auto& a, const auto& b) { return a.tick < b.tick; };
  std::stable_sort(song.tempi.begin(), song.tempi.end(), earlier);
  std::stable_sort(song.metres.begin(), song.metres.end(), earlier);
  std::stable_sort(song.notes.begin(), song.notes.end(), earlier);
  return song;
}

Result<MidiSong> ReadMidi(const std::string& path) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  auto song = ParseMidi(bytes.span());
  if (!song) return Prefix(std::move(song).error(), path);
  return song;
}

}  // namespace timbre
