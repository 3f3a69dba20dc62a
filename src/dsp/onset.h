// Onsets of one percussion stem: spectral-flux strength, adaptive peak picking, timing finer than a hop, and what each
// hit sounded like. The signal is pushed in blocks of any size; what is kept is about 20 kB a second, never the audio
// itself.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

// Edges, in Hz, of the bands in which every stem's power is kept, so that stems can be compared with one another.
inline constexpr std::array<double, 13> kOnsetBandEdges = {30,   60,   100,  160,  250,   400,  700,
                                                           1200, 2200, 4000, 7000, 11000, 16000};
inline constexpr int kOnsetBands = static_cast<int>(kOnsetBandEdges.size()) - 1;
using BandPower = std::array<float, kOnsetBands>;

// What a stem's analysis keeps of its signal.
struct OnsetTrack {
  double low_hz = 0, high_hz = 0;  // the stem's own band
  double seconds = 0;              // length of the signal
  double hop_seconds = 0;          // frame i is centred on i * hop_seconds
  std::vector<float> flux;         // per frame: rise of the square root of magnitude, mean over the bins of the band
  std::vector<BandPower> power;    // per frame
  std::vector<float> pitch_hz;     // per frame: the strongest partial between 50 and 400 Hz
  double fine_seconds = 0;         // step of the two below, about a millisecond
  std::vector<float> envelope;     // peak magnitude of the signal filtered to the band
  double overview_seconds = 0;     // step of the overview, for drawing
  std::vector<std::array<float, 2>> overview;  // smallest and largest sample
};

// Gathers an OnsetTrack. Not thread-safe.
class OnsetAnalyser {
 public:
  // `low_hz` < `high_hz` is the band in which the instrument speaks. Fails on a band that is none, and on a sample rate
  // below 8 kHz or above 768 kHz.
  static Result<OnsetAnalyser> Create(double sample_rate, double low_hz, double high_hz);
  ~OnsetAnalyser();
  OnsetAnalyser(OnsetAnalyser&&) noexcept;

  // Mono samples; those that are not finite count as silence.
  void Push(std::span<const float> mono);
  // Ends the signal. Push must not be called again.
  OnsetTrack Finish();

 private:
  struct State;
  explicit OnsetAnalyser(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What is measured of a hit. The names are those of the configuration and of the report.
enum class OnsetFeature {
  kStrength,    // flux over the stem's typical hit (1)
  kRiseDb,      // band level in the 30 ms after over that before
  kLevelDb,     // band peak over that of the stem's loud hits (0 dB)
  kPeakDb,      // band peak in dB over full scale
  kShare,       // of the new energy, the part within the stem's band (0 to 1)
  kLowShare,    // the part below 250 Hz
  kHighShare,   // the part above 4 kHz
  kCentroidHz,  // mean of log frequency over the new energy within the band
  kDecayMs,     // until the band level is 20 dB down, or the next hit comes
  kPitchHz,     // the strongest partial between 50 and 400 Hz
  kBursts,      // attacks within the first 45 ms: a clap has several
  kBleedDb,     // what leaks in from other stems over what came in, in the band; -99 is none
  kOthersDb,    // how far the loudest other stem is above this one, in the band, at this moment; -99 is none
  kPitchGroup,  // 0, 1 or 2: which of the stem's drums, by pitch
};
inline constexpr int kOnsetFeatures = 14;
std::string_view OnsetFeatureName(OnsetFeature feature);
// The feature of that name, or -1.
int OnsetFeatureIndex(std::string_view name);

struct Onset {
  double seconds = 0;
  std::array<double, kOnsetFeatures> features{};
  double& operator[](OnsetFeature f) { return features[static_cast<size_t>(f)]; }
  double operator[](OnsetFeature f) const { return features[static_cast<size_t>(f)]; }
};

struct PickOptions {
  double threshold = 0.12;  // flux above the local mean, in typical hits, that makes a candidate
  double gap_ms = 45;       // two candidates are at least so far apart
};

// Candidates in order of time, with every feature but the last three, which need other stems or other hits. A signal
// without any rise gives none.
std::vector<Onset> PickOnsets(const OnsetTrack& track, const PickOptions& options);

// The power that came in at `seconds` (new over what sounded before), per band: the largest of the frames within 40 ms.
BandPower NewPower(const OnsetTrack& track, double seconds);
// The part of `power` within a band, bands cut by its edges counted by their share of log frequency.
double PowerWithin(const BandPower& power, double low_hz, double high_hz);

}  // namespace timbre
