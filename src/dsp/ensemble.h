// Several versions of one signal made into one: the algorithms of UVR's and python-audio-separator's ensembles.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "dsp/fft.h"

namespace timbre {

enum class EnsembleAlgorithm : uint8_t {
  kAvgWave,     // the weighted mean of the samples
  kMedianWave,  // their median; of an even number the mean of the middle two
  kMinWave,     // the sample of least magnitude, the first of equals
  kMaxWave,     // of greatest
  kAvgFft,      // the same of each bin of a short-time spectrum, which is a complex number
  kMedianFft,   // of real and of imaginary parts apart
  kMinFft,
  kMaxFft,
  kUvrMinSpec,  // likewise, but the last of equals, and nothing behind the last whole hop
  kUvrMaxSpec,
  kEnsembleWav,  // each channel is that of the input which is quietest in it on the whole
};

// Block by block, with memory that does not grow with the signals' length. Samples are interleaved.
class Ensemble {
 public:
  struct Options {
    EnsembleAlgorithm algorithm = EnsembleAlgorithm::kAvgWave;
    size_t inputs = 2;
    int channels = 2;
    std::vector<double> weights;   // one an input, of the means; empty: equal
    std::vector<size_t> quietest;  // of kEnsembleWav: for each channel, which input it is taken from
  };
  // kInvalidArgument where the weights are not as many as the inputs, not finite, or sum to nothing.
  static Result<Ensemble> Create(Options options);

  // The next samples [frames, channels] of every input. Appends what is finished.
  void Push(std::span<const float* const> inputs, int64_t frames, std::vector<float>* out);
  // The rest: as many samples have then come out as went in.
  void Finish(std::vector<float>* out);

 private:
  Ensemble(Options options, std::optional<RealFft> fft);
  bool of_spectra() const { return fft_.has_value(); }
  float Combined(const float* values, size_t count);
  void CombineSpectra();
  void Frame();
  void Emit(size_t hops, std::vector<float>* out);

  Options options_;
  std::optional<RealFft> fft_;
  std::vector<float> window_, scratch_;
  std::vector<float> waiting_;               // [input][channel][frame]: what the next frame sees
  std::vector<std::vector<float>> spectra_;  // of the inputs, of one channel
  std::vector<float> values_;                // one of each input
  std::vector<float> sums_, norms_;          // [channel][frame] and [frame]: what frames have added up to
  int64_t held_ = 0;                         // samples of waiting_ that are there
  int64_t taken_ = 0, given_ = 0;            // samples in and out
  int64_t skip_ = 0;                         // samples that lie before the signal
};

}  // namespace timbre
