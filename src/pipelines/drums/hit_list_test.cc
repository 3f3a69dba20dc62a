#include "pipelines/drums/hit_list.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "pipelines/drums/drums_hits.h"
#include "pipelines/drums/drums_midi.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

Json Heard() {
  return Json::parse(R"({"seconds": 4, "tempo_bpm": 120, "metre": "3/4", "downbeat": 1, "beats": [0.25, 0.75, 1.25],
    "stems": [
      {"name": "kick", "hits": [{"seconds": 1.27, "kept": true, "note": 36, "velocity": 90},
                                {"seconds": 0.25001, "kept": true, "note": 36, "velocity": 100},
                                {"seconds": 1.5, "kept": false, "reason": "too quiet"}]},
      {"name": "snare", "hits": [{"seconds": 0.75, "kept": true, "note": 38, "velocity": 80}]}]})");
}

DrumHitList List() { return *DrumHitList::FromHeard(*LoadDrumsConfig("", {}), Heard()); }

TEST(DrumHitList, HitsAreAddedChangedAndTakenAway) {
  DrumHitList list = List();
  ASSERT_EQ(list.hits().size(), 3u);
  EXPECT_EQ(list.hits()[0].id, 1);
  EXPECT_EQ(list.hits()[0].seconds, 0.25);
  EXPECT_EQ(list.StemOf(list.hits()[1]), "snare");
  const auto added = list.Add({.seconds = 0.5, .note = 36, .velocity = 70});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(*added, 4);
  EXPECT_EQ(list.hits()[1].id, 4);
  ASSERT_TRUE(list.Change(4, {.seconds = 3.00004, .note = 38}));
  EXPECT_EQ(list.hits()[3].seconds, 3);
  EXPECT_EQ(list.StemOf(list.hits()[3]), "snare") << "that has the note";
  ASSERT_TRUE(list.Change(4, {.note = 99}));
  EXPECT_EQ(list.StemOf(list.hits()[3]), "snare") << "where it was: nobody has the note";
  ASSERT_TRUE(list.Change(4, {.stem = "kick"}));
  EXPECT_EQ(list.StemOf(list.hits()[3]), "kick");
  EXPECT_EQ(list.hits()[3].velocity, 70);
  ASSERT_TRUE(list.Remove(4));
  EXPECT_EQ(*list.Add({.seconds = 0, .note = 1, .velocity = 1}), 5) << "an id comes once";
  EXPECT_EQ(list.hits().size(), 4u);
}

TEST(DrumHitList, WhatFailsChangesNothing) {
  DrumHitList list = List();
  const std::string before = list.ToJson().dump();
  EXPECT_FALSE(list.Add({.seconds = 1, .note = 36}));
  EXPECT_FALSE(list.Add({.seconds = -1, .note = 36, .velocity = 1}));
  EXPECT_FALSE(list.Add({.seconds = 1, .note = 36, .velocity = 1, .stem = "gong"}));
  EXPECT_FALSE(list.Change(9, {.note = 36}));
  EXPECT_FALSE(list.Change(1, {.note = 128}));
  EXPECT_FALSE(list.Change(1, {.seconds = 1, .velocity = 0}));
  EXPECT_FALSE(list.Change(1, {.seconds = 1, .stem = "snares"}));
  EXPECT_FALSE(list.Remove(0));
  EXPECT_EQ(list.ToJson().dump(), before);
}

TEST(DrumHitList, ComesBackAsItWasKept) {
  DrumHitList list = List();
  ASSERT_TRUE(list.Remove(2));
  const Json kept = list.ToJson();
  const auto again = DrumHitList::FromJson(kept);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->ToJson(), kept);
  EXPECT_EQ(again->next_id(), 4);
  for (const char* place :
       {"/next", "/stems", "/hits", "/stems/0", "/stems/0/notes", "/hits/0", "/hits/0/1", "/hits/0/4", "/hits/1/0"}) {
    for (const Json& wrong : std::vector<Json>{Json(), Json(-1), Json("x"), Json::array({Json()})}) {
      Json damaged = kept;
      damaged[Json::json_pointer(place)] = wrong;
      EXPECT_FALSE(DrumHitList::FromJson(damaged)) << place << " " << wrong;
    }
  }
}

TEST(DrumHitList, TheCorrectedHitsHaveTheTempoThatWasHeard) {
  DrumHitList list = List();
  ASSERT_TRUE(list.Change(1, {.velocity = 1}));
  ASSERT_TRUE(list.Remove(3));
  ASSERT_TRUE(list.Add({.seconds = 2.5, .note = 99, .velocity = 127}));
  const auto analysis = DrumsFromJson(*LoadDrumsConfig("", {}), list.Corrected(Heard()));
  ASSERT_TRUE(analysis) << analysis.error().message;
  EXPECT_EQ(analysis->grid.beats.size(), 3u);
  EXPECT_EQ(analysis->grid.metre.notes, 3);
  const MidiSong song = DrumsToMidi(*analysis);
  ASSERT_EQ(song.notes.size(), 3u);
  const std::vector<std::vector<int>> wanted = {{36, 1}, {38, 80}, {99, 127}};
  const std::vector<double> seconds = song.NoteSeconds(), times = {0.25, 0.75, 2.5};
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ((std::vector<int>{song.notes[i].note, song.notes[i].velocity}), wanted[i]);
    EXPECT_NEAR(seconds[i], times[i], 1e-3);
  }
}

}  // namespace
}  // namespace timbre
