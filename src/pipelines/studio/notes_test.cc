// What falling notes look like, pixel by pixel.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "pipelines/studio/notes_painter.h"
#include "pipelines/studio/notes_scene.h"

namespace timbre {
namespace {

// Notes in seconds at 120 beats a minute.
MidiSong Song(const std::vector<std::pair<double, int>>& notes, int velocity = 100) {
  MidiSong song;
  song.metres = {{0, 4}};
  for (const auto& [seconds, note] : notes) {
    song.notes.push_back({std::llround(seconds * 2 * song.ticks_per_beat), 60, 10, note, velocity});
  }
  return song;
}

NotesScene Scene(const MidiSong& song) {
  auto scene = MakeNotesScene(song, DefaultNoteLanes());
  EXPECT_TRUE(scene) << scene.error().message;
  return *std::move(scene);
}

double Luminance(const NoteLane& lane) {
  const auto linear = [](uint8_t v) {
    const double c = v / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(lane.colour[0]) + 0.7152 * linear(lane.colour[1]) + 0.0722 * linear(lane.colour[2]);
}

TEST(Notes, EveryPercussionNoteOfGeneralMidiHasALane) {
  std::set<int> notes;
  for (const NoteLane& lane : DefaultNoteLanes()) {
    std::set<NoteShape> shapes;
    for (const NoteVoice& voice : lane.voices) EXPECT_TRUE(notes.insert(voice.note).second) << voice.note;
    EXPECT_GE((Luminance(lane) + 0.05) / 0.05, 3) << lane.name;
  }
  EXPECT_EQ(notes.size(), 81u - 35 + 1);
  EXPECT_EQ(*notes.begin(), 35);
  EXPECT_EQ(*notes.rbegin(), 81);
  const NotesScene scene = Scene(Song({{0, 45}, {1, 51}, {2, 54}}));
  EXPECT_TRUE(scene.unknown.empty());
  EXPECT_EQ(scene.lanes[1].name, "Ride");
}

TEST(Notes, ANoteWithoutALaneGetsAGreyOne) {
  const NotesScene scene = Scene(Song({{0, 38}, {1, 20}}));
  EXPECT_EQ(scene.unknown, std::vector<int>{20});
  ASSERT_EQ(scene.lanes.size(), 2u);
  EXPECT_EQ(scene.lanes[1].name, "Note 20");
  EXPECT_EQ(scene.notes[1].lane, 1);
}

TEST(Notes, BarsBeginWithEachMetre) {
  MidiSong song = Song({{0, 38}, {4, 38}});
  song.metres = {{0, 3}, {3 * 960, 4}};
  const NotesScene scene = Scene(song);
  ASSERT_GT(scene.beats.size(), 8u);
  EXPECT_TRUE(scene.beats[0].first && scene.beats[3].first && scene.beats[7].first);
  EXPECT_EQ(scene.beats[3].bar, 2);
  EXPECT_EQ(scene.beats[3].seconds, 1.5);
  EXPECT_EQ(scene.beats[7].bar, 3);
}

TEST(Notes, WhatIsTooMuchIsRefused) {
  EXPECT_FALSE(MakeNotesScene(MidiSong{}, DefaultNoteLanes()));
  MidiSong song = Song({{0, 38}, {1, 38}});
  song.tempi = {{0, 0xFFFFFF}};
  song.ticks_per_beat = 1;
  song.notes[1].tick = 0xFFFFFFF;
  EXPECT_EQ(MakeNotesScene(song, DefaultNoteLanes()).error().code, ErrorCode::kUnsupported);
  std::vector<std::pair<double, int>> many;
  for (int i = 0; i < 20000; ++i) many.emplace_back(i / 10000.0, 38);
  MidiSong crowd = Song(many);
  crowd.ticks_per_beat = 30000;
  for (size_t i = 0; i < many.size(); ++i) crowd.notes[i].tick = std::llround(many[i].first * 60000);
  const NotesScene scene = Scene(crowd);
  const auto painter = NotesPainter::Create(scene, {}, 1);
  ASSERT_FALSE(painter);
  EXPECT_NE(painter.error().message.find("at once"), std::string::npos);
  // The same note many times at once is one.
  EXPECT_EQ(Scene(Song(std::vector<std::pair<double, int>>(5000, {1, 38}))).notes.size(), 1u);
}

// The lower end of the lowest row of a snare above the line, beside the middle of its lane. Its edge is light, the glow
// around it is not.
int LowerEdge(std::span<const uint32_t> pixels, int width, int height) {
  for (int y = height * 8 / 10; y >= 0; --y) {
    const uint32_t pixel = pixels[static_cast<size_t>(y * width + width * 3 / 4 + width / 40)];
    if ((pixel >> 16 & 255) > 180) return y + 1;
  }
  return -1;
}

TEST(Notes, AHitTouchesTheLineInTheFrameNearestToIt) {
  for (const auto& [width, height] : {std::pair(640, 360), {360, 640}, {1920, 1080}}) {
    for (const int fps : {30, 60, 120}) {
      for (const double at : {1.0, 1.2345, 2.0071}) {
        const NotesScene scene = Scene(Song({{at, 38}, {at + 100, 42}}));
        const double speed = 0.4 * height;
        auto painter = *NotesPainter::Create(scene, {.width = width, .height = height, .labels = false}, 200);
        // Looked at a little earlier, so that neither the line nor the light of the hit is in the way.
        const auto frame = static_cast<int64_t>(std::llround(at * fps)) - fps / 2;
        ASSERT_TRUE(painter->Paint(static_cast<double>(frame) / fps));
        const double seen = LowerEdge(painter->pixels(), width, height);
        const double want = std::round(0.85 * height) - (at - static_cast<double>(frame) / fps) * speed;
        EXPECT_NEAR(seen, want, 1.5) << width << " at " << fps;
        // In seconds, no further from the line half a second later than half a frame and a pixel.
        const double error = (seen + 0.5 * speed - std::round(0.85 * height)) / speed;
        EXPECT_LE(std::abs(error), 0.5 / fps + 1.5 / speed);
      }
    }
  }
}

MidiSong Groove() {
  std::vector<std::pair<double, int>> notes;
  for (int i = 0; i < 16; ++i) {
    notes.emplace_back(i * 0.25, i % 8 == 7 ? 46 : 42);
    if (i % 4 == 0) notes.emplace_back(i * 0.25, 36);
    if (i % 4 == 2) notes.emplace_back(i * 0.25, i % 8 == 2 ? 38 : 37);
    if (i == 12) notes.emplace_back(i * 0.25, 49);
  }
  return Song(notes);
}

uint64_t HashOf(std::span<const uint32_t> pixels) {
  uint64_t hash = 1469598103934665603u;
  for (const uint32_t pixel : pixels) hash = (hash ^ (pixel & 0xFFFFFF)) * 1099511628211u;
  return hash;
}

TEST(Notes, PicturesAreFunctionsOfTheirTime) {
  const NotesScene scene = Scene(Groove());
  const NotesLook look{.width = 320, .height = 180, .labels = false};
  auto forth = *NotesPainter::Create(scene, look, 6), back = *NotesPainter::Create(scene, look, 6);
  std::vector<uint64_t> hashes, again;
  std::vector<uint8_t> yuv(320 * 180 * 3 / 2), whole(yuv.size());
  const auto planes = [](std::vector<uint8_t>& data) {
    return YuvPlanes{{data.data(), data.data() + 320 * 180, data.data() + 320 * 180 * 5 / 4}, {320, 160, 160}};
  };
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(forth->Paint(i * 0.31 - 1));
    hashes.push_back(HashOf(forth->pixels()));
    // What is converted in parts is what is converted as a whole.
    forth->ToYuv(planes(yuv));
    RgbToYuv(forth->pixels().data(), 320, 320, 180, planes(whole));
    ASSERT_EQ(yuv, whole) << i;
  }
  for (int i = 19; i >= 0; --i) {
    ASSERT_TRUE(back->Paint(i * 0.31 - 1));
    again.push_back(HashOf(back->pixels()));
  }
  std::reverse(again.begin(), again.end());
  EXPECT_EQ(hashes, again);
  EXPECT_GT(std::set<uint64_t>(hashes.begin(), hashes.end()).size(), 18u);
}

// Of what is drawn, not of an encoder; without text, whose looks depend on the fonts there are.
TEST(Notes, EightPicturesAreAsTheyWere) {
  const NotesScene scene = Scene(Groove());
  const uint64_t want[] = {0x1DD82AEC5358E4B1u, 0x3435373FF7B40A66u, 0x27042E00B3DB457Bu, 0xBA473011E3AE9380u,
                           0xF8A5925299359999u, 0x141908602FD2A17Fu, 0xB127EA16A6B5B5B5u, 0x939894C29954FED1u};
  for (int i = 0; i < 8; ++i) {
    const NotesLook look = i < 6 ? NotesLook{.width = 640, .height = 360, .labels = false}
                                 : NotesLook{.width = 180, .height = 320, .speed = 0.75, .labels = false};
    auto painter = *NotesPainter::Create(scene, look, 6);
    ASSERT_TRUE(painter->Paint(i * 0.4875 - 0.5));
    EXPECT_EQ(HashOf(painter->pixels()), want[i]) << "picture " << i;
  }
}

TEST(Notes, ColoursAreThoseOfBt709) {
  struct Case {
    uint32_t rgb;
    int y, u, v;
  };
  for (const Case& one : {Case{0xFFFFFF, 235, 128, 128},
                          {0x000000, 16, 128, 128},
                          {0xFF0000, 63, 102, 240},
                          {0x00FF00, 173, 42, 26},
                          {0x0000FF, 32, 240, 118},
                          {0x808080, 126, 128, 128}}) {
    const std::vector<uint32_t> rgb(4, one.rgb);
    uint8_t y[4], u, v;
    RgbToYuv(rgb.data(), 2, 2, 2, {{y, &u, &v}, {2, 1, 1}});
    EXPECT_EQ(y[3], one.y);
    EXPECT_EQ(u, one.u);
    EXPECT_EQ(v, one.v);
  }
}

TEST(Notes, ErrorsInATableNameTheirPlace) {
  const auto error = [](const char* text) {
    const auto lanes = ParseNoteLanes(text, "my.yaml");
    return lanes ? "" : lanes.error().message;
  };
  EXPECT_EQ(error("lanes: [{name: a, colour: '#102030', notes: [{note: 38}]}]"), "");
  EXPECT_NE(error("lanes: []").find("my.yaml"), std::string::npos);
  EXPECT_NE(error("lanes: [{name: a, colour: red, notes: [{note: 38}]}]").find("lanes[0]: colour"), std::string::npos);
  EXPECT_NE(error("lanes: [{name: a, colour: '#102030', notes: [{note: 380}]}]").find("notes[0]"), std::string::npos);
  EXPECT_NE(error("lanes: [{name: a, colour: '#102030', notes: [{note: 3, shape: star}]}]").find("shape"),
            std::string::npos);
  EXPECT_NE(error("lanes: [[]]").find("lanes[0]"), std::string::npos);
}

}  // namespace
}  // namespace timbre
