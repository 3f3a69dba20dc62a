#include "dsp/stft.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace timbre {
namespace {

// torch.istft refuses a smaller sum of squared windows, and so do we: dividing by less would only amplify rounding.
constexpr float kMinEnvelope = 1e-11f;

}  // namespace

Stft::Stft(const StftOptions& options, RealFft fft)
    : options_(options), fft_(std::move(fft)), window_(MakeWindow(options.window, options.n_fft)) {
  envelope_.resize(options.hop);
  for (size_t i = 0; i < options.hop; ++i) {
    double sum = 0;
    for (size_t j = i; j < options.n_fft; j += options.hop) sum += static_cast<double>(window_[j]) * window_[j];
    envelope_[i] = static_cast<float>(sum);
  }
}

Result<Stft> Stft::Create(const StftOptions& options) {
  TIMBRE_TRY(RealFft fft, RealFft::Create(options.n_fft));
  if (options.hop == 0 || options.hop > options.n_fft) {
    return Fail(ErrorCode::kInvalidArgument, "A spectrum's hop of " + std::to_string(options.hop) +
                                                 " samples was asked for; it must be from 1 to its " +
                                                 std::to_string(options.n_fft) + " points.");
  }
  Stft stft(options, std::move(fft));
  if (*std::min_element(stft.envelope_.begin(), stft.envelope_.end()) <= kMinEnvelope) {
    return Fail(ErrorCode::kInvalidArgument, "A spectrum's windows of " + std::to_string(options.n_fft) +
                                                 " samples every " + std::to_string(options.hop) +
                                                 " leave samples uncovered; use a smaller hop.");
  }
  return stft;
}

int64_t Stft::Frames(int64_t samples) const {
  const int64_t padded = samples + 2 * lead();
  return samples <= 0 || padded < n_fft() ? 0 : 1 + (padded - n_fft()) / hop();
}

int64_t Stft::Samples(int64_t frames) const {
  return frames <= 0 ? 0 : std::max<int64_t>(0, n_fft() + hop() * (frames - 1) - 2 * lead());
}

Status Stft::Forward(const float* signal, int64_t samples, int64_t first, int64_t count, float* out,
                     SpectrumStrides strides, float* scratch) const {
  if (first < 0 || count < 0 || first + count > Frames(samples)) {
    return Fail(ErrorCode::kInvalidArgument,
                "Frames " + std::to_string(first) + " to " + std::to_string(first + count) +
                    " of a spectrum were asked for; the signal has " + std::to_string(Frames(samples)) + ".");
  }
  const bool reflect = options_.padding == FramePadding::kReflect;
  if (options_.center && reflect && samples <= lead()) {
    return Fail(ErrorCode::kInvalidArgument, "A signal of " + std::to_string(samples) +
                                                 " samples is too short to be reflected for a spectrum of " +
                                                 std::to_string(options_.n_fft) + " points; pad it first.");
  }
  float* frame = scratch;
  float* bins_out = frame + n_fft();
  float* fft_scratch = bins_out + n_fft() + 2;
  const float scale = options_.normalized ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(n_fft()))) : 1.0f;
  for (int64_t f = first; f < first + count; ++f) {
    const int64_t begin = f * hop() - lead();
    // [inside_begin, inside_end) of the frame lies within the signal.
    const int64_t inside_begin = std::clamp<int64_t>(-begin, 0, n_fft());
    const int64_t inside_end = std::clamp<int64_t>(samples - begin, 0, n_fft());
    for (int64_t i = 0; i < inside_begin; ++i) frame[i] = reflect ? window_[i] * signal[-(begin + i)] : 0.0f;
    for (int64_t i = inside_begin; i < inside_end; ++i) frame[i] = window_[i] * signal[begin + i];
    for (int64_t i = inside_end; i < n_fft(); ++i) {
      frame[i] = reflect ? window_[i] * signal[2 * (samples - 1) - (begin + i)] : 0.0f;
    }
    fft_.Forward(frame, bins_out, fft_scratch);
    float* to = out + (f - first) * strides.frame;
    for (size_t k = 0; k < bins(); ++k) {
      to[static_cast<int64_t>(k) * strides.bin] = scale * bins_out[2 * k];
      to[static_cast<int64_t>(k) * strides.bin + 1] = scale * bins_out[2 * k + 1];
    }
  }
  return {};
}

float Stft::Envelope(int64_t position, int64_t frames) const {
  if (position >= n_fft() - hop() && position < frames * hop()) return envelope_[position % hop()];
  const int64_t last = std::min(frames - 1, position / hop());
  float sum = 0;
  for (int64_t f = last; f >= 0 && position - f * hop() < n_fft(); --f) {
    const float w = window_[position - f * hop()];
    sum += w * w;
  }
  return sum;
}

Status Stft::Inverse(const float* spectrum, SpectrumStrides strides, int64_t frames, int64_t samples, float* out,
                     float* scratch) const {
  if (samples < 0 || samples > Samples(frames)) {
    return Fail(ErrorCode::kInvalidArgument,
                std::to_string(samples) + " samples of a spectrum's inverse were asked for; its " +
                    std::to_string(frames) + " frames give " + std::to_string(Samples(frames)) + ".");
  }
  float* frame = scratch;
  float* bins_in = frame + n_fft();
  float* fft_scratch = bins_in + n_fft() + 2;
  const float scale = options_.normalized ? static_cast<float>(std::sqrt(static_cast<double>(n_fft()))) : 1.0f;
  std::fill(out, out + samples, 0.0f);
  for (int64_t f = 0; f < frames; ++f) {
    const int64_t begin = f * hop() - lead();
    if (begin >= samples) break;
    const float* from = spectrum + f * strides.frame;
    for (size_t k = 0; k < bins(); ++k) {
      bins_in[2 * k] = scale * from[static_cast<int64_t>(k) * strides.bin];
      bins_in[2 * k + 1] = scale * from[static_cast<int64_t>(k) * strides.bin + 1];
    }
    fft_.Inverse(bins_in, frame, fft_scratch);
    const int64_t end = std::min(n_fft(), samples - begin);
    for (int64_t i = std::max<int64_t>(0, -begin); i < end; ++i) out[begin + i] += window_[i] * frame[i];
  }
  for (int64_t t = 0; t < samples; ++t) {
    const float envelope = Envelope(t + lead(), frames);
    if (!(envelope > kMinEnvelope)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "No window of a spectrum covers sample " + std::to_string(t) + "; it cannot be inverted there.");
    }
    out[t] /= envelope;
  }
  return {};
}

}  // namespace timbre
