#include "dsp/onset.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "dsp/fft.h"
#include "dsp/window.h"

namespace timbre {
namespace {

constexpr int kLag = 4;  // frames between the two spectra of a difference: half of what a window effectively spans
constexpr double kPitchLowHz = 50, kPitchHighHz = 400;
constexpr float kSilence = 1e-5f;  // -100 dB over full scale: what level ratios are floored at

double Decibel(double magnitude) { return 20 * std::log10(std::max(magnitude, static_cast<double>(kSilence))); }

// A Butterworth section of second order, by the bilinear transform.
class Biquad {
 public:
  static Biquad LowPass(double hz, double rate) { return Biquad(hz, rate, false); }
  static Biquad HighPass(double hz, double rate) { return Biquad(hz, rate, true); }
  float operator()(float x) {
    const double y = b0_ * x + s1_;
    s1_ = b1_ * x - a1_ * y + s2_;
    s2_ = b0_ * x - a2_ * y;  // b2 = b0 for both kinds
    return static_cast<float>(y);
  }

 private:
  Biquad(double hz, double rate, bool high) {
    const double k = std::tan(std::numbers::pi * hz / rate);
    const double norm = 1 / (1 + std::numbers::sqrt2 * k + k * k);
    b0_ = high ? norm : k * k * norm;
    b1_ = high ? -2 * b0_ : 2 * b0_;
    a1_ = 2 * (k * k - 1) * norm;
    a2_ = (1 - std::numbers::sqrt2 * k + k * k) * norm;
  }
  double b0_, b1_, a1_, a2_, s1_ = 0, s2_ = 0;
};

double Median(std::vector<float>& values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

size_t Index(double seconds, double step, size_t size) {
  if (size == 0 || seconds <= 0) return 0;
  return std::min(size - 1, static_cast<size_t>(seconds / step));
}

// The largest and the mean of the envelope within [from, to) seconds.
float Largest(const OnsetTrack& track, double from, double to) {
  const size_t size = track.envelope.size();
  const size_t begin = Index(from, track.fine_seconds, size), end = Index(to, track.fine_seconds, size);
  float largest = 0;
  for (size_t i = begin; i < std::max(end, begin + 1) && i < size; ++i) largest = std::max(largest, track.envelope[i]);
  return largest;
}

double Mean(const OnsetTrack& track, double from, double to) {
  if (to <= 0 || track.envelope.empty()) return 0;
  const size_t begin = Index(from, track.fine_seconds, track.envelope.size());
  const size_t end = Index(to, track.fine_seconds, track.envelope.size());
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += track.envelope[i];
  return end > begin ? sum / static_cast<double>(end - begin) : 0;
}

// Where the envelope's steepest step near `coarse` crosses a quarter of its height: the attack, to a millisecond. The
// flux knows it only to a hop.
double Refine(const OnsetTrack& track, double coarse) {
  const std::vector<float>& e = track.envelope;
  const auto reach = static_cast<std::ptrdiff_t>(0.018 / track.fine_seconds);
  const auto span = static_cast<std::ptrdiff_t>(0.012 / track.fine_seconds);
  const auto size = static_cast<std::ptrdiff_t>(e.size());
  const auto centre = static_cast<std::ptrdiff_t>(std::max(0.0, coarse) / track.fine_seconds);
  auto highest = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
    float value = 0;
    for (std::ptrdiff_t i = std::max<std::ptrdiff_t>(0, from); i < std::min(size, to); ++i)
      value = std::max(value, e[i]);
    return value;
  };
  std::ptrdiff_t best = std::clamp<std::ptrdiff_t>(centre, 0, std::max<std::ptrdiff_t>(0, size - 1));
  float best_step = 0, before = 0, after = 0;
  for (std::ptrdiff_t i = std::max<std::ptrdiff_t>(0, centre - reach); i < std::min(size, centre + reach); ++i) {
    const float low = highest(i - span, i), high = highest(i, i + span);
    if (high - low > best_step * 1.0001f) {
      best_step = high - low;
      best = i;
      before = low;
      after = high;
    }
  }
  const float crossing = before + 0.25f * (after - before);
  while (best + 1 < size && e[best] < crossing) ++best;
  return static_cast<double>(best) * track.fine_seconds;
}

double Decay(const OnsetTrack& track, double from, double until) {
  const double window = 0.012;
  const float target = 0.1f * Largest(track, from, from + 0.04);
  double t = from + 0.005;
  while (t + window < until && Largest(track, t, t + window) > target) t += 0.002;
  return 1000 * (t - from);
}

// Rises of more than 4 dB out of a dip of as much, within 45 ms.
int Bursts(const OnsetTrack& track, double from) {
  const double ratio = 1.6;
  float low = Largest(track, from, from + 0.003), high = low;
  const float floor = 0.2f * Largest(track, from, from + 0.045);
  int count = 1;
  bool falling = false;
  for (int ms = 2; ms < 45; ++ms) {
    const double t = from + 0.001 * ms;
    const float e = Largest(track, t, t + 0.003);
    if (falling) {
      low = std::min(low, e);
      if (e > ratio * low && e > floor) {
        ++count;
        falling = false;
        high = e;
      }
    } else {
      high = std::max(high, e);
      if (e * ratio < high) {
        falling = true;
        low = e;
      }
    }
  }
  return count;
}

double Pitch(const OnsetTrack& track, double from) {
  const size_t size = track.pitch_hz.size();
  std::vector<float> values;
  const size_t end = Index(from + 0.11, track.hop_seconds, size);
  for (size_t frame = Index(from + 0.03, track.hop_seconds, size); frame < end; ++frame) {
    if (track.pitch_hz[frame] > 0) values.push_back(track.pitch_hz[frame]);
  }
  return Median(values);
}

}  // namespace

struct OnsetAnalyser::State {
  State(double sample_rate, RealFft plan, double low_hz, double high_hz)
      : rate(sample_rate),
        fft(std::move(plan)),
        hop(fft.size() / 8),
        fine_step(static_cast<size_t>(std::max(1.0, std::round(rate / 1000)))),
        high_pass(Biquad::HighPass(low_hz, rate)),
        low_pass(Biquad::LowPass(std::min(high_hz, 0.45 * rate), rate)),
        window(MakeWindow(WindowKind::kHann, fft.size())),
        frame(fft.size()),
        spectrum(2 * fft.bins()),
        scratch(fft.ScratchFloats()),
        pending(fft.size() / 2, 0.0f),
        bin_power(fft.bins()) {
    const double bin_hz = rate / static_cast<double>(fft.size());
    auto bin = [&](double hz) { return std::min(fft.bins() - 1, static_cast<size_t>(std::lround(hz / bin_hz))); };
    first = std::max<size_t>(1, bin(low_hz));
    last = std::min(std::max(bin(high_hz), first + 2), fft.bins() - 1);
    first = std::min(first, last);
    pitch_first = std::max<size_t>(1, bin(kPitchLowHz));
    pitch_last = bin(kPitchHighHz);
    for (size_t b = 0; b <= kOnsetBands; ++b) {
      band_begin[b] = std::min(fft.bins(), static_cast<size_t>(std::ceil(kOnsetBandEdges[b] / bin_hz)));
    }
    history.assign(kLag, std::vector<float>(last - first + 1, 0.0f));
    // A sine of amplitude 1 has magnitude 1 in its bin.
    float sum = 0;
    for (float w : window) sum += w;
    for (float& w : window) w *= 2 / sum;
    track.low_hz = low_hz;
    track.high_hz = high_hz;
    track.hop_seconds = static_cast<double>(hop) / rate;
    track.fine_seconds = static_cast<double>(fine_step) / rate;
    track.overview_seconds = 10 * track.fine_seconds;
  }

  void Sample(float x) {
    if (!std::isfinite(x)) x = 0;
    pending.push_back(x);
    envelope_peak = std::max(envelope_peak, std::abs(low_pass(high_pass(x))));
    smallest = std::min(smallest, x);
    largest = std::max(largest, x);
    if (++count % fine_step != 0) return;
    track.envelope.push_back(envelope_peak);
    envelope_peak = 0;
    if (count % (10 * fine_step) != 0) return;
    track.overview.push_back({smallest, largest});
    smallest = largest = 0;
  }

  void Frames() {
    size_t start = 0;
    for (; pending.size() - start >= fft.size(); start += hop) Frame(pending.data() + start);
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(start));
  }

  void Frame(const float* x) {
    for (size_t i = 0; i < frame.size(); ++i) frame[i] = x[i] * window[i];
    fft.Forward(frame.data(), spectrum.data(), scratch.data());
    for (size_t k = 0; k < bin_power.size(); ++k) {
      bin_power[k] = spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1];
    }
    BandPower power{};
    for (size_t b = 0; b < kOnsetBands; ++b) {
      for (size_t k = band_begin[b]; k < band_begin[b + 1]; ++k) power[b] += bin_power[k];
    }
    track.power.push_back(power);

    std::vector<float>& past = history[track.flux.size() % kLag];  // holds the frame kLag before, then this one
    double rise = 0;
    for (size_t k = first; k <= last; ++k) {
      const float root = std::sqrt(std::sqrt(bin_power[k]));
      rise += std::max(0.0f, root - past[k - first]);
      past[k - first] = root;
    }
    track.flux.push_back(static_cast<float>(rise / static_cast<double>(last - first + 1)));
    track.pitch_hz.push_back(StrongestPartial());
  }

  // The largest bin's frequency, by a parabola through the logarithms of it and its neighbours.
  float StrongestPartial() const {
    size_t k = pitch_first;
    for (size_t i = pitch_first; i <= pitch_last; ++i) {
      if (bin_power[i] > bin_power[k]) k = i;
    }
    if (bin_power[k] < kSilence * kSilence || k + 1 >= fft.bins()) return 0;
    const double a = std::log(bin_power[k - 1] + 1e-20), b = std::log(bin_power[k]),
                 c = std::log(bin_power[k + 1] + 1e-20);
    const double bend = a - 2 * b + c;
    const double shift = bend < 0 ? std::clamp(0.5 * (a - c) / bend, -0.5, 0.5) : 0;
    return static_cast<float>((static_cast<double>(k) + shift) * rate / static_cast<double>(fft.size()));
  }

  double rate;
  RealFft fft;
  size_t hop, fine_step;
  Biquad high_pass, low_pass;
  std::vector<float> window, frame, spectrum, scratch, pending, bin_power;
  std::vector<std::vector<float>> history;           // of the band's bins
  std::array<size_t, kOnsetBands + 1> band_begin{};  // in bins
  size_t first = 0, last = 0, pitch_first = 0, pitch_last = 0, count = 0;
  float envelope_peak = 0, smallest = 0, largest = 0;
  OnsetTrack track;
};

Result<OnsetAnalyser> OnsetAnalyser::Create(double sample_rate, double low_hz, double high_hz) {
  if (!(sample_rate >= 8000 && sample_rate <= 768000)) {
    return Fail(ErrorCode::kInvalidArgument, "Onsets need a sample rate from 8 kHz to 768 kHz.");
  }
  if (!(low_hz >= 10 && low_hz < high_hz && low_hz < 0.4 * sample_rate)) {
    return Fail(ErrorCode::kInvalidArgument,
                "A stem's band must begin at 10 Hz or above, below its end and below two "
                "fifths of the sample rate.");
  }
  size_t size = 256;  // 46 ms at 44.1 kHz: two partials of a tom are told apart, two hits 75 ms apart as well
  while (static_cast<double>(size) * 2 <= 0.047 * sample_rate) size *= 2;
  TIMBRE_TRY(RealFft fft, RealFft::Create(size));
  return OnsetAnalyser(std::make_unique<State>(sample_rate, std::move(fft), low_hz, high_hz));
}

OnsetAnalyser::OnsetAnalyser(std::unique_ptr<State> state) : state_(std::move(state)) {}
OnsetAnalyser::~OnsetAnalyser() = default;
OnsetAnalyser::OnsetAnalyser(OnsetAnalyser&&) noexcept = default;

void OnsetAnalyser::Push(std::span<const float> mono) {
  while (!mono.empty()) {  // in blocks, so that a long push needs no more memory than a short one
    const auto block = mono.first(std::min<size_t>(mono.size(), 8192));
    for (float x : block) state_->Sample(x);
    state_->Frames();
    mono = mono.subspan(block.size());
  }
}

OnsetTrack OnsetAnalyser::Finish() {
  State& s = *state_;
  s.track.seconds = static_cast<double>(s.count) / s.rate;
  s.pending.resize(s.pending.size() + s.fft.size() / 2, 0.0f);
  s.Frames();
  if (s.count % s.fine_step != 0) s.track.envelope.push_back(s.envelope_peak);
  if (s.count % (10 * s.fine_step) != 0) s.track.overview.push_back({s.smallest, s.largest});
  return std::move(s.track);
}

namespace {
constexpr std::array<std::string_view, kOnsetFeatures> kFeatureNames = {
    "strength",    "rise_db",  "level_db", "peak_db", "share",    "low_share", "high_share",
    "centroid_hz", "decay_ms", "pitch_hz", "bursts",  "bleed_db", "others_db", "pitch_group"};
}

std::string_view OnsetFeatureName(OnsetFeature feature) { return kFeatureNames[static_cast<size_t>(feature)]; }

int OnsetFeatureIndex(std::string_view name) {
  const auto found = std::find(kFeatureNames.begin(), kFeatureNames.end(), name);
  return found == kFeatureNames.end() ? -1 : static_cast<int>(found - kFeatureNames.begin());
}

BandPower NewPower(const OnsetTrack& track, double seconds) {
  BandPower result{};
  const size_t size = track.power.size();
  if (size == 0) return result;
  // The frame before must end before the attack: its centre lies half a window, four hops, earlier.
  const BandPower& before = track.power[Index(seconds - 4 * track.hop_seconds, track.hop_seconds, size)];
  const size_t begin = Index(seconds, track.hop_seconds, size), end = Index(seconds + 0.04, track.hop_seconds, size);
  for (size_t frame = begin; frame <= end; ++frame) {
    for (size_t b = 0; b < kOnsetBands; ++b) {
      result[b] = std::max(result[b], track.power[frame][b] - before[b]);
    }
  }
  return result;
}

double PowerWithin(const BandPower& power, double low_hz, double high_hz) {
  double sum = 0;
  for (size_t b = 0; b < kOnsetBands; ++b) {
    const double low = std::max(low_hz, kOnsetBandEdges[b]), high = std::min(high_hz, kOnsetBandEdges[b + 1]);
    if (high > low) sum += power[b] * std::log(high / low) / std::log(kOnsetBandEdges[b + 1] / kOnsetBandEdges[b]);
  }
  return sum;
}

std::vector<Onset> PickOnsets(const OnsetTrack& track, const PickOptions& options) {
  const std::vector<float>& flux = track.flux;
  const double gap = options.gap_ms / 1000;
  const auto reach = static_cast<std::ptrdiff_t>(std::max(1.0, gap / 2 / track.hop_seconds));
  const auto size = static_cast<std::ptrdiff_t>(flux.size());

  std::vector<std::ptrdiff_t> peaks;
  float highest = 0;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    bool peak = flux[i] > 1e-5f;
    for (std::ptrdiff_t j = std::max<std::ptrdiff_t>(0, i - reach); peak && j < std::min(size, i + reach + 1); ++j) {
      peak = flux[j] < flux[i] || j == i || (flux[j] == flux[i] && j > i);
    }
    if (!peak) continue;
    peaks.push_back(i);
    highest = std::max(highest, flux[i]);
  }
  // A typical hit: the median of those at least half as strong as the strongest, so that noise between hits has no say.
  std::vector<float> strong;
  for (std::ptrdiff_t i : peaks) {
    if (flux[i] >= 0.5f * highest) strong.push_back(flux[i]);
  }
  const double typical = Median(strong);

  std::vector<Onset> onsets;
  const auto around = static_cast<std::ptrdiff_t>(0.2 / track.hop_seconds);
  for (std::ptrdiff_t i : peaks) {
    std::vector<float> near(flux.begin() + std::max<std::ptrdiff_t>(0, i - around),
                            flux.begin() + std::min(size, i + around + 1));
    const double strength = (flux[i] - Median(near)) / typical;
    if (strength < options.threshold) continue;
    Onset onset;
    onset.seconds = Refine(track, (static_cast<double>(i) - 0.5 * kLag) * track.hop_seconds);
    onset[OnsetFeature::kStrength] = strength;
    // Of two within the gap, the stronger stays.
    if (!onsets.empty() && onset.seconds - onsets.back().seconds < gap) {
      if (strength > onsets.back()[OnsetFeature::kStrength]) onsets.back() = onset;
      continue;
    }
    onsets.push_back(onset);
  }

  std::vector<double> peak_levels;
  for (size_t i = 0; i < onsets.size(); ++i) {
    Onset& onset = onsets[i];
    const double t = onset.seconds, until = i + 1 < onsets.size() ? onsets[i + 1].seconds : track.seconds;
    const double peak = Decibel(Largest(track, t, t + 0.03));
    onset[OnsetFeature::kPeakDb] = peak;
    onset[OnsetFeature::kRiseDb] = peak - Decibel(Mean(track, t - 0.03, t - 0.002));
    onset[OnsetFeature::kDecayMs] = Decay(track, t, until);
    onset[OnsetFeature::kPitchHz] = Pitch(track, t);
    onset[OnsetFeature::kBursts] = Bursts(track, t);
    onset[OnsetFeature::kBleedDb] = onset[OnsetFeature::kOthersDb] = -99;
    const BandPower power = NewPower(track, t);
    const double all = PowerWithin(power, kOnsetBandEdges.front(), kOnsetBandEdges.back()) + 1e-20;
    onset[OnsetFeature::kShare] = PowerWithin(power, track.low_hz, track.high_hz) / all;
    onset[OnsetFeature::kLowShare] = PowerWithin(power, 30, 250) / all;
    onset[OnsetFeature::kHighShare] = PowerWithin(power, 4000, 16000) / all;
    double log_hz = 0, weight = 1e-20;
    for (size_t b = 0; b < kOnsetBands; ++b) {
      const double low = std::max(track.low_hz, kOnsetBandEdges[b]),
                   high = std::min(track.high_hz, kOnsetBandEdges[b + 1]);
      const double inside = low < high ? PowerWithin(power, low, high) : 0;
      log_hz += inside * 0.5 * std::log(low * high);
      weight += inside;
    }
    onset[OnsetFeature::kCentroidHz] = std::exp(log_hz / weight);
    peak_levels.push_back(peak);
  }
  // Loud hits: the 95th percentile, so that one accent does not set the scale.
  std::vector<double> sorted = peak_levels;
  std::sort(sorted.begin(), sorted.end());
  const double loud = sorted.empty() ? 0 : sorted[sorted.size() - 1 - sorted.size() / 20];
  for (size_t i = 0; i < onsets.size(); ++i) onsets[i][OnsetFeature::kLevelDb] = peak_levels[i] - loud;
  return onsets;
}

}  // namespace timbre
