// What falling notes look like, pixel by pixel.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

double Linear(double c) { return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); }

double Luminance(const NoteLane& lane) {
  return 0.2126 * Linear(lane.colour[0] / 255.0) + 0.7152 * Linear(lane.colour[1] / 255.0) +
         0.0722 * Linear(lane.colour[2] / 255.0);
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

using Rgb = std::array<double, 3>;

// CIELAB of linear sRGB, white of D65.
std::array<double, 3> Lab(const Rgb& c) {
  const auto f = [](double t) { return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116; };
  const double x = f((0.4124564 * c[0] + 0.3575761 * c[1] + 0.1804375 * c[2]) / 0.95047);
  const double y = f(0.2126729 * c[0] + 0.7151522 * c[1] + 0.0721750 * c[2]);
  const double z = f((0.0193339 * c[0] + 0.1191920 * c[1] + 0.9503041 * c[2]) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

// What is left of a colour without one kind of cones: G. Machado, M. Oliveira, L. Fernandes, "A Physiologically-based
// Model for Simulation of Color Vision Deficiency", 2009, at full severity.
struct Eyes {
  const char* name;
  double matrix[3][3];
};
constexpr Eyes kEyes[] = {
    {"three kinds of cones", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    {"no green cones",
     {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}},
    {"no red cones",
     {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}},
    {"no blue cones",
     {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}}};

std::array<double, 3> SeenBy(const Eyes& eyes, const NoteLane& lane) {
  Rgb seen{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) seen[i] += eyes.matrix[i][j] * Linear(lane.colour[j] / 255.0);
    seen[i] = std::clamp(seen[i], 0.0, 1.0);
  }
  return Lab(seen);
}

TEST(Notes, LanesOfOneShapeAreToldApartByAllEyes) {
  const auto& lanes = DefaultNoteLanes();
  const auto share_a_shape = [](const NoteLane& a, const NoteLane& b) {
    for (const NoteVoice& voice : a.voices) {
      for (const NoteVoice& other : b.voices) {
        if (voice.shape == other.shape) return true;
      }
    }
    return false;
  };
  for (const Eyes& eyes : kEyes) {
    for (size_t i = 0; i < lanes.size(); ++i) {
      for (size_t j = i + 1; j < lanes.size(); ++j) {
        if (!share_a_shape(lanes[i], lanes[j])) continue;
        const auto a = SeenBy(eyes, lanes[i]), b = SeenBy(eyes, lanes[j]);
        EXPECT_GE(std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]), 10)
            << lanes[i].name << " and " << lanes[j].name << " to " << eyes.name;
      }
    }
  }
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

// Notes of a bar are of the metre's unit, and eighths in threes are counted in dotted quarters.
TEST(Notes, BeatsAreThoseOfTheMetre) {
  struct Case {
    int beats, unit;
    double beat, bar;  // seconds
    int counted;
  };
  for (const Case& one : {Case{6, 8, 0.75, 1.5, 2}, {12, 8, 0.75, 3, 4}, {7, 8, 0.25, 1.75, 7}, {2, 2, 1, 2, 2}}) {
    MidiSong song = Song({{0, 38}, {9, 38}});
    song.metres = {{0, one.beats, one.unit}};
    const NotesScene scene = Scene(song);
    EXPECT_EQ(scene.beats[1].seconds, one.beat);
    EXPECT_EQ(scene.beat_seconds, one.beat);
    EXPECT_EQ(scene.beats_per_bar, one.counted);
    const auto second =
        std::find_if(scene.beats.begin(), scene.beats.end(), [](const SceneBeat& b) { return b.bar == 2; });
    ASSERT_NE(second, scene.beats.end());
    EXPECT_EQ(second->seconds, one.bar) << one.beats << "/" << one.unit;
  }
}

// A file of 'timbre drums' whose first beat is not at its begin: the metre comes again there.
TEST(Notes, CountingLeadsToTheFirstBar) {
  MidiSong song = Song({{0.25, 38}, {4.25, 38}});
  song.metres = {{0, 4}, {480, 4}};
  const NotesScene scene = Scene(song);
  EXPECT_EQ(scene.beat_seconds, 0.5);
  EXPECT_EQ(scene.beats_per_bar, 4);
  EXPECT_EQ(scene.count_until, 0.25);
  // Nearly a bar later it is a bar of its own, and counted to.
  song.metres[1].tick = 3 * 960;
  EXPECT_EQ(Scene(song).count_until, 0);
}

TEST(Notes, WhatIsTooMuchIsRefused) {
  EXPECT_FALSE(MakeNotesScene(MidiSong{}, DefaultNoteLanes()));
  MidiSong song = Song({{0, 38}, {1, 38}});
  song.tempi = {{0, 0xFFFFFF}};
  song.ticks_per_beat = 1;
  song.notes[1].tick = 0xFFFFFFF;
  EXPECT_EQ(MakeNotesScene(song, DefaultNoteLanes()).error().code, ErrorCode::kUnsupported);
  std::vector<std::pair<double, int>> many;
  many.reserve(20000);
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
    const uint32_t pixel =
        pixels[static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(width * 3 / 4 + width / 40)];
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
  std::vector<uint8_t> sheets[2], whole(320 * 180 * 3 / 2);
  for (auto& sheet : sheets) sheet.resize(whole.size());
  PaintedYuv painted[2];
  const auto planes = [](std::vector<uint8_t>& data) {
    return YuvPlanes{{data.data(), data.data() + 320 * 180, data.data() + 320 * 180 * 5 / 4}, {320, 160, 160}};
  };
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(forth->Paint(i * 0.31 - 1));
    hashes.push_back(HashOf(forth->pixels()));
    // What is converted in parts is what is converted as a whole.
    std::vector<uint8_t>& yuv = sheets[i % 3 == 0];
    forth->ToYuv(planes(yuv), painted[i % 3 == 0]);
    RgbToYuv(forth->pixels().data(), 320, 320, 180, planes(whole));
    ASSERT_EQ(yuv, whole) << i;
    // And nothing is converted twice.
    const std::vector<PaintedPart>& parts = painted[i % 3 == 0].parts;
    for (size_t a = 0; a < parts.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        EXPECT_TRUE(parts[a].x1 <= parts[b].x0 || parts[b].x1 <= parts[a].x0 || parts[a].y1 <= parts[b].y0 ||
                    parts[b].y1 <= parts[a].y0)
            << i;
      }
    }
  }
  for (int i = 19; i >= 0; --i) {
    ASSERT_TRUE(back->Paint(i * 0.31 - 1));
    again.push_back(HashOf(back->pixels()));
  }
  std::reverse(again.begin(), again.end());
  EXPECT_EQ(hashes, again);
  EXPECT_GT(std::set<uint64_t>(hashes.begin(), hashes.end()).size(), 18u);
}

// A tempo of a microsecond makes 200,000 beats of one instant, each of which begins a bar.
TEST(Notes, LinesThatCannotBeToldApartAreOne) {
  MidiSong song = Song({{0, 38}, {1, 38}});
  song.tempi = {{0, 1}};
  song.metres = {{0, 1}};
  const NotesScene scene = Scene(song);
  EXPECT_GT(scene.beats.size(), 100000u);
  auto painter = *NotesPainter::Create(scene, {.width = 320, .height = 180}, 6);
  std::vector<uint8_t> yuv(320 * 180 * 3 / 2);
  PaintedYuv painted;
  ASSERT_TRUE(painter->Paint(0));
  painter->ToYuv({{yuv.data(), yuv.data() + 320 * 180, yuv.data() + 320 * 180 * 5 / 4}, {320, 160, 160}}, painted);
  EXPECT_LT(painted.parts.size(), 200u);
}

// Of what is drawn, not of an encoder; without text, whose looks depend on the fonts there are.
TEST(Notes, EightPicturesAreAsTheyWere) {
  const NotesScene scene = Scene(Groove());
  const uint64_t want[] = {0x1DD82AEC5358E4B1u, 0x285EA8DD4C6F0A66u, 0x03C798788730457Bu, 0x78A615CCB8DE1580u,
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

// Vectors of pixels, and what is left of a row, are what each pair of pixels is by itself.
TEST(Notes, ColoursAreTheSameInRowsOfAnyLength) {
  constexpr int kWide = 70;
  std::vector<uint32_t> rgb(2 * kWide);
  uint32_t state = 1;
  for (uint32_t& pixel : rgb) pixel = (state = state * 1664525 + 1013904223) | 0xFF000000U;
  std::vector<uint8_t> y(2 * kWide), u(kWide / 2), v(kWide / 2);
  for (int width = 2; width <= kWide; width += 2) {
    RgbToYuv(rgb.data(), kWide, width, 2, {{y.data(), u.data(), v.data()}, {kWide, kWide / 2, kWide / 2}});
    for (int x = 0; x < width; x += 2) {
      uint8_t one_y[4], one_u, one_v;
      RgbToYuv(rgb.data() + x, kWide, 2, 2, {{one_y, &one_u, &one_v}, {2, 1, 1}});
      EXPECT_EQ(y[static_cast<size_t>(x)], one_y[0]);
      EXPECT_EQ(y[static_cast<size_t>(kWide + x + 1)], one_y[3]);
      EXPECT_EQ(u[static_cast<size_t>(x / 2)], one_u);
      EXPECT_EQ(v[static_cast<size_t>(x / 2)], one_v) << x << " of " << width;
    }
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
  EXPECT_NE(error("lanes: [{name: a, colour: '#102030', note: [{note: 3}]}]").find("'notes'"), std::string::npos);
  EXPECT_NE(error("lanes: [[]]").find("lanes[0]"), std::string::npos);
}

}  // namespace
}  // namespace timbre
