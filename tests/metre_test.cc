// Metre, tempo and the begin of bars from hits alone, of synthesised drumming whose metre is known. What the styles
// expect was chosen on seeds from 1000 up; these are others.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "dsp/tempo.h"
#include "pipelines/drums/drums_midi.h"
#include "tests/drum_synth.h"

namespace timbre {
namespace {

using testing::SynthTrack;

std::vector<BeatOnset> OnsetsOf(const SynthTrack& track, uint64_t seed) {
  testing::SynthRandom random(77 * seed + 5);
  std::vector<BeatOnset> onsets;
  for (const testing::SynthHit& hit : track.hits) {
    if (random.Chance(0.03)) continue;  // a detection that failed
    const BeatRole role = hit.stem == "kick"    ? BeatRole::kLow
                          : hit.stem == "snare" ? BeatRole::kBack
                                                : BeatRole::kOther;
    onsets.push_back({hit.seconds, role, hit.gain});
  }
  return onsets;
}

struct Kind {
  const char *metre, *feel;
  int tracks, least;  // how many of them must be right
};

class Metres : public ::testing::TestWithParam<Kind> {};

TEST_P(Metres, TempoAndBarsAreFound) {
  const auto [name, feel, tracks, least] = GetParam();
  const double seconds = std::string(name).ends_with("/8") ? 30 : 13;  // two bars of 6/8 are much like one of 12/8
  int tempi = 0, metres = 0, bars = 0;
  for (int seed = 1; seed <= tracks; ++seed) {
    const SynthTrack track =
        testing::SynthesiseDrums(seed, {.seconds = seconds, .metre = name, .feel = feel, .sound = false});
    const BeatGrid grid = EstimateBeats(OnsetsOf(track, seed), track.beats.back() + 1.5, {});
    ASSERT_FALSE(grid.beats.empty());
    EXPECT_GE(grid.metre_confidence, 0.5);
    EXPECT_LE(grid.metre_confidence, 1);
    tempi += std::abs(grid.bpm / track.tempo - 1) < 0.01;
    metres += std::to_string(grid.metre.notes) + "/" + std::to_string(grid.metre.unit) == name;
    const double bar = grid.beats[static_cast<size_t>(grid.downbeat)];
    for (size_t i = 0; i < track.beats.size(); i += static_cast<size_t>(track.beats_per_bar)) {
      if (std::abs(track.beats[i] - bar) > 0.03) continue;
      ++bars;
      break;
    }
  }
  std::printf("%s %s: of %d tracks the tempo of %d, the metre of %d, the bars of %d\n", name, feel, tracks, tempi,
              metres, bars);
  EXPECT_GE(tempi, least);
  EXPECT_GE(metres, least);
  EXPECT_GE(bars, tracks - 1);
}

// Of 30 tracks in half-time and 30 in double-time all were right; ten of each are looked at every time.
INSTANTIATE_TEST_SUITE_P(Sweep, Metres,
                         ::testing::Values(Kind{"4/4", "", 5, 4}, Kind{"3/4", "", 5, 4}, Kind{"6/8", "", 5, 4},
                                           Kind{"12/8", "", 5, 4}, Kind{"4/4", "half-time", 10, 10},
                                           Kind{"4/4", "double-time", 10, 10}));

// Two thirds of a tempo that is left out lie in such a range; the hits are on straight eighths all the same.
TEST(Metre, ANarrowRangeOfTempiMakesNoEighthsInThrees) {
  TempoOptions options;
  options.min_bpm = 40, options.max_bpm = 80, options.prior_bpm = 57;
  for (const uint64_t seed : {1, 3, 5, 9}) {
    const SynthTrack track = testing::SynthesiseDrums(seed, {.tempo = 118, .sound = false});
    const BeatGrid grid = EstimateBeats(OnsetsOf(track, seed), track.beats.back() + 1.5, options);
    EXPECT_EQ(grid.metre, Metre{}) << seed;
    EXPECT_NEAR(grid.bpm, track.tempo / 2, 1) << seed;
  }
}

// How sure it says to be, on the right side of where the program warns: certain of what nobody would doubt, in doubt of
// what says nothing or was taken wrongly, and on the whole right about as often as it says.
TEST(Metre, IsAsSureAsItIsRight) {
  constexpr double kWarns = 0.75;  // below it
  const auto found = [](const std::string& metre, int seed, double seconds) {
    const SynthTrack track = testing::SynthesiseDrums(seed, {.seconds = seconds, .metre = metre, .sound = false});
    return EstimateBeats(OnsetsOf(track, seed), track.beats.back() + 1.5, {});
  };
  for (int seed = 1; seed <= 3; ++seed) {
    EXPECT_GE(found("4/4", seed, 13).metre_confidence, 0.95) << seed;
    EXPECT_GE(found("3/4", seed, 13).metre_confidence, 0.9) << seed;
  }
  // One sound as a clock has it; one in three of them lower, which may be bars of three or of six eighths.
  for (const int lower : {0, 3}) {
    std::vector<BeatOnset> onsets;
    for (int i = 0; i < 60; ++i) {
      const bool low = lower > 0 && i % lower == 0;
      onsets.push_back({0.3 + 0.25 * i, low ? BeatRole::kLow : BeatRole::kOther, 0.7});
    }
    const BeatGrid grid = EstimateBeats(onsets, 16, {});
    EXPECT_LT(grid.metre_confidence, kWarns) << lower;
    EXPECT_GE(grid.metre_confidence, 0.5) << lower;
  }
  // Bars of 6/8, two of which are much like one of 12/8.
  double sure = 0, right = 0;
  constexpr int kTracks = 4;
  for (int seed = 1; seed <= kTracks; ++seed) {
    const BeatGrid grid = found("6/8", seed, 30);
    const bool is_right = grid.metre == Metre{6, 8};
    sure += grid.metre_confidence;
    right += is_right;
    EXPECT_TRUE(is_right || grid.metre_confidence < kWarns) << seed << ": " << grid.metre_confidence;
  }
  EXPECT_NEAR(sure / kTracks, right / kTracks, 0.15);
}

TEST(Metre, OneThatIsGivenIsTaken) {
  const SynthTrack track = testing::SynthesiseDrums(3, {.metre = "3/4", .sound = false});
  TempoOptions options;
  for (const Metre& metre : {Metre{3, 4}, Metre{4, 4}, Metre{6, 8}, Metre{12, 8}}) {
    options.metre = metre;
    const BeatGrid grid = EstimateBeats(OnsetsOf(track, 3), track.beats.back(), options);
    EXPECT_EQ(grid.metre, metre);
    EXPECT_EQ(grid.metre_confidence, 1);
    EXPECT_LT(grid.downbeat, metre.beats());
  }
}

// At 25 ticks a quarter a beat of three eighths is 37.5: no error adds up, and bars of six eighths stay on theirs.
TEST(Metre, BeatsOfThreeEighthsKeepTheirPlacesInMidi) {
  const std::vector<std::string> settings = {"midi.ticks_per_beat=25"};
  auto config = LoadDrumsConfig("", settings);
  ASSERT_TRUE(config) << config.error().message;
  DrumAnalysis analysis{.config = std::make_shared<DrumsConfig>(*std::move(config)), .seconds = 60};
  analysis.grid.metre = {6, 8};
  analysis.grid.downbeat = 1;
  for (int i = 0; i < 90; ++i) analysis.grid.beats.push_back(0.3 + 0.6 * i);
  const MidiSong song = DrumsToMidi(analysis);
  ASSERT_EQ(song.tempi.size(), 1u);
  EXPECT_NEAR(song.tempi[0].microseconds_per_beat, 400000, 400000.0 / (90 * 37.5));  // a tick of the whole
  ASSERT_EQ(song.metres.size(), 2u);
  EXPECT_EQ(song.metres[1].beats, 6);
  EXPECT_EQ(song.metres[1].unit, 8);
  EXPECT_NEAR(static_cast<double>(song.metres[1].tick), 18.75 + 37.5, 1);
  for (int i = 1; i < 90; i += 2) {
    EXPECT_NEAR(static_cast<double>(song.TickAt(0.3 + 0.6 * i) - song.metres[1].tick), 75.0 * (i / 2), 1) << i;
  }
}

}  // namespace
}  // namespace timbre
