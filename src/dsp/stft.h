// Short-time Fourier transform of a signal in memory and its inverse, as torch.stft and torch.istft define them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "dsp/fft.h"
#include "dsp/window.h"

namespace timbre {

// What the frames see beyond both ends of a signal, where they are centered.
enum class FramePadding { kReflect, kZero };

struct StftOptions {
  size_t n_fft = 0;  // also the window's length
  size_t hop = 0;
  WindowKind window = WindowKind::kHann;
  bool center = true;  // frame f is centered on sample f * hop; otherwise it begins there
  FramePadding padding = FramePadding::kReflect;
  bool normalized = false;  // the spectrum is scaled by 1/sqrt(n_fft), and its inverse back
};

// Where the value of frame f and bin k lies: the real part at spectrum[f * frame + k * bin], the imaginary part behind
// it. torch's [bins, frames] of complex numbers is {2, 2 * frames}; [frames, bins, 2] is {2 * bins, 2}.
struct SpectrumStrides {
  int64_t frame = 0;
  int64_t bin = 0;
};

// Immutable and shared freely between threads; the calls allocate nothing.
class Stft {
 public:
  // kInvalidArgument for an n_fft that RealFft cannot do, a hop of 0 or above n_fft, or windows that don't overlap
  // enough to be inverted: the sum of the squared windows must be above zero at every sample.
  static Result<Stft> Create(const StftOptions& options);

  const StftOptions& options() const { return options_; }
  size_t bins() const { return fft_.bins(); }
  const std::vector<float>& window() const { return window_; }
  // The frames that a signal of `samples` has; 0 where it is too short for one.
  int64_t Frames(int64_t samples) const;
  // Samples that `frames` frames give back: from the center of the first to that of the last, or all of them.
  int64_t Samples(int64_t frames) const;
  // Floats of scratch that a call of Forward or Inverse needs.
  size_t ScratchFloats() const { return 2 * n_fft() + 2 + fft_.ScratchFloats(); }

  // Frames [first, first + count) of the signal's, so that several threads can share one. Frame `first` lies at
  // out[0]. Reflecting needs more than n_fft/2 samples.
  Status Forward(const float* signal, int64_t samples, int64_t first, int64_t count, float* out,
                 SpectrumStrides strides, float* scratch) const;

  // The windowed overlap-add of all `frames` frames, divided by the sum of the squared windows: `samples` samples into
  // out. Fails where `samples` is above Samples(frames), or where no window covers one of them.
  Status Inverse(const float* spectrum, SpectrumStrides strides, int64_t frames, int64_t samples, float* out,
                 float* scratch) const;

 private:
  Stft(const StftOptions& options, RealFft fft);
  int64_t n_fft() const { return static_cast<int64_t>(options_.n_fft); }
  int64_t hop() const { return static_cast<int64_t>(options_.hop); }
  int64_t lead() const { return options_.center ? n_fft() / 2 : 0; }  // samples that frame 0 begins before the signal
  // The sum of the squared windows at a position counted from the begin of frame 0.
  float Envelope(int64_t position, int64_t frames) const;

  StftOptions options_;
  RealFft fft_;
  std::vector<float> window_;
  std::vector<float> envelope_;  // of endless frames, one hop long
};

}  // namespace timbre
