// Fourier transform of real signals, in float32, of one frame or of many frames side by side.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"

namespace timbre {

// A plan for one length: immutable, shared freely between threads. The calls allocate nothing; scratch is the caller's.
//
// Every call transforms `lanes` frames side by side: sample i of frame l lies at in[i * lanes + l], and of bin k the
// real part lies at out[(2 * k) * lanes + l], the imaginary part at out[(2 * k + 1) * lanes + l]. One frame (lanes = 1)
// is thus the usual interleaved spectrum. Frames together are faster than one by one, 8 of them by a quarter to three
// times, because the vector units then run across frames; more than 16 gain nothing and need a larger cache.
class RealFft {
 public:
  // n must be even, of the form 2^a 3^b 5^c, and at most 2^22; otherwise kInvalidArgument.
  static Result<RealFft> Create(size_t n);

  size_t size() const { return n_; }
  size_t bins() const { return n_ / 2 + 1; }
  // Floats of scratch that a call needs.
  size_t ScratchFloats(size_t lanes = 1) const { return 2 * n_ * lanes; }

  // X[k] = sum_i x[i] exp(-2 pi i k / n) for k in [0, n/2], unscaled. in: n * lanes floats, out: (n/2 + 1) * 2 * lanes.
  // Neither may overlap the other or the scratch.
  void Forward(const float* in, float* out, float* scratch, size_t lanes = 1) const;

  // The inverse, scaled by 1/n: Inverse(Forward(x)) is x. The imaginary parts of bin 0 and bin n/2 are ignored, as in
  // torch.fft.irfft. in: (n/2 + 1) * 2 * lanes floats, out: n * lanes.
  void Inverse(const float* in, float* out, float* scratch, size_t lanes = 1) const;

  // One pass of the complex transform of n/2 points. Public for the kernels only.
  struct Pass {
    size_t radix;    // 2, 3, 4 or 5
    size_t groups;   // m: butterflies with twiddles of their own
    size_t twiddle;  // where its table starts: (radix - 1) complex factors a group
  };

 private:
  RealFft() = default;

  size_t n_ = 0;
  std::vector<Pass> passes_;
  std::vector<float> twiddles_;  // of all passes, interleaved re, im
  std::vector<float> first_;     // of the first pass once more where its radix is 4: [factor][re, im][group]
  std::vector<float>
      split_;  // exp(-2 pi i k / n) for k in [0, n/4], interleaved: joins and parts the half-length spectrum
};

}  // namespace timbre
