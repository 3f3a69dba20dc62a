#include "dsp/ensemble.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "dsp/window.h"

namespace timbre {
namespace {

using A = EnsembleAlgorithm;

// The transform of those programs: periodic Hann windows, centred, zeros beyond both ends.
constexpr int64_t kFrame = 2048, kHop = 1024;

bool OfSpectra(A algorithm) {
  switch (algorithm) {
    case A::kAvgFft:
    case A::kMedianFft:
    case A::kMinFft:
    case A::kMaxFft:
    case A::kUvrMinSpec:
    case A::kUvrMaxSpec: return true;
    default: return false;
  }
}

float Median(float* values, size_t count) {
  std::sort(values, values + count);
  return count % 2 != 0 ? values[count / 2] : 0.5f * (values[count / 2 - 1] + values[count / 2]);
}

}  // namespace

Result<Ensemble> Ensemble::Create(Options o) {
  if (o.inputs < 1 || o.channels < 1) return Fail(ErrorCode::kInternal, "an ensemble of nothing");
  if (o.weights.empty()) o.weights.assign(o.inputs, 1.0);
  const double sum = std::accumulate(o.weights.begin(), o.weights.end(), 0.0);
  if (o.weights.size() != o.inputs || !std::isfinite(sum) || std::abs(sum) < 1e-9) {
    return Fail(ErrorCode::kInvalidArgument, "there are " + std::to_string(o.inputs) + " inputs and " +
                                                 std::to_string(o.weights.size()) +
                                                 " weights; give one for each, which sum to more than nothing");
  }
  for (double& weight : o.weights) weight /= sum;
  if (o.algorithm == A::kEnsembleWav && o.quietest.size() != static_cast<size_t>(o.channels)) {
    return Fail(ErrorCode::kInternal, "nobody has said which input is the quietest");
  }
  std::optional<RealFft> fft;
  if (OfSpectra(o.algorithm)) {
    TIMBRE_TRY(fft, RealFft::Create(kFrame));
  }
  return Ensemble(std::move(o), std::move(fft));
}

Ensemble::Ensemble(Options options, std::optional<RealFft> fft)
    : options_(std::move(options)), fft_(std::move(fft)), values_(options_.inputs) {
  if (!of_spectra()) return;
  const auto channels = static_cast<size_t>(options_.channels);
  window_ = MakeWindow(WindowKind::kHann, kFrame);
  scratch_.resize(fft_->ScratchFloats() + kFrame);
  waiting_.assign(options_.inputs * channels * kFrame, 0.0f);
  spectra_.assign(options_.inputs, std::vector<float>(2 * fft_->bins()));
  sums_.assign(channels * kFrame, 0.0f);
  norms_.assign(kFrame, 0.0f);
  held_ = skip_ = kFrame / 2;  // the first frame is centred on the first sample
}

float Ensemble::Combined(const float* values, size_t count) {
  switch (options_.algorithm) {
    case A::kMedianWave:
    case A::kMedianFft: {
      std::copy_n(values, count, values_.data());
      return Median(values_.data(), count);
    }
    case A::kMinWave:
    case A::kMaxWave: {
      size_t chosen = 0;
      for (size_t i = 1; i < count; ++i) {
        const float now = std::abs(values[i]), best = std::abs(values[chosen]);
        if (options_.algorithm == A::kMinWave ? now < best : now > best) chosen = i;
      }
      return values[chosen];
    }
    default: {
      double sum = 0;
      for (size_t i = 0; i < count; ++i) sum += options_.weights[i] * values[i];
      return static_cast<float>(sum);
    }
  }
}

void Ensemble::Push(std::span<const float* const> inputs, int64_t frames, std::vector<float>* out) {
  const int channels = options_.channels;
  taken_ += frames;
  if (!of_spectra()) {
    std::vector<float> each(inputs.size());
    for (int64_t i = 0; i < frames; ++i) {
      for (int c = 0; c < channels; ++c) {
        const int64_t at = i * channels + c;
        if (options_.algorithm == A::kEnsembleWav) {
          out->push_back(inputs[options_.quietest[c]][at]);
          continue;
        }
        for (size_t k = 0; k < inputs.size(); ++k) each[k] = inputs[k][at];
        out->push_back(Combined(each.data(), each.size()));
      }
    }
    given_ += frames;
    return;
  }
  for (int64_t begin = 0; begin < frames;) {
    const int64_t count = std::min(frames - begin, kFrame - held_);
    for (size_t k = 0; k < inputs.size(); ++k) {
      for (int c = 0; c < channels; ++c) {
        float* to = waiting_.data() + (k * channels + c) * kFrame + held_;
        for (int64_t i = 0; i < count; ++i) to[i] = inputs[k][(begin + i) * channels + c];
      }
    }
    held_ += count;
    begin += count;
    if (held_ < kFrame) break;
    Frame();
    Emit(1, out);
  }
}

// Makes one spectrum of the inputs', in the first of them.
void Ensemble::CombineSpectra() {
  const size_t count = spectra_.size();
  std::vector<float>& to = spectra_[0];
  const A algorithm = options_.algorithm;
  std::vector<float> each(count);
  if (algorithm == A::kAvgFft || algorithm == A::kMedianFft) {
    for (size_t i = 0; i < to.size(); ++i) {
      for (size_t k = 0; k < count; ++k) each[k] = spectra_[k][i];
      to[i] = Combined(each.data(), count);
    }
    return;
  }
  const bool least = algorithm == A::kMinFft || algorithm == A::kUvrMinSpec;
  const bool last = algorithm == A::kUvrMinSpec || algorithm == A::kUvrMaxSpec;
  for (size_t bin = 0; bin < to.size(); bin += 2) {
    const auto magnitude = [&](size_t k) { return std::hypot(spectra_[k][bin], spectra_[k][bin + 1]); };
    size_t chosen = 0;
    float best = magnitude(0);
    for (size_t k = 1; k < count; ++k) {
      const float now = magnitude(k);
      const bool better = least ? now < best : now > best;
      if (!better && !(last && now == best)) continue;
      chosen = k;
      best = now;
    }
    to[bin] = spectra_[chosen][bin];
    to[bin + 1] = spectra_[chosen][bin + 1];
  }
}

// Adds the frame that waits to the sums, and moves on by a hop.
void Ensemble::Frame() {
  const auto channels = static_cast<size_t>(options_.channels);
  float* frame = scratch_.data() + fft_->ScratchFloats();
  for (size_t c = 0; c < channels; ++c) {
    for (size_t k = 0; k < options_.inputs; ++k) {
      float* waiting = waiting_.data() + (k * channels + c) * kFrame;
      for (int64_t i = 0; i < kFrame; ++i) frame[i] = waiting[i] * window_[i];
      fft_->Forward(frame, spectra_[k].data(), scratch_.data());
      std::copy(waiting + kHop, waiting + kFrame, waiting);
      std::fill(waiting + kFrame - kHop, waiting + kFrame, 0.0f);
    }
    CombineSpectra();
    fft_->Inverse(spectra_[0].data(), frame, scratch_.data());
    for (int64_t i = 0; i < kFrame; ++i) sums_[c * kFrame + i] += frame[i] * window_[i];
  }
  for (int64_t i = 0; i < kFrame; ++i) norms_[i] += window_[i] * window_[i];
  held_ = std::max<int64_t>(0, held_ - kHop);
}

// Gives the sums' first hops away.
void Ensemble::Emit(size_t hops, std::vector<float>* out) {
  // What hardly any window covers would be noise made large.
  constexpr float kLeast = 1e-10f;
  const auto channels = static_cast<size_t>(options_.channels);
  const auto count = static_cast<int64_t>(hops) * kHop;
  const int64_t from = std::min(skip_, count), end = std::min(count, from + taken_ - given_);
  skip_ -= from;
  for (int64_t i = from; i < end; ++i) {
    for (size_t c = 0; c < channels; ++c) {
      out->push_back(norms_[i] > kLeast ? sums_[c * kFrame + i] / norms_[i] : 0.0f);
    }
  }
  given_ += std::max<int64_t>(0, end - from);
  for (size_t c = 0; c < channels; ++c) {
    float* sums = sums_.data() + c * kFrame;
    std::copy(sums + count, sums + kFrame, sums);
    std::fill(sums + kFrame - count, sums + kFrame, 0.0f);
  }
  std::copy(norms_.begin() + count, norms_.end(), norms_.begin());
  std::fill(norms_.end() - count, norms_.end(), 0.0f);
}

void Ensemble::Finish(std::vector<float>* out) {
  if (!of_spectra() || taken_ == 0) return;
  const bool whole_hops = options_.algorithm == A::kUvrMinSpec || options_.algorithm == A::kUvrMaxSpec;
  // One more frame, centred on the last whole hop; what it alone covers belongs to the signal too.
  Frame();
  Emit(1, out);
  if (!whole_hops) Emit(1, out);
  out->resize(out->size() + (taken_ - given_) * options_.channels, 0.0f);
  given_ = taken_;
}

}  // namespace timbre
