#include "pipelines/drums/drum_maps.h"

#include <gtest/gtest.h>

#include <set>

#include "pipelines/drums/drums_config.h"

namespace timbre {
namespace {

const DrumMap& Named(std::string_view name) {
  for (const DrumMap& map : DrumMaps()) {
    if (map.name == name) return map;
  }
  ADD_FAILURE() << name;
  return DrumMaps()[0];
}

MidiSong Song(const std::vector<int>& notes) {
  MidiSong song;
  for (size_t i = 0; i < notes.size(); ++i) song.notes.push_back({static_cast<int64_t>(i) * 100, 60, 10, notes[i], 90});
  return song;
}

std::vector<int> Mapped(std::string_view name, const std::vector<int>& notes) {
  MidiSong song = Song(notes);
  EXPECT_EQ(MapDrums(Named(name), song), std::vector<std::string>());
  std::vector<int> mapped;
  for (const MidiNote& note : song.notes) mapped.push_back(note.note);
  return mapped;
}

// Kick, snare, toms from low to high, hi-hats closed, by the pedal and open, crash, ride.
TEST(DrumMap, ProgramsFindTheirSounds) {
  const std::vector<int> notes = {36, 38, 45, 47, 50, 42, 44, 46, 49, 51};
  EXPECT_EQ(Mapped("addictive", notes), (std::vector<int>{36, 38, 67, 69, 71, 49, 48, 57, 77, 60}));
  EXPECT_EQ(Mapped("ezdrummer", notes), (std::vector<int>{36, 38, 43, 47, 48, 42, 44, 46, 49, 51}));
  EXPECT_EQ(Mapped("superior", notes), (std::vector<int>{36, 38, 45, 47, 48, 42, 44, 46, 49, 51}));
}

TEST(DrumMap, EveryVoiceHasAPlaceAndToldApartFromTheOthers) {
  const DrumsConfig config = *LoadDrumsConfig("", {});
  for (const DrumMap& map : DrumMaps()) {
    std::set<int> general, own;
    for (const DrumStemRules& stem : config.stems) {
      for (const DrumVoice& voice : stem.voices) {
        if (voice.name != "clap") general.insert(voice.note);
      }
    }
    for (const int note : general) {
      for (const int to : Mapped(map.name, {note})) own.insert(to);
    }
    EXPECT_EQ(own.size(), general.size()) << map.name;
  }
}

TEST(DrumMap, WhatHasNoPlaceIsTold) {
  MidiSong song = Song({39, 54, 54, 38});
  const std::vector<std::string> told = MapDrums(Named("superior"), song);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[0].find("note 39: the snare takes its place, once"), std::string::npos) << told[0];
  EXPECT_NE(told[1].find("note 54, which was left out, 2 times"), std::string::npos) << told[1];
  ASSERT_EQ(song.notes.size(), 2u);
  EXPECT_EQ(song.notes[0].note, 38);
}

// A clap on a snare is one snare, and a note that comes again ends before.
TEST(DrumMap, TwoThatBecomeOneAreTheLouderOne) {
  MidiSong song = Song({38, 42, 39});
  song.notes[2].tick = 0;
  song.notes[2].velocity = 120;
  std::swap(song.notes[1], song.notes[2]);
  song.notes.push_back({110, 60, 10, 48, 50});
  song.notes.push_back({120, 60, 10, 50, 50});
  MapDrums(Named("superior"), song);
  ASSERT_EQ(song.notes.size(), 4u);
  EXPECT_EQ(song.notes[0].velocity, 120);
  EXPECT_EQ(song.notes[2].length, 10);
}

}  // namespace
}  // namespace timbre
