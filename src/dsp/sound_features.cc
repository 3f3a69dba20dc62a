#include "dsp/sound_features.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <utility>
#include <vector>

#include "dsp/fft.h"
#include "dsp/harmonic_share.h"
#include "dsp/onset.h"
#include "dsp/tempo.h"
#include "dsp/window.h"

namespace timbre {
namespace {

constexpr int64_t kFrame = 2048, kHop = 512, kBins = kFrame / 2 + 1, kLongBins = kHarmonicFrame / 2 + 1;
constexpr double kSilentPower = 1e-6;  // -60 dB: frames below it say nothing of brightness or timbre
constexpr double kRolloff = 0.85;
constexpr double kContrastLow = 200, kContrastQuantile = 0.02;
constexpr int kMelBands = 128;
constexpr double kPowerFloor = 1e-10;
constexpr double kChromaLow = 100,
                 kChromaHigh = 5000;  // Hz: where bins are narrower than semitones, and tones have names
constexpr double kMostDecibels = 40;
constexpr double kTempoSeconds = 600;

double Decibels(double power) { return 10 * std::log10(std::max(power, kPowerFloor)); }

// Overlapping frames of a stream, the first of them centred on its first sample; both ends are followed by silence.
class Framer {
 public:
  Framer(int64_t frame, int64_t hop) : frame_(frame), hop_(hop), samples_(static_cast<size_t>(frame / 2)) {}

  template <typename Take>
  void Push(std::span<const float> mono, Take&& take) {
    samples_.insert(samples_.end(), mono.begin(), mono.end());
    int64_t at = 0;
    for (; at + frame_ <= static_cast<int64_t>(samples_.size()); at += hop_) take(samples_.data() + at);
    samples_.erase(samples_.begin(), samples_.begin() + at);
  }
  template <typename Take>
  void Finish(Take&& take) {
    Push(std::vector<float>(static_cast<size_t>(frame_ / 2)), take);
  }

 private:
  int64_t frame_, hop_;
  std::vector<float> samples_;
};

// Slaney's scale: linear to 1 kHz, logarithmic above.
double MelToHz(double mel) { return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27); }
double HzToMel(double hz) { return hz < 1000 ? hz * 3 / 200 : 15 + 27 * std::log(hz / 1000) / std::log(6.4); }

struct MelBand {
  int64_t first = 0;            // bin
  std::vector<double> weights;  // of equal area: the mean of what lies in the band
};

std::vector<MelBand> MelBands() {
  std::vector<double> edges;
  edges.reserve(kMelBands + 2);
  const double most = HzToMel(kFeatureRate / 2.0);
  for (int i = 0; i < kMelBands + 2; ++i) edges.push_back(MelToHz(most * i / (kMelBands + 1)));
  std::vector<MelBand> bands(kMelBands);
  for (size_t b = 0; b < bands.size(); ++b) {
    const double low = edges[b], middle = edges[b + 1], high = edges[b + 2];
    for (int64_t k = 0; k < kBins; ++k) {
      const double hz = static_cast<double>(k) * kFeatureRate / kFrame;
      const double weight = std::min((hz - low) / (middle - low), (high - hz) / (high - middle));
      if (weight <= 0) continue;
      if (bands[b].weights.empty()) bands[b].first = k;
      bands[b].weights.push_back(weight * 2 / (high - low));
    }
  }
  return bands;
}

// The cosine transform of type 2, orthonormal: [kMfccs, kMelBands].
std::vector<double> Cosines() {
  std::vector<double> cosines;
  for (int c = 0; c < kMfccs; ++c) {
    for (int b = 0; b < kMelBands; ++b) {
      cosines.push_back(std::sqrt((c == 0 ? 1.0 : 2.0) / kMelBands) *
                        std::cos(std::numbers::pi * c * (b + 0.5) / kMelBands));
    }
  }
  return cosines;
}

// The bins of a contrast band, [first, second): neighbouring bands share none.
std::array<std::pair<int64_t, int64_t>, kContrastBands> ContrastBins() {
  std::array<std::pair<int64_t, int64_t>, kContrastBands> bins;
  int64_t first = 0;
  for (size_t b = 0; b < kContrastBands; ++b) {
    const double high = kContrastLow * std::exp2(static_cast<double>(b));
    // A band ends before its last bin, with which the next one begins.
    const int64_t last = b + 1 < kContrastBands ? static_cast<int64_t>(high * kFrame / kFeatureRate) : kBins;
    bins[b] = {first, last};
    first = last;
  }
  return bins;
}

void Angle(double seconds, double bpm, std::array<double, 2>& tempo) {
  const double angle = 2 * std::numbers::pi * std::log2(bpm);
  tempo = {seconds * std::cos(angle), seconds * std::sin(angle)};
}

// What the tempo is found from: the rises of three parts of the spectrum stand for kick, snare and all else.
struct Pulse {
  BeatRole role;
  double low_hz, high_hz;
};
constexpr Pulse kPulses[] = {{BeatRole::kLow, 30, 150}, {BeatRole::kBack, 1000, 4000}, {BeatRole::kOther, 6000, 16000}};

}  // namespace

double ToneBandHz(int band) { return 50 * std::exp2(band / 3.0); }

void RunningMean::Add(double x) {
  ++count;
  const double distance = x - mean;
  mean += distance / static_cast<double>(count);
  squares += distance * (x - mean);
}

void RunningMean::Merge(const RunningMean& other) {
  if (other.count == 0) return;
  const auto own = static_cast<double>(count), more = static_cast<double>(other.count);
  const double distance = other.mean - mean;
  count += other.count;
  mean += distance * more / (own + more);
  squares += other.squares + distance * distance * own * more / (own + more);
}

double RunningMean::deviation() const { return count > 0 ? std::sqrt(squares / static_cast<double>(count)) : 0; }

void SoundFeatures::Merge(const SoundFeatures& other) {
  seconds += other.seconds;
  for (RunningMean SoundFeatures::*one : {&SoundFeatures::centroid, &SoundFeatures::bandwidth, &SoundFeatures::rolloff,
                                          &SoundFeatures::crossings, &SoundFeatures::power}) {
    (this->*one).Merge(other.*one);
  }
  for (size_t i = 0; i < contrast.size(); ++i) contrast[i].Merge(other.contrast[i]);
  for (size_t i = 0; i < mfcc.size(); ++i) mfcc[i].Merge(other.mfcc[i]);
  for (size_t i = 0; i < chroma.size(); ++i) chroma[i].Merge(other.chroma[i]);
  harmonic += other.harmonic;
  percussive += other.percussive;
  for (size_t i = 0; i < tone.size(); ++i) tone[i] += other.tone[i];
  bpm = 0;
  for (size_t i = 0; i < tempo.size(); ++i) tempo[i] += other.tempo[i];
}

double SoundFeatures::rms_db() const { return Decibels(power.mean); }

double SoundFeatures::harmonic_db() const {
  return std::clamp(Decibels(harmonic) - Decibels(percussive), -kMostDecibels, kMostDecibels);
}

double SoundFeatures::mean_contrast() const {
  double sum = 0;
  for (const RunningMean& band : contrast) sum += band.mean;
  return sum / kContrastBands;
}

std::optional<double> SoundFeatures::tempo_octave() const {
  if (tempo[0] == 0 && tempo[1] == 0) return std::nullopt;
  const double octave = std::atan2(tempo[1], tempo[0]) / (2 * std::numbers::pi);
  return octave - std::floor(octave);
}

struct SoundAnalyser::State {
  RealFft fft, long_fft;
  std::vector<OnsetAnalyser> pulses;
  SoundFeatures features;
  int64_t samples = 0;
  Framer frames{kFrame, kHop}, long_frames{kHarmonicFrame, kHarmonicHop};
  const std::vector<float> window = MakeWindow(WindowKind::kHann, kFrame);
  const std::vector<float> long_window = MakeWindow(WindowKind::kHann, kHarmonicFrame);
  const std::vector<MelBand> mel_bands = MelBands();
  const std::vector<double> cosines = Cosines();
  const std::array<std::pair<int64_t, int64_t>, kContrastBands> contrast_bins = ContrastBins();
  // Scratch.
  std::vector<float> windowed, spectrum, scratch, shares;
  std::vector<double> magnitude, sorted;
  // Magnitudes of the frames that the medians of the next one reach.
  std::deque<std::vector<float>> rows;
  size_t before = 0;  // rows in front of the next one

  State(RealFft short_fft, RealFft other, std::vector<OnsetAnalyser> analysers)
      : fft(std::move(short_fft)),
        long_fft(std::move(other)),
        pulses(std::move(analysers)),
        windowed(kHarmonicFrame),
        spectrum(2 * kLongBins),
        scratch(long_fft.ScratchFloats()),
        shares(kLongBins),
        magnitude(kBins) {}

  void Take(const float* frame);
  void Brightness();
  void Timbre();
  void TakeLong(const float* frame);
  void Chroma(const std::vector<float>& row);
  void Harmonic();  // of the next row, whose neighbours are there
};

void SoundAnalyser::State::Take(const float* frame) {
  double squares = 0;
  int64_t crossings = 0;
  const auto negative = [](float x) { return x < -1e-10f; };
  for (int64_t i = 0; i < kFrame; ++i) {
    squares += double{frame[i]} * frame[i];
    if (i > 0 && negative(frame[i]) != negative(frame[i - 1])) ++crossings;
  }
  if (squares / kFrame < kSilentPower) return;
  features.power.Add(squares / kFrame);
  features.crossings.Add(static_cast<double>(crossings) / kFrame);
  for (int64_t i = 0; i < kFrame; ++i) windowed[static_cast<size_t>(i)] = frame[i] * window[static_cast<size_t>(i)];
  fft.Forward(windowed.data(), spectrum.data(), scratch.data());
  for (size_t k = 0; k < kBins; ++k) magnitude[k] = std::hypot(double{spectrum[2 * k]}, double{spectrum[2 * k + 1]});
  Brightness();
  Timbre();
}

void SoundAnalyser::State::Brightness() {
  constexpr double kStep = static_cast<double>(kFeatureRate) / kFrame;
  double sum = 0, moment = 0;
  for (size_t k = 0; k < kBins; ++k) {
    sum += magnitude[k];
    moment += static_cast<double>(k) * magnitude[k];
  }
  // A constant, which the window takes apart from its few lowest bins, still has a sum.
  const double centroid = moment / sum;
  double spread = 0, below = 0;
  size_t rolloff = 0;
  for (size_t k = 0; k < kBins; ++k) {
    const double distance = static_cast<double>(k) - centroid;
    spread += magnitude[k] / sum * distance * distance;
    below += magnitude[k];
    if (below < kRolloff * sum) rolloff = k + 1;
  }
  features.centroid.Add(centroid * kStep);
  features.bandwidth.Add(std::sqrt(spread) * kStep);
  features.rolloff.Add(static_cast<double>(rolloff) * kStep);
}

void SoundAnalyser::State::Timbre() {
  for (size_t b = 0; b < kContrastBands; ++b) {
    const auto [first, last] = contrast_bins[b];
    sorted.assign(magnitude.begin() + first, magnitude.begin() + last);
    // Counted with the bin that the next band begins with.
    const int64_t shared = last < kBins ? 1 : 0;
    const auto few =
        static_cast<size_t>(std::max(1.0, std::rint(kContrastQuantile * static_cast<double>(last - first + shared))));
    std::sort(sorted.begin(), sorted.end());
    double valley = 0, peak = 0;
    for (size_t i = 0; i < few; ++i) {
      valley += sorted[i];
      peak += sorted[sorted.size() - 1 - i];
    }
    features.contrast[b].Add(Decibels(peak / static_cast<double>(few)) - Decibels(valley / static_cast<double>(few)));
  }
  std::array<double, kMelBands> mel;
  for (size_t b = 0; b < kMelBands; ++b) {
    double power = 0;
    const MelBand& band = mel_bands[b];
    for (size_t i = 0; i < band.weights.size(); ++i) {
      const double m = magnitude[static_cast<size_t>(band.first) + i];
      power += band.weights[i] * m * m;
    }
    mel[b] = Decibels(power);
  }
  for (size_t c = 0; c < kMfccs; ++c) {
    double sum = 0;
    for (size_t b = 0; b < kMelBands; ++b) sum += mel[b] * cosines[c * kMelBands + b];
    features.mfcc[c].Add(sum);
  }
}

void SoundAnalyser::State::TakeLong(const float* frame) {
  double squares = 0;
  for (int64_t i = 0; i < kHarmonicFrame; ++i) {
    squares += double{frame[i]} * frame[i];
    windowed[static_cast<size_t>(i)] = frame[i] * long_window[static_cast<size_t>(i)];
  }
  long_fft.Forward(windowed.data(), spectrum.data(), scratch.data());
  std::vector<float> row(kLongBins);
  for (size_t k = 0; k < kLongBins; ++k) row[k] = std::hypot(spectrum[2 * k], spectrum[2 * k + 1]);
  constexpr double kStep = static_cast<double>(kFeatureRate) / kHarmonicFrame;
  const double edge = std::exp2(1.0 / 6);
  for (size_t b = 0; b < kToneBands; ++b) {
    const double hz = ToneBandHz(static_cast<int>(b));
    const auto first = static_cast<size_t>(std::ceil(hz / edge / kStep));
    const auto last = static_cast<size_t>(std::floor(hz * edge / kStep));
    for (size_t k = first; k <= last; ++k) features.tone[b] += double{row[k]} * row[k];
  }
  if (squares / kHarmonicFrame >= kSilentPower) Chroma(row);
  rows.push_back(std::move(row));
  if (rows.size() > before + kHarmonicReach) Harmonic();
}

void SoundAnalyser::State::Chroma(const std::vector<float>& row) {
  constexpr double kStep = static_cast<double>(kFeatureRate) / kHarmonicFrame;
  std::array<double, kPitchClasses> classes{};
  double sum = 0;
  const auto last = static_cast<size_t>(kChromaHigh / kStep);
  for (auto k = static_cast<size_t>(kChromaLow / kStep); k < last; ++k) {
    const double left = row[k - 1], middle = row[k], right = row[k + 1];
    if (!(middle > left) || !(middle >= right)) continue;
    // A parabola through a peak's three logarithms says where between the bins it is.
    const double a = std::log(left + 1e-20), b = std::log(middle + 1e-20), c = std::log(right + 1e-20);
    const double off = std::clamp(0.5 * (a - c) / (a - 2 * b + c), -0.5, 0.5);
    const double pitch = 69 + 12 * std::log2((static_cast<double>(k) + off) * kStep / 440);  // 60 is C
    const double lower = std::floor(pitch), part = pitch - lower;
    const auto note = static_cast<size_t>(lower) % kPitchClasses;
    classes[note] += (1 - part) * middle * middle;
    classes[(note + 1) % kPitchClasses] += part * middle * middle;
    sum += middle * middle;
  }
  if (sum <= 0) return;
  for (size_t i = 0; i < classes.size(); ++i) features.chroma[i].Add(classes[i] / sum);
}

void SoundAnalyser::State::Harmonic() {
  std::array<const float*, 2 * kHarmonicReach + 1> near;
  for (size_t i = 0; i < rows.size(); ++i) near[i] = rows[i].data();
  HarmonicShares({near.data(), rows.size()}, before, kLongBins, shares.data());
  for (size_t k = 0; k < kLongBins; ++k) {
    const double m = rows[before][k], share = shares[k];
    features.harmonic += share * share * m * m;
    features.percussive += (1 - share) * (1 - share) * m * m;
  }
  if (before < kHarmonicReach) {
    ++before;
  } else {
    rows.pop_front();
  }
}

SoundAnalyser::SoundAnalyser(std::unique_ptr<State> state) : state_(std::move(state)) {}
SoundAnalyser::SoundAnalyser(SoundAnalyser&&) noexcept = default;
SoundAnalyser::~SoundAnalyser() = default;

Result<SoundAnalyser> SoundAnalyser::Create() {
  TIMBRE_TRY(RealFft fft, RealFft::Create(kFrame));
  TIMBRE_TRY(RealFft long_fft, RealFft::Create(kHarmonicFrame));
  std::vector<OnsetAnalyser> pulses;
  for (const Pulse& pulse : kPulses) {
    TIMBRE_TRY(OnsetAnalyser analyser, OnsetAnalyser::Create(kFeatureRate, pulse.low_hz, pulse.high_hz));
    pulses.push_back(std::move(analyser));
  }
  return SoundAnalyser(std::make_unique<State>(std::move(fft), std::move(long_fft), std::move(pulses)));
}

void SoundAnalyser::Push(std::span<const float> mono) {
  State& s = *state_;
  s.frames.Push(mono, [&](const float* frame) { s.Take(frame); });
  s.long_frames.Push(mono, [&](const float* frame) { s.TakeLong(frame); });
  const auto left = static_cast<int64_t>(kTempoSeconds * kFeatureRate) - s.samples;
  if (left > 0) {
    for (OnsetAnalyser& pulse : s.pulses) pulse.Push(mono.first(std::min(mono.size(), static_cast<size_t>(left))));
  }
  s.samples += static_cast<int64_t>(mono.size());
}

SoundFeatures SoundAnalyser::Finish() {
  State& s = *state_;
  s.frames.Finish([&](const float* frame) { s.Take(frame); });
  s.long_frames.Finish([&](const float* frame) { s.TakeLong(frame); });
  while (s.before < s.rows.size()) s.Harmonic();
  SoundFeatures& features = s.features;
  features.seconds = static_cast<double>(s.samples) / kFeatureRate;
  std::vector<BeatOnset> onsets;
  for (size_t i = 0; i < s.pulses.size(); ++i) {
    for (const Onset& onset : PickOnsets(s.pulses[i].Finish(), {})) {
      onsets.push_back({onset.seconds, kPulses[i].role, std::min(1.0, onset[OnsetFeature::kStrength])});
    }
  }
  std::sort(onsets.begin(), onsets.end(), [](const BeatOnset& a, const BeatOnset& b) { return a.seconds < b.seconds; });
  features.bpm = EstimateBeats(onsets, std::min(features.seconds, kTempoSeconds), {}).bpm;
  if (features.bpm > 0) Angle(features.seconds, features.bpm, features.tempo);
  return features;
}

}  // namespace timbre
