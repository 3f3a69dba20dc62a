// Short-time Fourier transforms and their inverse by fast transforms, all channels of a frame side by side.
#include <algorithm>
#include <vector>

#include "dsp/fft.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

// Memory of one thread: a frame, its spectrum and the transform's scratch, [samples, channels] each.
size_t FloatsPerThread(int64_t n_fft, int64_t channels) {
  const auto n = static_cast<size_t>(n_fft), c = static_cast<size_t>(channels);
  return (n + (n + 2) + 2 * n) * c + 16;
}

bool Transforms(int64_t n_fft) { return RealFft::Create(static_cast<size_t>(n_fft)).has_value(); }

struct Buffers {
  Buffers(float* scratch, int worker, int64_t n_fft, int64_t channels) {
    frame = scratch + worker * FloatsPerThread(n_fft, channels);
    spectrum = frame + n_fft * channels;
    work = spectrum + (n_fft + 2) * channels;
  }
  float *frame, *spectrum, *work;
};

// The window in the middle of n_fft samples, zeros around it, times `scale`.
std::vector<float> Centered(const float* window, int64_t size, int64_t n_fft, float scale) {
  std::vector<float> w(n_fft, 0.0f);
  for (int64_t i = 0; i < size; ++i) w[(n_fft - size) / 2 + i] = window[i] * scale;
  return w;
}

// Each value once for every channel: a loop over samples and channels becomes one over floats.
std::vector<float> ForEachChannel(const std::vector<float>& window, int64_t channels) {
  std::vector<float> wide(window.size() * channels);
  for (size_t i = 0; i < wide.size(); ++i) wide[i] = window[i / channels];
  return wide;
}

// ---- Forward ----

bool StftSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && Transforms(ref.attrs<StftAttrs>().n_fft);
}

size_t StftScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * FloatsPerThread(ref.attrs<StftAttrs>().n_fft, ref.in(0)[2]) * sizeof(float);
}

Status StftRun(const CpuCall& call) {
  const auto& a = call.ref.attrs<StftAttrs>();
  TIMBRE_TRY(const RealFft fft, RealFft::Create(a.n_fft));
  const int64_t samples = call.ref.in(0)[1], channels = call.ref.in(0)[2];
  const int64_t batch = call.ref.out()[0], frames = call.ref.out()[1], bins = call.ref.out()[2];
  const std::vector<float> window = ForEachChannel(Centered(call.in[1], call.ref.in(1)[0], a.n_fft, a.scale), channels);
  call.pool.ForEach(batch * frames, [&](int64_t index, int worker) {
    const Buffers b(call.scratch, worker, a.n_fft, channels);
    const float* x = call.in[0] + (index / frames * samples + index % frames * a.hop) * channels;
    for (int64_t i = 0; i < a.n_fft * channels; ++i) b.frame[i] = x[i] * window[i];
    fft.Forward(b.frame, b.spectrum, b.work, channels);
    float* y = call.out[0] + index * bins * 2 * channels;
    for (int64_t k = 0; k < bins; ++k) {
      for (int64_t c = 0; c < channels; ++c) {
        y[(k * channels + c) * 2] = b.spectrum[2 * k * channels + c];
        y[(k * channels + c) * 2 + 1] = b.spectrum[(2 * k + 1) * channels + c];
      }
    }
  });
  return {};
}

// ---- Inverse ----

bool IstftSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && Transforms(ref.attrs<IstftAttrs>().n_fft);
}

size_t IstftScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return caps.threads * FloatsPerThread(ref.attrs<IstftAttrs>().n_fft, ref.out()[2]) * sizeof(float);
}

Status IstftRun(const CpuCall& call) {
  const auto& a = call.ref.attrs<IstftAttrs>();
  TIMBRE_TRY(const RealFft fft, RealFft::Create(a.n_fft));
  const int64_t batch = call.ref.in(0)[0], frames = call.ref.in(0)[1], bins = call.ref.in(0)[2];
  const int64_t channels = call.ref.out()[2], length = a.length;
  const std::vector<float> window = Centered(call.in[1], call.ref.in(1)[0], a.n_fft, 1.0f);
  const std::vector<float> scaled = ForEachChannel(Centered(call.in[1], call.ref.in(1)[0], a.n_fft, a.scale), channels);
  std::fill_n(call.out[0], batch * length * channels, 0.0f);

  const auto add = [&](int64_t n, int64_t f, int worker) {
    const Buffers b(call.scratch, worker, a.n_fft, channels);
    const float* z = call.in[0] + (n * frames + f) * bins * 2 * channels;
    for (int64_t k = 0; k < bins; ++k) {
      for (int64_t c = 0; c < channels; ++c) {
        b.spectrum[2 * k * channels + c] = z[(k * channels + c) * 2];
        b.spectrum[(2 * k + 1) * channels + c] = z[(k * channels + c) * 2 + 1];
      }
    }
    fft.Inverse(b.spectrum, b.frame, b.work, channels);
    const int64_t begin = f * a.hop - a.crop;  // of the output that the frame lies at
    const int64_t lo = std::max<int64_t>(0, -begin), hi = std::min<int64_t>(a.n_fft, length - begin);
    float* y = call.out[0] + (n * length + begin) * channels;
    for (int64_t i = lo * channels; i < hi * channels; ++i) y[i] += b.frame[i] * scaled[i];
  };
  // Runs of frames that are long enough that each overlaps only its neighbours: first every other one, then those
  // between. So no two threads add to the same sample, and the order of the additions is always the same.
  const int64_t run = std::max<int64_t>(8, (a.n_fft + a.hop - 1) / a.hop);
  const int64_t runs = (frames + run - 1) / run;
  for (int64_t odd = 0; odd < 2; ++odd) {
    const int64_t count = (runs + 1 - odd) / 2;
    call.pool.ForEach(batch * count, [&](int64_t index, int worker) {
      const int64_t first = (index % count * 2 + odd) * run;
      for (int64_t f = first; f < std::min(frames, first + run); ++f) add(index / count, f, worker);
    });
  }
  if (!a.normalize) return {};

  std::vector<float> squares(window.size()), sum(length, 0.0f);
  for (size_t i = 0; i < window.size(); ++i) squares[i] = window[i] * window[i];
  call.pool.ForRange(length, 4096, [&](int64_t first, int64_t last, int) {
    for (int64_t f = 0; f < frames; ++f) {
      const int64_t begin = f * a.hop - a.crop;
      const int64_t hi = std::min<int64_t>(a.n_fft, last - begin);
      for (int64_t i = std::max<int64_t>(0, first - begin); i < hi; ++i) sum[begin + i] += squares[i];
    }
    for (int64_t n = 0; n < batch; ++n) {
      float* y = call.out[0] + n * length * channels;
      if (channels == 2) {
        for (int64_t i = first; i < last; ++i) y[2 * i] /= sum[i], y[2 * i + 1] /= sum[i];
        continue;
      }
      for (int64_t i = first; i < last; ++i) {
        for (int64_t c = 0; c < channels; ++c) y[i * channels + c] /= sum[i];
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kStft, DeviceKind::kCpu, Tier::kFast, "stft_fft", 1, StftSupports, StftRun, StftScratch},
    {Op::kIstft, DeviceKind::kCpu, Tier::kFast, "istft_fft", 1, IstftSupports, IstftRun, IstftScratch},
};

}  // namespace

std::span<const KernelRow> CpuStftKernels() { return kRows; }

}  // namespace timbre
