// What a sound is like as a whole: how bright, how loud, how tonal, how fast, of what timbre. Numbers as Librosa
// defines them where it has them, over the frames that are not silent.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"

namespace timbre {

inline constexpr int kFeatureRate = 44100;  // Hz
inline constexpr int kContrastBands = 7;    // below 200 Hz, and six octaves above, the last to half the rate
inline constexpr int kMfccs = 13;
inline constexpr int kPitchClasses = 12;
inline constexpr int kToneBands = 26;  // thirds of an octave from 50 Hz to 16 kHz
double ToneBandHz(int band);           // the centre: 50 * 2^(band / 3)

// A mean and what is needed to merge two of them (Welford; Chan, Golub, LeVeque).
struct RunningMean {
  int64_t count = 0;
  double mean = 0, squares = 0;  // squares: the sum of squared distances from the mean

  void Add(double x);
  void Merge(const RunningMean& other);
  double deviation() const;  // of the population; 0 of nothing
};

// Of frames of 2048 samples, a hop of 512, and the longer ones of dsp/harmonic_share.h for chroma, the harmonic part
// and the spectrum.
struct SoundFeatures {
  double seconds = 0;                                // of the signal
  RunningMean centroid;                              // of magnitude, Hz
  RunningMean bandwidth;                             // root of the mean squared distance from the centroid, Hz
  RunningMean rolloff;                               // below it lie 85 % of the magnitude, Hz
  RunningMean crossings;                             // of zero, a sample
  RunningMean power;                                 // mean square of a frame; full scale is 1
  std::array<RunningMean, kContrastBands> contrast;  // peaks over valleys (their outer 2 %), dB
  std::array<RunningMean, kMfccs> mfcc;              // of 128 mel bands in dB, of which none is below -100
  std::array<RunningMean, kPitchClasses> chroma;     // from C on; a frame's sum up to 1
  double harmonic = 0, percussive = 0;               // energy of both parts, summed
  std::array<double, kToneBands> tone{};             // energy a band, summed
  double bpm = 0;                                    // of a signal; 0 where there is none to find, and of merged ones
  // seconds * (cos, sin) of 2 pi log2(bpm): which tempo it is but for its octave, summed.
  std::array<double, 2> tempo{};

  // The two of them as one sound, in which each weighs by what of it was not silent, a tempo by its seconds.
  void Merge(const SoundFeatures& other);
  double rms_db() const;       // of the frames that are not silent
  double harmonic_db() const;  // harmonic over percussive energy, -40 to 40
  double mean_contrast() const;
  // log2(bpm) but for its octave, 0 to 1; none where no tempo was found.
  std::optional<double> tempo_octave() const;
  bool silent() const { return centroid.count == 0; }
};

// A stream of mono samples at kFeatureRate, in blocks of any size, which never change the result. Memory does not grow
// with the length, but for the tempo's 40 kB a second of the first ten minutes, which are what it is found from.
class SoundAnalyser {
 public:
  static Result<SoundAnalyser> Create();
  SoundAnalyser(SoundAnalyser&&) noexcept;
  ~SoundAnalyser();

  void Push(std::span<const float> mono);  // finite
  SoundFeatures Finish();                  // Push must not be called again

 private:
  struct State;
  explicit SoundAnalyser(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace timbre
