#include "dsp/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "dsp/fft.h"

namespace timbre {
namespace {

using Signal = std::span<const float>;

constexpr double kEpsilon = 2.220446049250313e-16;  // what the published implementations add to a divisor

Status CheckPair(Signal reference, Signal estimate) {
  if (reference.size() != estimate.size()) {
    return Fail(ErrorCode::kInvalidArgument, "the reference has " + std::to_string(reference.size()) +
                                                 " samples and the estimate has " + std::to_string(estimate.size()) +
                                                 "; cut them to the same length.");
  }
  if (reference.empty()) return Fail(ErrorCode::kInvalidArgument, "the signals to compare are empty.");
  const auto finite = [](float x) { return std::isfinite(x); };
  if (!std::all_of(reference.begin(), reference.end(), finite)) {
    return Fail(ErrorCode::kInvalidArgument, "the reference holds NaN or infinity.");
  }
  if (!std::all_of(estimate.begin(), estimate.end(), finite)) {
    return Fail(ErrorCode::kInvalidArgument, "the estimate holds NaN or infinity.");
  }
  if (std::all_of(reference.begin(), reference.end(), [](float x) { return x == 0.0f; })) {
    return Fail(ErrorCode::kInvalidArgument, "the reference is silent, so nothing can be measured against it.");
  }
  return {};
}

double Energy(Signal x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return sum;
}

// Energy of scale·x − y.
double ErrorEnergy(double scale, Signal x, Signal y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = scale * x[i] - y[i];
    sum += error * error;
  }
  return sum;
}

double RatioDb(double signal, double error) {
  if (signal <= 0) return -kRatioLimitDb;
  if (error <= 0) return kRatioLimitDb;
  return std::clamp(10 * std::log10(signal / error), -kRatioLimitDb, kRatioLimitDb);
}

// 0.5 − 0.5·cos(2π·n/(N+1)) for n = 1 … N: the Hann window without its zeros.
std::vector<double> HannWindow(int64_t length) {
  std::vector<double> window(length);
  for (int64_t n = 0; n < length; ++n) {
    window[n] =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(n + 1) / static_cast<double>(length + 1));
  }
  return window;
}

// --- Intelligibility. Both measures share their spectra; numbers as in the 2011 paper, section II.

constexpr int64_t kFrame = 256;   // 25.6 ms at kStoiRate
constexpr int64_t kHop = 128;     // half a frame
constexpr int kFft = 512;         // frames are padded to this
constexpr int kBands = 15;        // third octaves
constexpr double kLowest = 150;   // centre of the first band, Hz
constexpr int64_t kSegment = 30;  // frames a correlation spans, 384 ms
constexpr double kRangeDb = 40;   // frames this far below the loudest are silence
constexpr double kClipDb = 15;    // lower bound of a band's signal-to-distortion ratio

// Third-octave envelopes over time: [frame][band].
using Envelopes = std::vector<std::array<double, kBands>>;
// kSegment frames of them, band by band.
using Segment = std::array<std::array<double, kSegment>, kBands>;

// Windowed frames at every hop, up to but not including a frame that ends at the signal's end (the published code
// leaves that one out, and its figures depend on it).
int64_t FrameCount(size_t length) {
  const int64_t room = static_cast<int64_t>(length) - kFrame;
  return room <= 0 ? 0 : (room - 1) / kHop + 1;
}

// Which frames of the reference hold speech.
std::vector<int64_t> SpeechFrames(Signal reference, const std::vector<double>& window) {
  std::vector<double> level(FrameCount(reference.size()));
  for (size_t f = 0; f < level.size(); ++f) {
    double sum = 0;
    for (int64_t n = 0; n < kFrame; ++n) {
      const double value = window[n] * reference[f * kHop + n];
      sum += value * value;
    }
    level[f] = 20 * std::log10(std::sqrt(sum) + kEpsilon);
  }
  std::vector<int64_t> kept;
  if (level.empty()) return kept;
  const double loudest = *std::max_element(level.begin(), level.end());
  for (size_t f = 0; f < level.size(); ++f) {
    if (loudest - kRangeDb - level[f] < 0) kept.push_back(static_cast<int64_t>(f));
  }
  return kept;
}

// The kept frames, windowed and overlap-added one hop apart: the signal without its pauses.
std::vector<double> WithoutPauses(Signal signal, const std::vector<int64_t>& kept, const std::vector<double>& window) {
  std::vector<double> joined((kept.size() - 1) * kHop + kFrame);
  for (size_t f = 0; f < kept.size(); ++f) {
    for (int64_t n = 0; n < kFrame; ++n) joined[f * kHop + n] += window[n] * signal[kept[f] * kHop + n];
  }
  return joined;
}

// First bin of each band and one past the last, as offsets into the spectrum: entry b and b + 1 bound band b.
std::array<int, kBands + 1> BandEdges() {
  std::array<int, kBands + 1> edges;
  for (int b = 0; b <= kBands; ++b) {
    edges[b] = static_cast<int>(std::lround(kLowest * std::exp2((2.0 * b - 1) / 6) * kFft / kStoiRate));
  }
  return edges;
}

Result<Envelopes> BandEnvelopes(const std::vector<double>& signal, const std::vector<double>& window) {
  const std::array<int, kBands + 1> edges = BandEdges();
  TIMBRE_TRY(const RealFft fft, RealFft::Create(kFft));
  std::vector<float> frame(kFft), spectrum(2 * fft.bins()), scratch(fft.ScratchFloats());
  Envelopes envelopes(FrameCount(signal.size()));
  for (size_t f = 0; f < envelopes.size(); ++f) {
    for (int64_t n = 0; n < kFrame; ++n) frame[n] = static_cast<float>(window[n] * signal[f * kHop + n]);
    fft.Forward(frame.data(), spectrum.data(), scratch.data());
    for (int b = 0; b < kBands; ++b) {
      envelopes[f][b] = std::sqrt(Energy(Signal(spectrum).subspan(2 * edges[b], 2 * (edges[b + 1] - edges[b]))));
    }
  }
  return envelopes;
}

struct EnvelopePair {
  Envelopes reference, estimate;
};

Result<EnvelopePair> SpeechEnvelopes(Signal reference, Signal estimate) {
  TIMBRE_CHECK(CheckPair(reference, estimate));
  const std::vector<double> window = HannWindow(kFrame);
  const std::vector<int64_t> kept = SpeechFrames(reference, window);
  if (static_cast<int64_t>(kept.size()) <= kSegment) {
    return Fail(ErrorCode::kInvalidArgument,
                "the reference holds less than 0.4 s of sound, too little to judge speech by.");
  }
  EnvelopePair pair;
  TIMBRE_TRY(pair.reference, BandEnvelopes(WithoutPauses(reference, kept, window), window));
  TIMBRE_TRY(pair.estimate, BandEnvelopes(WithoutPauses(estimate, kept, window), window));
  return pair;
}

Segment SegmentAt(const Envelopes& envelopes, int64_t first) {
  Segment segment;
  for (int64_t t = 0; t < kSegment; ++t) {
    for (int b = 0; b < kBands; ++b) segment[b][t] = envelopes[first + t][b];
  }
  return segment;
}

double Norm(std::span<const double> x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

// Takes the mean away and divides by the norm of what is left; a constant becomes zero.
void Normalise(std::span<double> x) {
  double mean = 0;
  for (const double value : x) mean += value / static_cast<double>(x.size());
  for (double& value : x) value -= mean;
  const double norm = Norm(x);
  for (double& value : x) value /= norm + kEpsilon;
}

double Dot(std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

// The intermediate measure of one segment, summed over bands (equations 3 to 5 of the 2011 paper).
double Correlation(Segment x, Segment y) {
  const double clip = 1 + std::pow(10.0, kClipDb / 20);
  double sum = 0;
  for (int b = 0; b < kBands; ++b) {
    const double gain = Norm(x[b]) / (Norm(y[b]) + kEpsilon);
    for (int64_t t = 0; t < kSegment; ++t) y[b][t] = std::min(gain * y[b][t], clip * x[b][t]);
    Normalise(x[b]);
    Normalise(y[b]);
    sum += Dot(x[b], y[b]);
  }
  return sum / kBands;
}

// Rows (bands over time), then columns (times over bands) normalised.
void NormaliseRowsThenColumns(Segment& segment) {
  for (auto& row : segment) Normalise(row);
  for (int64_t t = 0; t < kSegment; ++t) {
    std::array<double, kBands> column;
    for (int b = 0; b < kBands; ++b) column[b] = segment[b][t];
    Normalise(column);
    for (int b = 0; b < kBands; ++b) segment[b][t] = column[b];
  }
}

// The mean over a segment's frames of the correlation of spectra (equations 4 to 7 of the 2016 paper).
double ExtendedCorrelation(Segment x, Segment y) {
  NormaliseRowsThenColumns(x);
  NormaliseRowsThenColumns(y);
  double sum = 0;
  for (int b = 0; b < kBands; ++b) sum += Dot(x[b], y[b]);
  return sum / kSegment;
}

template <typename Measure>
Result<double> MeanOverSegments(Signal reference, Signal estimate, const Measure& measure) {
  TIMBRE_TRY(const EnvelopePair envelopes, SpeechEnvelopes(reference, estimate));
  const int64_t segments = static_cast<int64_t>(envelopes.reference.size()) - kSegment + 1;
  double sum = 0;
  for (int64_t s = 0; s < segments; ++s) {
    sum += measure(SegmentAt(envelopes.reference, s), SegmentAt(envelopes.estimate, s));
  }
  return sum / static_cast<double>(segments);
}

}  // namespace

Result<double> Sdr(Signal reference, Signal estimate) {
  TIMBRE_CHECK(CheckPair(reference, estimate));
  return RatioDb(Energy(reference), ErrorEnergy(1, reference, estimate));
}

Result<double> MedianFrameSdr(Signal reference, Signal estimate, int64_t frame) {
  TIMBRE_CHECK(CheckPair(reference, estimate));
  if (frame < 1) return Fail(ErrorCode::kInvalidArgument, "a frame needs at least one sample.");
  const size_t step = std::min<size_t>(frame, reference.size());
  std::vector<double> ratios;
  for (size_t begin = 0; begin + step <= reference.size(); begin += step) {
    const Signal s = reference.subspan(begin, step), e = estimate.subspan(begin, step);
    const double energy = Energy(s);
    if (energy > 0 && Energy(e) > 0) ratios.push_back(RatioDb(energy, ErrorEnergy(1, s, e)));
  }
  if (ratios.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "in no frame do both the reference and the estimate hold sound.");
  }
  const auto middle = ratios.begin() + static_cast<int64_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  if (ratios.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(ratios.begin(), middle));
}

Result<double> SiSdr(Signal reference, Signal estimate) {
  TIMBRE_CHECK(CheckPair(reference, estimate));
  double product = 0;
  for (size_t i = 0; i < reference.size(); ++i) product += static_cast<double>(reference[i]) * estimate[i];
  const double energy = Energy(reference), scale = product / energy;
  return RatioDb(scale * scale * energy, ErrorEnergy(scale, reference, estimate));
}

Result<double> SegmentalSnr(Signal reference, Signal estimate, int sample_rate) {
  TIMBRE_CHECK(CheckPair(reference, estimate));
  if (sample_rate < 1000) return Fail(ErrorCode::kInvalidArgument, "a sample rate below 1 kHz has no 30 ms frames.");
  const int64_t length = (int64_t{sample_rate} * 3 + 50) / 100, hop = length / 4;
  const int64_t frames = (static_cast<int64_t>(reference.size()) - length) / hop;
  if (frames < 1) return Fail(ErrorCode::kInvalidArgument, "the signals are shorter than two frames of 30 ms.");
  const std::vector<double> window = HannWindow(length);
  double sum = 0;
  for (int64_t f = 0; f < frames; ++f) {
    double signal = 0, noise = 0;
    for (int64_t n = 0; n < length; ++n) {
      const double s = window[n] * reference[f * hop + n], error = s - window[n] * estimate[f * hop + n];
      signal += s * s;
      noise += error * error;
    }
    sum += std::clamp(10 * std::log10(signal / (noise + kEpsilon) + kEpsilon), -10.0, 35.0);
  }
  return sum / static_cast<double>(frames);
}

Result<double> Stoi(Signal reference, Signal estimate) { return MeanOverSegments(reference, estimate, Correlation); }

Result<double> ExtendedStoi(Signal reference, Signal estimate) {
  return MeanOverSegments(reference, estimate, ExtendedCorrelation);
}

}  // namespace timbre
