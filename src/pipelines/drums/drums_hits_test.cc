#include "pipelines/drums/drums_hits.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "pipelines/drums/drums_midi.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

DrumsConfig Config() { return *LoadDrumsConfig("", {}); }

// Two bars at 120 beats a minute.
Json Document() {
  Json json = {{"seconds", 4.0}, {"tempo_bpm", 120.0}, {"tempo_steady", true}, {"downbeat", 0}};
  for (int i = 0; i < 9; ++i) json["beats"].push_back(0.25 + i * 0.5);
  Json kick = Json::array();
  kick.push_back({{"seconds", 0.25}, {"kept", true}, {"voice", "kick"}, {"note", 36}, {"velocity", 100}});
  kick.push_back({{"seconds", 1.27}, {"kept", true}, {"note", 36}, {"velocity", 90}});
  kick.push_back({{"seconds", 1.5}, {"kept", false}, {"reason", "too quiet"}});
  json["stems"].push_back({{"name", "kick"}, {"hits", kick}});
  return json;
}

TEST(DrumHits, ACorrectedListMakesTheMidiAnew) {
  const auto analysis = DrumsFromJson(Config(), Document());
  ASSERT_TRUE(analysis) << analysis.error().message;
  MidiSong song = DrumsToMidi(*analysis);
  ASSERT_EQ(song.notes.size(), 2u);
  EXPECT_EQ(song.notes[0].note, 36);
  EXPECT_NEAR(song.NoteSeconds()[1], 1.27, 1e-3);
  Json changed = Document();
  changed["stems"][0]["hits"][2] = {{"seconds", 2.0}, {"note", 99}, {"velocity", 5}};
  const auto more = DrumsFromJson(Config(), changed);
  ASSERT_TRUE(more) << more.error().message;
  song = DrumsToMidi(*more);
  ASSERT_EQ(song.notes.size(), 3u);
  EXPECT_EQ(song.notes[2].note, 99);
  // What is written again is what was read.
  const auto again = DrumsFromJson(Config(), DrumsToJson(*more));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(DrumsToMidi(*again).notes.size(), 3u);
}

TEST(DrumHits, ErrorsNameTheirPlace) {
  const auto error = [](const std::function<void(Json&)>& change) {
    Json json = Document();
    change(json);
    const auto analysis = DrumsFromJson(Config(), json);
    return analysis ? "" : analysis.error().message;
  };
  EXPECT_EQ(error([](Json&) {}), "");
  EXPECT_NE(error([](Json& j) { j = 3; }), "");
  EXPECT_NE(error([](Json& j) { j["beats"][3] = 0; }).find("beats"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["stems"][0]["name"] = "gong"; }).find("stems[0]"), std::string::npos);
  EXPECT_NE(error([](Json& j) { j["stems"].push_back(Json(j["stems"][0])); }).find("stems[1] is there twice"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["stems"][0]["hits"][0]["velocity"] = 200; }).find("stems[0].hits[0]"),
            std::string::npos);
  EXPECT_NE(error([](Json& j) { j["stems"][0]["hits"][0]["seconds"] = "x"; }).find("seconds"), std::string::npos);
  EXPECT_NE(error([](Json& j) {
              j["stems"][0]["hits"][0] = {{"seconds", 1}, {"velocity", 5}, {"voice", "kik"}};
            }).find("no voice 'kik'"),
            std::string::npos);
}

TEST(DrumHits, QuantisedNotesLieOnTheGridOfTheirBars) {
  MidiSong song = DrumsToMidi(*DrumsFromJson(Config(), Document()));
  Quantise(song, {.steps_per_quarter = 4});
  // The first beat lies a quarter of a second in, half a beat: the bars begin there.
  ASSERT_GE(song.metres.size(), 1u);
  const int64_t origin = song.metres.back().tick;
  for (const MidiNote& note : song.notes) EXPECT_EQ((note.tick - origin) % (song.ticks_per_beat / 4), 0) << note.tick;
  EXPECT_NEAR(song.NoteSeconds()[1], 1.25, 1e-3);
}

TEST(DrumHits, SwingMovesTheOddSteps) {
  MidiSong song;
  song.metres = {{0, 4}};
  for (const int tick : {0, 260, 500, 700, 960}) song.notes.push_back({tick, 60, 10, 42, 80});
  Quantise(song, {.steps_per_quarter = 4, .swing = 2.0 / 3});
  std::vector<int64_t> ticks;
  for (const MidiNote& note : song.notes) ticks.push_back(note.tick);
  EXPECT_EQ(ticks, (std::vector<int64_t>{0, 320, 480, 800, 960}));
  // Two of one sound on one step are the louder one.
  song.notes = {{950, 60, 10, 42, 10}, {970, 60, 10, 42, 90}, {975, 60, 10, 38, 50}};
  Quantise(song, {.steps_per_quarter = 4});
  ASSERT_EQ(song.notes.size(), 2u);
  EXPECT_EQ(song.notes[1].velocity, 90);
}

TEST(DrumHits, WhatComesBeforeTheFirstBarLiesOnItsGridToo) {
  // A pickup, and bars that begin 700 ticks in: steps are 220, 460, 700, …, and none is ahead of the song.
  MidiSong song;
  song.metres = {{0, 4}, {700, 4}};
  for (const int tick : {5, 250, 440, 730}) song.notes.push_back({tick, 60, 10, 42 + tick, 80});
  Quantise(song, {.steps_per_quarter = 4});
  std::vector<int64_t> ticks;
  for (const MidiNote& note : song.notes) ticks.push_back(note.tick);
  EXPECT_EQ(ticks, (std::vector<int64_t>{220, 220, 460, 700}));
}

TEST(DrumHits, TheFileForEditorsHoldsWhatTheMidiNeeds) {
  Json document = Document();
  document["metre"] = "6/8";
  const auto analysis = DrumsFromJson(Config(), document);
  ASSERT_TRUE(analysis) << analysis.error().message;
  const Json file = DrumHitsToJson(*analysis);
  EXPECT_EQ(file["metre"], "6/8");
  ASSERT_EQ(file["stems"][0]["hits"].size(), 2u);  // the rejected one is not there
  EXPECT_EQ(file["stems"][0]["hits"][0], (Json{{"seconds", 0.25}, {"voice", "kick"}, {"note", 36}, {"velocity", 100}}));
  const auto again = DrumsFromJson(Config(), file);
  ASSERT_TRUE(again) << again.error().message;
  const MidiSong before = DrumsToMidi(*analysis), after = DrumsToMidi(*again);
  ASSERT_EQ(before.notes.size(), after.notes.size());
  for (size_t i = 0; i < before.notes.size(); ++i) EXPECT_EQ(before.notes[i].tick, after.notes[i].tick);
  ASSERT_EQ(before.tempi.size(), after.tempi.size());
  EXPECT_EQ(after.metres[0].unit, 8);
  document["metre"] = "6/7";
  EXPECT_NE(DrumsFromJson(Config(), document).error().message.find("metre"), std::string::npos);
}

}  // namespace
}  // namespace timbre
