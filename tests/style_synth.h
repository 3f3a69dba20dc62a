// Clips of synthesised music that are made alike, and others that are not: what distances of style are measured on. All
// follows from the set and the seed.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "tests/drum_synth.h"

namespace timbre::testing {

// What the clips of a set have in common.
struct StyleSet {
  double bpm = 100;
  int key = 0;  // semitones above A
  bool minor = false;
  double bright = 1.5;  // partials fall as n^-bright
  double drums = 0.5;   // of full scale, before all is brought to its level
  double level_db = -18;
};

inline StyleSet RandomStyleSet(uint64_t seed) {
  SynthRandom r(seed);
  StyleSet set;
  set.bpm = r.Uniform(70, 150);
  set.key = static_cast<int>(r.Bits() % 12);
  set.minor = r.Chance(0.5);
  set.bright = r.Uniform(0.8, 2.5);
  set.drums = r.Uniform(0.05, 0.8);
  set.level_db = r.Uniform(-26, -12);
  return set;
}

// Mono at 44.1 kHz: chords and bass in the set's key in an order of the clip's own, a beat with its own accents, played
// a little faster or slower, brighter or duller, louder or softer.
inline std::vector<float> StyleClipOf(const StyleSet& set, uint64_t seed, double seconds) {
  constexpr double kRate = 44100;
  SynthRandom r(seed * 7919 + 17);
  const double beat = 60 / (set.bpm * (1 + 0.01 * r.Normal()));
  const double bright = set.bright + 0.1 * r.Normal(), drums = set.drums * (1 + 0.15 * r.Normal());
  const std::array<int, 4> roots = set.minor ? std::array{0, 8, 3, 10} : std::array{0, 7, 9, 5};
  std::vector<float> mono(static_cast<size_t>(seconds * kRate));
  const auto add = [&](double at, double length, auto&& sample) {
    const auto first = static_cast<size_t>(at * kRate);
    for (size_t i = first; i < mono.size() && i < first + static_cast<size_t>(length * kRate); ++i) {
      mono[i] += static_cast<float>(sample(static_cast<double>(i - first) / kRate));
    }
  };
  const auto tone = [&](double at, double length, double hz, double gain) {
    std::array<double, 12> phases, gains;
    for (size_t n = 0; n < phases.size(); ++n) {
      phases[n] = r.Uniform(0, 6.28);
      gains[n] = std::pow(static_cast<double>(n + 1), -bright);
    }
    add(at, length, [&](double t) {
      double sum = 0;
      for (int n = 1; n <= 12 && n * hz < 16000; ++n) {
        sum += gains[static_cast<size_t>(n - 1)] *
               std::sin(2 * std::numbers::pi * n * hz * t + phases[static_cast<size_t>(n - 1)]);
      }
      return gain * sum * std::min({1.0, t / 0.01, (length - t) / 0.02});
    });
  };
  const auto hz_of = [&](int semitone) { return 110 * std::exp2((set.key + semitone) / 12.0); };
  for (double bar = 0; bar * 4 * beat < seconds; ++bar) {
    const int root = roots[static_cast<size_t>(r.Bits() % 4)];
    const bool third_minor = set.minor ? root == 0 : root == 9;
    for (const int step : {0, third_minor ? 3 : 4, 7}) tone(bar * 4 * beat, 4 * beat, hz_of(12 + root + step), 0.1);
    for (int eighth = 0; eighth < 8; ++eighth) {
      const double at = (bar * 4 + eighth / 2.0) * beat;
      if (r.Chance(0.5)) tone(at, beat / 2, hz_of(24 + root + (r.Chance(0.5) ? 7 : 12)), 0.1);
      if (eighth % 2 == 0) tone(at, beat, hz_of(root % 12 - 12), 0.2);
      const double accent = drums * r.Uniform(0.7, 1);
      if (eighth % 4 == 0) {
        add(at, 0.3, [&](double t) {
          return accent * std::exp(-15 * t) * std::sin(2 * std::numbers::pi * (50 * t - 2 * std::exp(-40 * t)));
        });
      }
      if (eighth % 4 == 2) add(at, 0.2, [&](double t) { return 0.6 * accent * std::exp(-25 * t) * r.Noise(); });
      add(at, 0.05, [&](double t) { return 0.25 * accent * std::exp(-80 * t) * r.Noise(); });
    }
  }
  double power = 0;
  for (const float x : mono) power += double{x} * x;
  const double level = set.level_db + 0.7 * r.Normal();
  const auto gain = static_cast<float>(std::pow(10, level / 20) / std::sqrt(power / static_cast<double>(mono.size())));
  for (float& x : mono) x *= gain;
  return mono;
}

}  // namespace timbre::testing
