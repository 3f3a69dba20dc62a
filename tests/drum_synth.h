// Synthesised drum stems with known hits and beats: what the drum analysis is measured on. Everything follows from the
// seed: the kit, the groove, the tempo (60 to 200), swing, drift, human timing and touch, bleed between stems, noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>
#include <vector>

namespace timbre::testing {

struct SynthHit {
  double seconds;
  std::string stem;   // kick, snare, toms, hihat, cymbals
  std::string voice;  // kick, snare, clap, low, mid, high, closed, open, pedal, crash, ride
  double gain;        // 0 to 1
};

struct SynthOptions {
  double tempo = 0;           // 0: from the seed, spread over 60 to 200
  double swing = -1;          // 0 straight … 1 triplets; below 0: from the seed
  double drift = -1;          // largest relative change of tempo; below 0: from the seed (half of the tracks have none)
  double noise_db = 20;       // signal over noise, per stem
  double bleed_db = 20;       // how far every other stem is down in a stem, give or take 4 dB
  double seconds = 13;        // at least; six bars at least as well
  std::string metre = "4/4";  // or 3/4, 6/8, 12/8
  std::string feel;           // of 4/4: "half-time" or "double-time"
  bool sound = true;          // false: the hits alone
};

struct SynthTrack {
  double rate = 44100;
  double tempo = 0;  // mean
  double drift = 0, swing = 0;
  std::string groove;
  int beats_per_bar = 4;
  std::vector<double> beats;  // seconds; dotted quarters in 6/8 and 12/8
  std::vector<SynthHit> hits;
  std::map<std::string, std::vector<float>> stems;
};

// SplitMix64: the same numbers on every machine, unlike the standard library's distributions.
class SynthRandom {
 public:
  explicit SynthRandom(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0x1234567) {}
  uint64_t Bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  double Uniform(double low = 0, double high = 1) {
    return low + (high - low) * static_cast<double>(Bits() >> 11) * 0x1p-53;
  }
  bool Chance(double p) { return Uniform() < p; }
  // Close to normal: the sum of four uniforms.
  double Normal() { return (Uniform() + Uniform() + Uniform() + Uniform() - 2) * std::numbers::sqrt3; }
  float Noise() { return static_cast<float>(static_cast<int32_t>(Bits() >> 32)) * 0x1p-31f; }

 private:
  uint64_t state_;
};

// One instrument of a kit: what a struck thing does, as sines that decay and filtered noise that decays.
class SynthVoice {
 public:
  struct Partial {
    double hz, gain, decay;            // decay: 1/s
    double sweep = 0, sweep_rate = 0;  // added to hz at the attack, and how fast it goes (1/s)
  };
  std::vector<Partial> partials;
  double noise = 0, noise_decay = 1, noise_low = 20, noise_high = 20000, attack = 0.0003;
  std::vector<double> bursts = {0};  // when the noise begins, in seconds
  double length = 0.3;

  std::vector<float> Render(double rate, SynthRandom& random) const {
    const auto count = static_cast<size_t>(length * rate);
    std::vector<float> out(count, 0.0f);
    for (const Partial& p : partials) {
      double phase = random.Uniform(0, 0.3), level = p.gain, sweep = p.sweep;
      const double fall = std::exp(-p.decay / rate), settle = std::exp(-p.sweep_rate / rate);
      for (size_t i = 0; i < count; ++i) {
        out[i] += static_cast<float>(level * std::sin(phase));
        phase += 2 * std::numbers::pi * (p.hz + sweep) / rate;
        level *= fall;
        sweep *= settle;
      }
    }
    if (noise > 0) {
      std::vector<float> hiss(count, 0.0f);
      const double fall = std::exp(-noise_decay / rate);
      for (double start : bursts) {
        double level = noise;
        for (auto i = static_cast<size_t>(start * rate); i < count; ++i, level *= fall) {
          hiss[i] = static_cast<float>(level) * random.Noise();
        }
      }
      // Two one-pole sections each way: broad slopes, as a membrane or a plate has.
      const double a = 1 - std::exp(-2 * std::numbers::pi * std::min(noise_high, 0.45 * rate) / rate);
      const double b = 1 - std::exp(-2 * std::numbers::pi * noise_low / rate);
      double l1 = 0, l2 = 0, h1 = 0, h2 = 0;
      for (size_t i = 0; i < count; ++i) {
        l1 += a * (hiss[i] - l1);
        l2 += a * (l1 - l2);
        h1 += b * (l2 - h1);
        const double once = l2 - h1;
        h2 += b * (once - h2);
        out[i] += static_cast<float>(once - h2);
      }
    }
    const auto rise = static_cast<size_t>(attack * rate) + 1, fade = count / 8;
    for (size_t i = 0; i < rise && i < count; ++i) out[i] *= static_cast<float>(i) / static_cast<float>(rise);
    for (size_t i = 0; i < fade; ++i) out[count - 1 - i] *= static_cast<float>(i) / static_cast<float>(fade);
    float peak = 1e-9f;
    for (float v : out) peak = std::max(peak, std::abs(v));
    for (float& v : out) v /= peak;
    return out;
  }
};

inline std::map<std::string, SynthVoice> SynthKit(SynthRandom& r) {
  std::map<std::string, SynthVoice> kit;
  const double kick_hz = r.Uniform(44, 66);
  kit["kick"] = {.partials = {{kick_hz, 1, r.Uniform(7, 18), r.Uniform(40, 170), r.Uniform(25, 60)},
                              {r.Uniform(1800, 3500), r.Uniform(0.05, 0.4), r.Uniform(300, 700)}},
                 .noise = r.Uniform(0.02, 0.15),
                 .noise_decay = 120,
                 .noise_low = 500,
                 .noise_high = 5000,
                 .length = 0.4};
  const double snare_hz = r.Uniform(160, 240);
  kit["snare"] = {.partials = {{snare_hz, r.Uniform(0.6, 1), r.Uniform(18, 32), 30, 60},
                               {snare_hz * 1.6, r.Uniform(0.2, 0.5), r.Uniform(25, 40)}},
                  .noise = r.Uniform(0.8, 1.6),
                  .noise_decay = r.Uniform(12, 28),
                  .noise_low = 600,
                  .noise_high = r.Uniform(6000, 12000),
                  .length = 0.3};
  kit["clap"] = {.noise = 1,
                 .noise_decay = r.Uniform(20, 35),
                 .noise_low = 900,
                 .noise_high = 2600,
                 .bursts = {0, r.Uniform(0.009, 0.012), r.Uniform(0.019, 0.024)},
                 .length = 0.3};
  const double low_hz = r.Uniform(75, 95);
  const double mid_hz = low_hz * r.Uniform(1.3, 1.45), high_hz = mid_hz * r.Uniform(1.28, 1.45);
  for (const auto& [name, hz] : {std::pair{"low", low_hz}, std::pair{"mid", mid_hz}, std::pair{"high", high_hz}}) {
    kit[name] = {.partials = {{hz, 1, r.Uniform(6, 12), hz * 0.15, 25}, {hz * 1.55, 0.3, 18}, {hz * 2.2, 0.15, 25}},
                 .noise = r.Uniform(0.1, 0.4),
                 .noise_decay = 60,
                 .noise_low = 300,
                 .noise_high = 6000,
                 .length = 0.5};
  }
  const double metal = r.Uniform(5200, 7500), edge = r.Uniform(5000, 8000);
  auto cymbal = [&](double gain, double decay, double noise, double noise_decay, double low, double length) {
    SynthVoice voice{
        .noise = noise, .noise_decay = noise_decay, .noise_low = low, .noise_high = 18000, .length = length};
    for (double ratio : {1.0, 1.31, 1.52, 1.83, 2.17}) voice.partials.push_back({metal * ratio, gain, decay * ratio});
    return voice;
  };
  kit["closed"] = cymbal(0.1, 60, 1, r.Uniform(45, 90), edge, 0.12);
  kit["open"] = cymbal(0.1, 8, 1, r.Uniform(6, 11), edge, 0.6);
  kit["pedal"] = cymbal(0.02, 90, 1, r.Uniform(70, 110), 2000, 0.08);
  kit["pedal"].noise_high = 6000;  // two plates that shut: a chick without the ring above
  kit["crash"] = cymbal(0.08, 2, 1, r.Uniform(1.8, 3), 2500, 2.0);
  kit["crash"].attack = 0.003;
  kit["ride"] = cymbal(0.3, 10, 0.35, r.Uniform(4, 7), 4000, 0.8);
  kit["ride"].partials.push_back({r.Uniform(2800, 3600), 0.6, 14});
  return kit;
}

// What is played: (position in beats from the bar's begin, stem, voice, gain).
struct SynthNote {
  double beat;
  const char* stem;
  const char* voice;
  double gain;
};

inline std::vector<SynthNote> SynthBar(const std::string& groove, int bar, bool fill, SynthRandom& r) {
  std::vector<SynthNote> notes;
  auto kick = [&](double b, double g = 0.9) { notes.push_back({b, "kick", "kick", g}); };
  auto snare = [&](double b, double g = 0.9) { notes.push_back({b, "snare", "snare", g}); };
  auto hat = [&](double b, double g, const char* voice = "closed") { notes.push_back({b, "hihat", voice, g}); };
  auto ride = [&](double b, double g) { notes.push_back({b, "cymbals", "ride", g}); };
  const double end = fill ? 2 : 4;
  auto until = [&](double b) { return b < end - 1e-6; };
  auto eighths = [&](bool open) {
    for (int i = 0; i < 8; ++i) {
      if (until(i / 2.0)) hat(i / 2.0, i % 2 == 0 ? 0.8 : 0.55, open && i == 7 ? "open" : "closed");
    }
  };
  auto backbeat = [&] {
    snare(1);
    if (until(3)) snare(3);
  };
  if (groove == "rock" || groove == "swing") {
    eighths(bar % 2 == 1);
    backbeat();
    kick(0);
    if (until(2)) kick(2);
    if (r.Chance(0.5) && until(2.5)) kick(2.5, 0.75);
    if (r.Chance(0.3)) kick(1.5, 0.75);
    if (r.Chance(0.25) && until(3.5)) kick(3.5, 0.7);
  } else if (groove == "sixteenths") {
    for (int i = 0; i < 16; ++i) {
      if (until(i / 4.0)) hat(i / 4.0, i % 4 == 0 ? 0.85 : i % 2 == 0 ? 0.6 : 0.42);
    }
    backbeat();
    kick(0);
    if (r.Chance(0.5)) kick(0.75, 0.75);
    if (until(2)) kick(r.Chance(0.5) ? 2 : 1.75);
    if (until(2.5)) kick(2.5, 0.8);
  } else if (groove == "funk") {
    for (int i = 0; i < 16; ++i) {
      if (until(i / 4.0) && (i % 2 == 0 || r.Chance(0.5))) hat(i / 4.0, i % 4 == 0 ? 0.8 : 0.5);
    }
    backbeat();
    for (double ghost : {0.75, 1.75, 2.25, 3.75}) {
      if (until(ghost) && r.Chance(0.5)) snare(ghost, 0.28);
    }
    kick(0);
    if (r.Chance(0.7)) kick(0.5, 0.8);
    if (until(2.5)) kick(2.5);
    if (until(3.25) && r.Chance(0.4)) kick(3.25, 0.7);
  } else if (groove == "four") {
    for (int i = 0; i < 4; ++i) {
      if (until(i)) kick(i);
      if (until(i)) hat(i, 0.45);
      if (until(i + 0.5)) hat(i + 0.5, 0.8, "open");
    }
    notes.push_back({1, "snare", "clap", 0.9});
    if (until(3)) notes.push_back({3, "snare", "clap", 0.9});
  } else if (groove == "jazz") {
    for (int i = 0; i < 4; ++i) {
      if (until(i)) ride(i, 0.8);
      if (i % 2 == 1 && until(i + 0.5)) ride(i + 0.5, 0.6);
      if (i % 2 == 1 && until(i)) hat(i, 0.6, "pedal");
      if (until(i)) kick(i, 0.45);
    }
    if (r.Chance(0.6)) snare(r.Chance(0.5) ? 1.5 : 1, 0.5);
    if (until(3.5) && r.Chance(0.5)) snare(3.5, 0.5);
  } else if (groove == "tribal") {
    for (int i = 0; i < 8; ++i) {
      if (until(i / 2.0)) notes.push_back({i / 2.0, "toms", i % 4 == 3 ? "mid" : "low", i % 2 == 0 ? 0.85 : 0.6});
    }
    kick(0);
    if (until(2)) kick(2);
    backbeat();
    for (int i = 0; i < 4; ++i) {
      if (until(i)) hat(i, 0.5, "pedal");
    }
  } else {  // ride rock
    for (int i = 0; i < 8; ++i) {
      if (until(i / 2.0)) ride(i / 2.0, i % 2 == 0 ? 0.8 : 0.55);
    }
    backbeat();
    kick(0);
    kick(r.Chance(0.5) ? 1.5 : 0.5, 0.75);
    if (until(2)) kick(2);
  }
  if (bar % 4 == 0) notes.push_back({0, "cymbals", "crash", 0.9});
  if (fill) {
    static constexpr const char* kDown[] = {"high", "high", "high", "mid", "mid", "low", "low", "low"};
    const int steps = 8;
    for (int i = 0; i < steps; ++i) {
      if (i % 2 == 0 || r.Chance(0.7)) notes.push_back({2 + i / 4.0, "toms", kDown[i], 0.75});
    }
    kick(3.5, 0.7);
  }
  return notes;
}

// Bars of three quarters, and of two or four dotted quarters: `beats` of them.
inline std::vector<SynthNote> SynthOtherBar(const std::string& groove, int bar, bool fill, int beats, SynthRandom& r) {
  std::vector<SynthNote> notes;
  const int end = fill ? beats - (beats == 4 ? 2 : 1) : beats;
  auto add = [&](double b, const char* stem, const char* voice, double g) {
    if (b < end - 1e-6) notes.push_back({b, stem, voice, g});
  };
  auto kick = [&](double b, double g = 0.9) { add(b, "kick", "kick", g); };
  auto snare = [&](double b, double g = 0.9) { add(b, "snare", "snare", g); };
  if (groove == "waltz") {
    for (int i = 0; i < 6; ++i) {
      if (i % 2 == 0 || r.Chance(0.4)) add(i / 2.0, "hihat", "closed", i % 2 == 0 ? 0.75 : 0.5);
    }
    kick(0);
    snare(1, 0.7);
    snare(2, 0.75);
    if (r.Chance(0.2)) kick(2.5, 0.6);
  } else if (groove == "rock in three") {
    for (int i = 0; i < 6; ++i) add(i / 2.0, "hihat", "closed", i % 2 == 0 ? 0.8 : 0.55);
    kick(0);
    if (r.Chance(0.4)) kick(bar % 2 == 0 ? 0.5 : 1.5, 0.7);
    snare(2);
    if (r.Chance(0.15)) snare(1.5, 0.3);
  } else if (groove == "jazz waltz") {
    for (const double b : {0.0, 1.0, 5.0 / 3, 2.0}) add(b, "cymbals", "ride", b == 5.0 / 3 ? 0.6 : 0.8);
    add(1, "hihat", "pedal", 0.6);
    kick(0, 0.5);
    if (r.Chance(0.5)) snare(r.Chance(0.5) ? 2.0 : 5.0 / 3, 0.5);
  } else {  // compound: "ballad" with a hi-hat, "ride" with a ride
    const bool ride = groove == "compound ride";
    for (int i = 0; i < 3 * beats; ++i) {
      add(i / 3.0, ride ? "cymbals" : "hihat", ride ? "ride" : "closed", i % 3 == 0 ? 0.8 : 0.55);
    }
    for (int i = 0; i < beats; ++i) i % 2 == 0 ? kick(i) : snare(i);
    if (beats == 2) {
      if (r.Chance(0.35)) kick(5.0 / 3, 0.7);
      if (r.Chance(0.2)) kick(2.0 / 3, 0.7);
    } else {
      if (r.Chance(0.8)) kick(5.0 / 3, 0.75);
      if (r.Chance(0.3)) kick(8.0 / 3, 0.7);
      if (r.Chance(0.3)) snare(11.0 / 3, 0.4);
    }
  }
  if (bar % 4 == 0) notes.push_back({0, "cymbals", "crash", 0.9});
  static constexpr const char* kDown[] = {"high", "high", "mid", "mid", "low", "low"};
  const int parts = groove.starts_with("compound") ? 3 : 2;
  for (int i = 0; fill && i < (beats - end) * parts; ++i) {
    notes.push_back({end + static_cast<double>(i) / parts, "toms", kDown[i % 6], 0.75});
  }
  return notes;
}

// Four quarters whose snare says half or twice the tempo.
inline std::vector<SynthNote> SynthFeelBar(const std::string& groove, int bar, SynthRandom& r) {
  std::vector<SynthNote> notes;
  auto kick = [&](double b, double g = 0.9) { notes.push_back({b, "kick", "kick", g}); };
  auto snare = [&](double b, double g = 0.9) { notes.push_back({b, "snare", "snare", g}); };
  auto hat = [&](double b, double g) { notes.push_back({b, "hihat", "closed", g}); };
  if (groove == "half-time") {
    for (int i = 0; i < 8; ++i) hat(i / 2.0, i % 2 == 0 ? 0.8 : 0.55);
    kick(0);
    snare(2);
    if (r.Chance(0.5)) kick(bar % 2 == 0 ? 1 : 3, 0.75);
    if (r.Chance(0.35)) kick(1.5, 0.7);
    if (r.Chance(0.35)) kick(3.5, 0.7);
  } else {  // double-time: the snare between the beats
    for (int i = 0; i < 8; ++i) hat(i / 2.0, i % 2 == 0 ? 0.8 : 0.6);
    for (int i = 0; i < 4; ++i) {
      kick(i);
      snare(i + 0.5);
    }
    if (r.Chance(0.3)) kick(2.75, 0.7);
  }
  if (bar % 4 == 0) notes.push_back({0, "cymbals", "crash", 0.9});
  return notes;
}

inline SynthTrack SynthesiseDrums(uint64_t seed, const SynthOptions& options = {}) {
  SynthRandom r(seed);
  SynthTrack track;
  // Tempi are spread evenly over the range by the golden ratio, whatever run of seeds is taken.
  const double spread = std::fmod(0.6180339887 * static_cast<double>(seed), 1.0);
  track.tempo = options.tempo > 0 ? options.tempo : 60 + 140 * spread;
  std::vector<std::string> grooves = {"rock", "four", "ride", "tribal", "swing"};
  if (track.tempo < 125) grooves.insert(grooves.end(), {"sixteenths", "funk"});
  if (track.tempo > 95) grooves.push_back("jazz");
  if (options.metre == "3/4") {
    if (options.tempo <= 0) track.tempo = 75 + 115 * spread;
    grooves = {"waltz", "rock in three"};
    if (track.tempo > 95) grooves.push_back("jazz waltz");
    track.beats_per_bar = 3;
  } else if (options.metre != "4/4") {
    if (options.tempo <= 0) track.tempo = 60 + 60 * spread;
    grooves = {"compound hats", "compound ride"};
    track.beats_per_bar = options.metre == "6/8" ? 2 : 4;
  } else if (!options.feel.empty()) {
    if (options.tempo <= 0) track.tempo = options.feel == "half-time" ? 120 + 70 * spread : 70 + 50 * spread;
    grooves = {options.feel};
  }
  track.groove = grooves[r.Bits() % grooves.size()];
  const bool swung = track.groove == "swing" || track.groove == "jazz";
  track.swing = options.swing >= 0 ? options.swing : swung ? r.Uniform(0.6, 1) : 0;
  track.drift = options.drift >= 0 ? options.drift : r.Chance(0.5) ? r.Uniform(0.02, 0.06) : 0;

  const double nominal = 60 / track.tempo;
  const int per_bar = track.beats_per_bar;
  const int bars = std::max(6, static_cast<int>(std::ceil(options.seconds / (per_bar * nominal))));
  const int count = bars * per_bar + 1;
  const double lead_in = r.Uniform(0.05, 0.6), turns = r.Uniform(0.7, 1.6), start = r.Uniform(0, 6.28);
  double t = lead_in;
  for (int i = 0; i < count; ++i) {
    track.beats.push_back(t);
    const double place = static_cast<double>(i) / count;
    t += nominal * (1 + track.drift * std::sin(start + 2 * std::numbers::pi * turns * place));
  }
  track.tempo = 60 * (count - 1) / (track.beats.back() - track.beats.front());

  auto time_of = [&](double beat) {
    const auto whole = std::min(static_cast<size_t>(beat), track.beats.size() - 2);
    double part = beat - static_cast<double>(whole);
    // Swing delays what lies on the second half of the beat, from 1/2 to 2/3 at most.
    if (track.swing > 0) {
      part = part < 0.5 ? part * (1 + track.swing / 3) : 1 - (1 - part) * (1 - track.swing / 3);
    }
    return track.beats[whole] + part * (track.beats[whole + 1] - track.beats[whole]);
  };
  const double looseness = r.Uniform(0.001, 0.006);
  for (int bar = 0; bar < bars; ++bar) {
    const bool fill = bar % 4 == 3 || bar == bars - 1;
    const std::vector<SynthNote> notes = options.metre != "4/4"  ? SynthOtherBar(track.groove, bar, fill, per_bar, r)
                                         : !options.feel.empty() ? SynthFeelBar(track.groove, bar, r)
                                                                 : SynthBar(track.groove, bar, fill, r);
    for (const SynthNote& note : notes) {
      const double seconds = time_of(per_bar * bar + note.beat) + looseness * r.Normal();
      const double gain = std::min(1.0, note.gain * (1 + 0.1 * r.Normal()));
      track.hits.push_back({std::max(0.0, seconds), note.stem, note.voice, gain});
    }
  }
  track.hits.push_back({track.beats.back(), "cymbals", "crash", 0.9});
  track.hits.push_back({track.beats.back(), "kick", "kick", 0.9});
  std::sort(track.hits.begin(), track.hits.end(), [](const auto& a, const auto& b) { return a.seconds < b.seconds; });

  if (!options.sound) return track;
  // The dry stems. A hand or foot that closes the hi-hat ends what rang in it.
  const auto samples = static_cast<size_t>((track.beats.back() + 1.5) * track.rate);
  const auto kit = SynthKit(r);
  const std::map<std::string, double> levels = {
      {"kick", 0.8}, {"snare", 0.7}, {"toms", 0.6}, {"hihat", 0.25}, {"cymbals", 0.3}};
  std::map<std::string, std::vector<std::vector<float>>> rendered;
  for (const auto& [name, voice] : kit) {
    for (int take = 0; take < 3; ++take) rendered[name].push_back(voice.Render(track.rate, r));
  }
  std::map<std::string, std::vector<float>> dry;
  for (const auto& [stem, level] : levels) dry[stem].assign(samples, 0.0f);
  for (size_t h = 0; h < track.hits.size(); ++h) {
    const SynthHit& hit = track.hits[h];
    const std::vector<float>& shot = rendered[hit.voice][r.Bits() % 3];
    std::vector<float>& out = dry[hit.stem];
    const auto begin = static_cast<size_t>(hit.seconds * track.rate);
    size_t end = std::min(samples, begin + shot.size());
    size_t choke = end;
    for (size_t next = h + 1; hit.stem == "hihat" && next < track.hits.size(); ++next) {
      if (track.hits[next].stem != "hihat") continue;
      choke = std::min(end, static_cast<size_t>(track.hits[next].seconds * track.rate));
      break;
    }
    const float gain = static_cast<float>(hit.gain * levels.at(hit.stem));
    float fade = 1;
    for (size_t i = begin; i < end; ++i) {
      if (i >= choke) fade *= 0.99f;
      out[i] += gain * fade * shot[i - begin];
    }
  }
  for (const auto& [stem, signal] : dry) {
    std::vector<float> wet = signal;
    for (const auto& [other, bleeding] : dry) {
      if (other == stem) continue;
      const auto gain = static_cast<float>(std::pow(10, -(options.bleed_db + r.Uniform(-4, 4)) / 20));
      for (size_t i = 0; i < samples; ++i) wet[i] += gain * bleeding[i];
    }
    double energy = 0;
    for (float v : wet) energy += static_cast<double>(v) * v;
    const double level = std::sqrt(3 * energy / static_cast<double>(samples)) * std::pow(10, -options.noise_db / 20);
    for (float& v : wet) v += static_cast<float>(level) * r.Noise();
    track.stems[stem] = std::move(wet);
  }
  return track;
}

struct F1 {
  int hits = 0, extra = 0, missed = 0;
  double Value() const {
    return hits == 0 ? (extra + missed == 0 ? 1 : 0) : 2.0 * hits / (2.0 * hits + extra + missed);
  }
};

// Matches times in order, each at most once, within a tolerance. Both must be sorted.
inline F1 MatchTimes(const std::vector<double>& truth, const std::vector<double>& found, double tolerance) {
  F1 f;
  size_t i = 0, j = 0;
  while (i < truth.size() && j < found.size()) {
    if (std::abs(truth[i] - found[j]) <= tolerance) {
      ++f.hits, ++i, ++j;
    } else if (truth[i] < found[j]) {
      ++f.missed, ++i;
    } else {
      ++f.extra, ++j;
    }
  }
  f.missed += static_cast<int>(truth.size() - i);
  f.extra += static_cast<int>(found.size() - j);
  return f;
}

}  // namespace timbre::testing
