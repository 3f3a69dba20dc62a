#include "pipelines/studio/style.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "audio/decode.h"
#include "audio/mix.h"
#include "audio/resample.h"

namespace timbre {
namespace {

constexpr int64_t kBlock = 16384;  // frames

struct Term {
  StyleFeature feature;
  std::string_view name;
  double scale;  // how far clips of one style usually lie from one another
};
// The root mean square, rounded up, of what each of four clips was from the three others, in 24 sets of synthesised
// ones (tests/style_synth.h, 8 s each). They stay as they are, so that a number means the same tomorrow.
constexpr std::array<Term, kStyleTerms> kTerms = {{{StyleFeature::kCentroid, "centroid", 0.12},
                                                   {StyleFeature::kBandwidth, "bandwidth", 0.08},
                                                   {StyleFeature::kRolloff, "rolloff", 0.13},
                                                   {StyleFeature::kLevel, "level", 1},
                                                   {StyleFeature::kContrast, "contrast", 1},
                                                   {StyleFeature::kHarmonic, "harmonic", 1.5},
                                                   {StyleFeature::kTempo, "tempo", 0.02},
                                                   {StyleFeature::kTimbre, "timbre", 10},
                                                   {StyleFeature::kChroma, "chroma", 0.2}}};

double Log2Of(const RunningMean& mean) { return std::log2(std::max(mean.mean, 1.0)); }

// The difference of a feature, in its own unit; none where one of the two lacks it.
std::optional<double> Difference(StyleFeature feature, const SoundFeatures& a, const SoundFeatures& b) {
  switch (feature) {
    case StyleFeature::kCentroid: return Log2Of(a.centroid) - Log2Of(b.centroid);
    case StyleFeature::kBandwidth: return Log2Of(a.bandwidth) - Log2Of(b.bandwidth);
    case StyleFeature::kRolloff: return Log2Of(a.rolloff) - Log2Of(b.rolloff);
    case StyleFeature::kLevel: return a.rms_db() - b.rms_db();
    case StyleFeature::kContrast: return a.mean_contrast() - b.mean_contrast();
    case StyleFeature::kHarmonic: return a.harmonic_db() - b.harmonic_db();
    case StyleFeature::kTempo: {
      if (!a.tempo_octave() || !b.tempo_octave()) return std::nullopt;
      const double apart = *a.tempo_octave() - *b.tempo_octave();
      return apart - std::round(apart);
    }
    case StyleFeature::kTimbre: {
      double sum = 0;
      for (size_t c = 1; c < kMfccs; ++c) sum += std::pow(a.mfcc[c].mean - b.mfcc[c].mean, 2);
      return std::sqrt(sum / (kMfccs - 1));
    }
    case StyleFeature::kChroma: {
      double ab = 0, aa = 0, bb = 0;
      for (size_t i = 0; i < kPitchClasses; ++i) {
        ab += a.chroma[i].mean * b.chroma[i].mean;
        aa += a.chroma[i].mean * a.chroma[i].mean;
        bb += b.chroma[i].mean * b.chroma[i].mean;
      }
      if (aa <= 0 || bb <= 0) return std::nullopt;
      return 1 - ab / std::sqrt(aa * bb);
    }
  }
  return std::nullopt;
}

struct ToneMatchBand {
  BandType type;
  double hz, q;
};
constexpr std::array<ToneMatchBand, 5> kMatchBands = {{{BandType::kLowShelf, 100, 0.7},
                                                       {BandType::kPeak, 500, 1},
                                                       {BandType::kPeak, 2000, 1},
                                                       {BandType::kPeak, 5000, 1},
                                                       {BandType::kHighShelf, 10000, 0.7}}};
constexpr double kMostMatchDb = 6;
constexpr double kFaintDb = 60;  // a band so far below a spectrum's strongest one is not heard

double ResponseDb(const ToneMatchBand& band, double db, double hz, double rate) {
  const Biquad filter = band.type == BandType::kLowShelf    ? LowShelf(band.hz, db, band.q, rate)
                        : band.type == BandType::kHighShelf ? HighShelf(band.hz, db, band.q, rate)
                                                            : PeakFilter(band.hz, db, band.q, rate);
  return ToDb(filter.Response(hz, rate));
}

// Gains and a level that are nearest to `wanted` (dB a tone band) in least squares.
using Gains = std::array<double, kMatchBands.size() + 1>;
Gains Solve(const std::vector<Gains>& shapes, const std::vector<double>& wanted) {
  constexpr size_t n = std::tuple_size_v<Gains>;
  constexpr double kPrior = 1e-3;  // keeps what nothing decides at 0
  std::array<std::array<double, n + 1>, n> m{};
  for (size_t i = 0; i < n; ++i) m[i][i] = kPrior;
  for (size_t b = 0; b < shapes.size(); ++b) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) m[i][j] += shapes[b][i] * shapes[b][j];
      m[i][n] += shapes[b][i] * wanted[b];
    }
  }
  for (size_t i = 0; i < n; ++i) {  // positive definite: no pivot is 0
    for (size_t r = i + 1; r < n; ++r) {
      const double factor = m[r][i] / m[i][i];
      for (size_t c = i; c <= n; ++c) m[r][c] -= factor * m[i][c];
    }
  }
  Gains x{};
  for (size_t i = n; i-- > 0;) {
    x[i] = m[i][n];
    for (size_t c = i + 1; c < n; ++c) x[i] -= m[i][c] * x[c];
    x[i] /= m[i][i];
  }
  return x;
}

void Normalise(std::vector<float>& vector) {
  double square = 0;
  for (const float x : vector) square += double{x} * x;
  const auto length = static_cast<float>(std::max(std::sqrt(square), 1e-12));
  for (float& x : vector) x /= length;
}

}  // namespace

std::string_view StyleFeatureName(StyleFeature feature) { return kTerms[static_cast<size_t>(feature)].name; }

StyleDistance DistanceOf(const SoundFeatures& clip, const SoundFeatures& rest) {
  StyleDistance distance;
  double sum = 0;
  for (const Term& term : kTerms) {
    const std::optional<double> difference = Difference(term.feature, clip, rest);
    if (!difference) continue;
    distance.terms.push_back({term.feature, *difference / term.scale});
    sum += distance.terms.back().z * distance.terms.back().z;
  }
  distance.value = std::sqrt(sum / static_cast<double>(distance.terms.size()));
  std::stable_sort(distance.terms.begin(), distance.terms.end(),
                   [](const StyleTerm& a, const StyleTerm& b) { return std::abs(a.z) > std::abs(b.z); });
  return distance;
}

std::vector<ChainBand> MatchTone(const SoundFeatures& from, const SoundFeatures& to, double sample_rate) {
  const double most_from = *std::max_element(from.tone.begin(), from.tone.end());
  const double most_to = *std::max_element(to.tone.begin(), to.tone.end());
  std::vector<double> centres, wanted;
  for (size_t b = 0; b < kToneBands; ++b) {
    const double faint = std::pow(10, -kFaintDb / 10), hz = ToneBandHz(static_cast<int>(b));
    if (from.tone[b] <= faint * most_from || to.tone[b] <= faint * most_to || hz > 0.45 * sample_rate) continue;
    centres.push_back(hz);
    wanted.push_back(10 * std::log10(to.tone[b] / from.tone[b]));
  }
  // A gain of g dB answers nearly g times what one of a decibel does: a few rounds are enough.
  Gains gains{};
  gains.fill(1);
  for (int round = 0; round < 4; ++round) {
    std::vector<Gains> shapes;
    for (const double hz : centres) {
      Gains& shape = shapes.emplace_back();
      for (size_t i = 0; i < kMatchBands.size(); ++i) {
        const double db = std::abs(gains[i]) < 0.1 ? 0.1 : gains[i];
        shape[i] = ResponseDb(kMatchBands[i], db, hz, sample_rate) / db;
      }
      shape.back() = 1;  // the levels' difference
    }
    gains = Solve(shapes, wanted);
    for (size_t i = 0; i < kMatchBands.size(); ++i) gains[i] = std::clamp(gains[i], -kMostMatchDb, kMostMatchDb);
  }
  std::vector<ChainBand> bands;
  for (size_t i = 0; i < kMatchBands.size(); ++i) {
    const ToneMatchBand& band = kMatchBands[i];
    bands.push_back({.type = band.type, .hz = band.hz, .db = std::round(10 * gains[i]) / 10 + 0.0, .q = band.q});
  }
  return bands;
}

Result<StyleClip> Listen(const std::string& path, const ListenOptions& options, Observer& observer) {
  TIMBRE_TRY(const std::unique_ptr<AudioReader> reader,
             AudioReader::Open(path, {.cancelled = [&observer] { return observer.Cancelled(); },
                                      .temporary_folder = options.temporary_folder,
                                      .part = options.part}));
  const AudioInfo& info = reader->info();
  StyleClip clip{
      .input = path, .input_format = info.format, .sample_rate = info.sample_rate, .channels = info.channels};
  const auto of_file = [&](const Error& error) { return Prefix(error, path); };
  Result<LoudnessMeter> meter = LoudnessMeter::Create(info.sample_rate, info.speakers);
  if (!meter) return of_file(meter.error());
  const Result<StereoMix> mix = StereoMix::Create(info.speakers);
  if (!mix) return of_file(mix.error());
  Result<Resampler> resampler = Resampler::Create(info.sample_rate, kFeatureRate, 1);
  if (!resampler) return of_file(resampler.error());
  Result<Resampler> begin = Resampler::Create(info.sample_rate, std::max(options.begin_rate, 1000), 1);
  if (!begin) return of_file(begin.error());
  TIMBRE_TRY(SoundAnalyser analyser, SoundAnalyser::Create());
  auto wanted = static_cast<int64_t>(options.begin_seconds * info.sample_rate);
  std::vector<float> block(static_cast<size_t>(kBlock * info.channels)), mono(2 * kBlock), ready;
  while (true) {
    TIMBRE_TRY(const int64_t frames, reader->Read(block.data(), kBlock));
    if (frames == 0) break;
    TIMBRE_CHECK(meter->Add(block.data(), frames));
    mix->Apply(block.data(), frames, mono.data());
    FoldToMono(mono.data(), frames, mono.data());
    const int64_t kept = std::min(wanted, frames);
    TIMBRE_CHECK(begin->Push(mono.data(), kept, &clip.begin));
    wanted -= kept;
    ready.clear();
    TIMBRE_CHECK(resampler->Push(mono.data(), frames, &ready));
    analyser.Push(ready);
    observer.OnProgress({.stage = Stage::kAnalyse,
                         .done = reader->position(),
                         .total = info.expected_frames,
                         .audio_seconds = static_cast<double>(info.expected_frames) / info.sample_rate});
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
  }
  clip.samples = reader->position();
  if (clip.samples == 0) return Fail(ErrorCode::kCorrupt, path + ": it holds no samples");
  clip.seconds = static_cast<double>(clip.samples) / info.sample_rate;
  TIMBRE_CHECK(begin->Finish(&clip.begin));
  ready.clear();
  TIMBRE_CHECK(resampler->Finish(&ready));
  analyser.Push(ready);
  clip.features = analyser.Finish();
  TIMBRE_TRY(clip.loudness, meter->Measure());
  clip.warning = reader->warning();
  return clip;
}

Style CompareClips(std::vector<StyleClip>& clips) {
  Style all;
  double loud = 0, seconds = 0;
  for (const StyleClip& clip : clips) {
    all.features.Merge(clip.features);
    if (!std::isfinite(clip.loudness.integrated)) continue;
    loud += clip.seconds * std::pow(10, clip.loudness.integrated / 10);
    seconds += clip.seconds;
  }
  if (seconds > 0) all.integrated = 10 * std::log10(loud / seconds);
  for (StyleClip& clip : clips) {
    if (all.integrated && std::isfinite(clip.loudness.integrated)) {
      clip.gain_db = *all.integrated - clip.loudness.integrated;
    }
    if (clip.features.silent()) continue;
    clip.tone = MatchTone(clip.features, all.features, clip.sample_rate);
    SoundFeatures rest;
    for (const StyleClip& other : clips) {
      if (&other != &clip) rest.Merge(other.features);
    }
    if (!rest.silent()) clip.distance = DistanceOf(clip.features, rest);
  }
  return all;
}

std::vector<float> MeanDirection(const std::vector<std::vector<float>>& vectors) {
  std::vector<float> mean;
  for (std::vector<float> vector : vectors) {
    Normalise(vector);
    mean.resize(vector.size());
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += vector[i];
  }
  Normalise(mean);
  return mean;
}

std::vector<float> BlendDirections(const std::vector<float>& a, const std::vector<float>& b, double share) {
  std::vector<float> blend(a.size());
  for (size_t i = 0; i < a.size(); ++i) blend[i] = static_cast<float>(share * a[i] + (1 - share) * b[i]);
  Normalise(blend);
  return blend;
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

}  // namespace timbre
