// How alike clips are: what each is like, how far it lies from the others and by which features, and what would bring
// it nearer.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audio/decode.h"
#include "audio/loudness.h"
#include "base/observer.h"
#include "base/result.h"
#include "dsp/sound_features.h"
#include "pipelines/studio/mastering_chain.h"

namespace timbre {

// What a distance is made of. The scales of docs/studio.md's table make them numbers without a unit.
enum class StyleFeature : uint8_t {
  kCentroid,   // log2 of the spectrum's centre
  kBandwidth,  // log2 of its width
  kRolloff,    // log2 of where 85 % of it lie below
  kLevel,      // dB of what is not silent
  kContrast,   // dB, peaks over valleys
  kHarmonic,   // dB, harmonic over percussive energy
  kTempo,      // log2, but for octaves: 75 and 150 beats a minute are alike
  kTimbre,     // cepstral coefficients 1 to 12
  kChroma,     // 1 - the cosine between the pitch classes
};
inline constexpr int kStyleTerms = 9;
std::string_view StyleFeatureName(StyleFeature feature);

struct StyleTerm {
  StyleFeature feature{};
  double z = 0;  // positive: the clip has more of it. Of timbre and chroma never negative
};

struct StyleDistance {
  double value = 0;              // the root of the mean squared z
  std::vector<StyleTerm> terms;  // from the largest on; without a tempo where one of the two has none
};
// Neither may be silent.
StyleDistance DistanceOf(const SoundFeatures& clip, const SoundFeatures& rest);

inline constexpr double kStyleMark = 2;  // what lies farther from the rest gets a mark

// The equaliser that brings the long-term spectrum nearest to another, whatever their levels: five bands of at most
// 6 dB, whose gains are multiples of 0.1 dB. Bands in which one of them holds next to nothing don't count.
std::vector<ChainBand> MatchTone(const SoundFeatures& from, const SoundFeatures& to, double sample_rate);

struct StyleClip {
  std::string input, input_format;
  int sample_rate = 0, channels = 0;
  int64_t samples = 0;
  double seconds = 0;
  Loudness loudness;
  SoundFeatures features;
  std::string warning;       // what was wrong with the file although it could be read
  std::vector<float> begin;  // as much of it, mono, as was asked for

  std::optional<StyleDistance> distance;  // none of what is silent, or alone
  std::optional<double> gain_db;          // to the loudness of all together
  std::vector<ChainBand> tone;            // to the spectrum of all together
  bool marked() const { return distance && distance->value > kStyleMark; }
};

struct ListenOptions {
  double begin_seconds = 0;  // what StyleClip::begin is to hold
  int begin_rate = 0;
  std::string temporary_folder;  // for what a pipe gives
  AudioPart part;
};
// Reads a file once. Memory does not grow with its length but for a tempo's 60 kB a second of the first ten minutes.
Result<StyleClip> Listen(const std::string& path, const ListenOptions& options, Observer& observer);

struct Style {
  SoundFeatures features;            // of all clips, each by its length
  std::optional<double> integrated;  // LUFS: of the mean of what they sound with, by their lengths
  double rms_db() const { return features.rms_db(); }
};
// Of all of them together; gives each its distance from the others, and what would bring it nearer.
Style CompareClips(std::vector<StyleClip>& clips);

// The mean of vectors of one length, each scaled to length 1, scaled so in its turn. None may be empty.
std::vector<float> MeanDirection(const std::vector<std::vector<float>>& vectors);
// share * a + (1 - share) * b of two such, scaled to length 1.
std::vector<float> BlendDirections(const std::vector<float>& a, const std::vector<float>& b, double share);
double Cosine(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace timbre
