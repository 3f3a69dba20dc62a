#include "formats/midi.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>

namespace timbre {
namespace {

std::string TemporaryPath(const char* name) {
  return ::testing::TempDir() + "timbre_midi_" + std::to_string(getpid()) + name;
}

std::vector<std::byte> Bytes(const std::string& text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

MidiSong Example() {
  MidiSong song;
  song.ticks_per_beat = 480;
  song.track_name = "Drums";
  song.tempi = {{0, 600000}, {960, 400000}};
  song.metres = {{0, 2}, {960, 4}};
  song.notes = {{0, 60, 10, 36, 100}, {480, 60, 10, 38, 1}, {1440, 30, 10, 42, 127}};
  return song;
}

TEST(Midi, ReadsBackWhatItWrote) {
  const std::string path = TemporaryPath("round_trip.mid");
  const MidiSong song = Example();
  ASSERT_TRUE(WriteMidi(song, path));
  const auto read = ReadMidi(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->ticks_per_beat, 480);
  EXPECT_EQ(read->track_name, "Drums");
  ASSERT_EQ(read->tempi.size(), 2u);
  EXPECT_EQ(read->tempi[1].tick, 960);
  EXPECT_EQ(read->tempi[1].microseconds_per_beat, 400000);
  ASSERT_EQ(read->metres.size(), 2u);
  EXPECT_EQ(read->metres[0].beats, 2);
  ASSERT_EQ(read->notes.size(), song.notes.size());
  for (size_t i = 0; i < song.notes.size(); ++i) {
    EXPECT_EQ(read->notes[i].tick, song.notes[i].tick);
    EXPECT_EQ(read->notes[i].length, song.notes[i].length);
    EXPECT_EQ(read->notes[i].channel, 10);
    EXPECT_EQ(read->notes[i].note, song.notes[i].note);
    EXPECT_EQ(read->notes[i].velocity, song.notes[i].velocity);
  }
  EXPECT_EQ(read->NoteSeconds(), (std::vector<double>{0, 0.6, 1.6}));
  std::filesystem::remove(path);
}

TEST(Midi, MetresKeepTheirUnits) {
  const std::string path = TemporaryPath("metres.mid");
  MidiSong song = Example();
  song.metres = {{0, 3, 4}, {10, 6, 8}, {20, 12, 8}, {30, 1, 1}, {40, 7, 16}, {50, 255, 128}};
  ASSERT_TRUE(WriteMidi(song, path));
  const auto read = ReadMidi(path);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->metres.size(), song.metres.size());
  for (size_t i = 0; i < song.metres.size(); ++i) {
    EXPECT_EQ(read->metres[i].tick, song.metres[i].tick);
    EXPECT_EQ(read->metres[i].beats, song.metres[i].beats);
    EXPECT_EQ(read->metres[i].unit, song.metres[i].unit);
  }
  std::filesystem::remove(path);
  for (const int unit : {0, -8, 3, 6, 256}) {
    song.metres = {{0, 4, unit}};
    EXPECT_FALSE(WriteMidi(song, path)) << unit;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST(Midi, TicksFollowTheTempoMap) {
  const MidiSong song = Example();
  EXPECT_EQ(song.TickAt(0), 0);
  EXPECT_EQ(song.TickAt(0.6), 480);
  EXPECT_EQ(song.TickAt(1.2), 960);
  EXPECT_EQ(song.TickAt(1.6), 1440);
}

TEST(Midi, WhatTheFormatCannotHoldIsRefusedAndLeavesNoFile) {
  const std::string path = TemporaryPath("refused.mid");
  for (int wrong = 0; wrong < 6; ++wrong) {
    MidiSong song = Example();
    if (wrong == 0) song.ticks_per_beat = 40000;
    if (wrong == 1) song.tempi[0].microseconds_per_beat = 1 << 24;
    if (wrong == 2) song.notes[0].velocity = 0;
    if (wrong == 3) song.notes[0].note = 128;
    if (wrong == 4) song.notes[2].tick = int64_t{1} << 40;
    if (wrong == 5) std::swap(song.notes[0], song.notes[2]);
    EXPECT_FALSE(WriteMidi(song, path)) << wrong;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(WriteMidi(Example(), "/nowhere/at/all.mid"));
}

TEST(Midi, RunningStatusAndOtherChunksAreRead) {
  const std::string track("\x00\x99\x24\x64\x60\x24\x00\x00\x26\x50\x30\x26\x00\x00\xFF\x2F\x00", 17);
  std::string file("MThd\0\0\0\6\0\0\0\1\0\x60", 14);
  file += std::string("XYZW\0\0\0\2ab", 10) + std::string("MTrk\0\0\0\x11", 8) + track;
  const auto song = ParseMidi(Bytes(file));
  ASSERT_TRUE(song) << song.error().message;
  ASSERT_EQ(song->notes.size(), 2u);
  EXPECT_EQ(song->notes[0].length, 0x60);
  EXPECT_EQ(song->notes[1].tick, 0x60);
  EXPECT_EQ(song->notes[1].length, 0x30);
}

TEST(Midi, EveryCutAndEveryChangedByteIsReadOrRefused) {
  const std::string path = TemporaryPath("hostile.mid");
  ASSERT_TRUE(WriteMidi(Example(), path));
  std::string good(std::filesystem::file_size(path), 0);
  FILE* file = std::fopen(path.c_str(), "rb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(std::fread(good.data(), 1, good.size(), file), good.size());
  std::fclose(file);
  std::filesystem::remove(path);
  for (size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(ParseMidi(Bytes(good.substr(0, cut)))) << cut;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int flip : {0x01, 0x40, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      if (const auto song = ParseMidi(Bytes(bad))) {
        for (const MidiNote& note : song->notes) ASSERT_GE(note.length, 0);
        EXPECT_EQ(song->NoteSeconds().size(), song->notes.size());
      } else {
        EXPECT_FALSE(song.error().message.empty());
      }
    }
  }
}

}  // namespace
}  // namespace timbre
