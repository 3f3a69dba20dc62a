#include "dsp/stream_resampler.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace timbre {
namespace {

constexpr double kStopband = 110.0;  // dB
constexpr double kPassband = 0.91;   // of the lower half rate
constexpr int64_t kMostPhases = 1024;

// The modified Bessel function of order zero, by its series.
double BesselI0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > sum * 1e-17; ++k) {
    term *= (x / (2 * k)) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

}  // namespace

Result<StreamResampler> StreamResampler::Create(int from, int to, int channels, int64_t most_input) {
  if (std::min(from, to) < 1000 || std::max(from, to) > 768000 || std::max(from, to) / std::min(from, to) > 64) {
    return Fail(ErrorCode::kInvalidArgument, "a sample rate of " + std::to_string(from) + " Hz can't be changed to " +
                                                 std::to_string(to) + " Hz; rates go from 1000 to 768000");
  }
  StreamResampler r;
  const int64_t common = std::gcd(from, to);
  r.channels_ = channels;
  r.up_ = to / common;
  r.down_ = from / common;
  r.most_input_ = most_input;
  r.most_output_ = (most_input * r.up_ + r.down_ - 1) / r.down_ + 1;
  if (r.same()) return r;

  // The filter in units of input samples: cut off in the middle of the transition band (in cycles a sample).
  const double lower = std::min(1.0, static_cast<double>(to) / from);
  const double cutoff = 0.5 * lower * (1 + kPassband) / 2;
  const double transition = 2 * std::numbers::pi * 0.5 * lower * (1 - kPassband);
  const double length = (kStopband - 8) / (2.285 * transition);  // Kaiser's estimate
  const double beta = 0.1102 * (kStopband - 8.7);
  r.half_ = static_cast<int64_t>(std::ceil(length / 2)) + 1;
  r.phases_ = std::min(r.up_, kMostPhases);
  const int64_t taps = 2 * r.half_;
  r.filter_.resize(static_cast<size_t>((r.phases_ + 1) * taps));
  std::vector<double> phase(static_cast<size_t>(taps));
  for (int64_t p = 0; p <= r.phases_; ++p) {
    double sum = 0;
    for (int64_t i = 0; i < taps; ++i) {
      const double t = static_cast<double>(p) / static_cast<double>(r.phases_) - static_cast<double>(i - r.half_ + 1);
      const double inside = 1 - t / static_cast<double>(r.half_) * (t / static_cast<double>(r.half_));
      const double x = 2 * std::numbers::pi * cutoff * t;
      phase[i] = (x == 0 ? 1 : std::sin(x) / x) * BesselI0(beta * std::sqrt(std::max(0.0, inside)));
      sum += phase[i];
    }
    for (int64_t i = 0; i < taps; ++i) r.filter_[p * taps + i] = static_cast<float>(phase[i] / sum);
  }
  r.room_ = taps + most_input;
  r.buffer_.resize(static_cast<size_t>(channels * r.room_));
  r.Reset();
  return r;
}

void StreamResampler::Reset() {
  std::fill(buffer_.begin(), buffer_.end(), 0.0f);
  step_ = 0;
  filled_ = same() ? 0 : half_ - 1;  // silence before the first sample, which the first output lies on
}

int64_t StreamResampler::Process(const float* const* in, int64_t count, float* const* out) {
  if (same()) {
    for (int c = 0; c < channels_; ++c) {
      if (in == nullptr) {
        std::fill_n(out[c], count, 0.0f);
      } else {
        std::copy_n(in[c], count, out[c]);
      }
    }
    return count;
  }
  const int64_t taps = 2 * half_;
  int64_t begin = 0, made = 0, step = 0;
  for (int c = 0; c < channels_; ++c) {
    float* buffer = buffer_.data() + c * room_;
    if (in == nullptr) {
      std::fill_n(buffer + filled_, count, 0.0f);
    } else {
      std::copy_n(in[c], count, buffer + filled_);
    }
    begin = 0;
    made = 0;
    step = step_;
    while (begin + taps <= filled_ + count) {
      const float* x = buffer + begin;
      const int64_t scaled = step * phases_;
      const float* a = filter_.data() + scaled / up_ * taps;
      float sum[4] = {};
      if (scaled % up_ == 0) {
        for (int64_t i = 0; i + 4 <= taps; i += 4) {
          for (int k = 0; k < 4; ++k) sum[k] += a[i + k] * x[i + k];
        }
        for (int64_t i = taps / 4 * 4; i < taps; ++i) sum[0] += a[i] * x[i];
      } else {
        const float* b = a + taps;
        const float share = static_cast<float>(scaled % up_) / static_cast<float>(up_);
        for (int64_t i = 0; i < taps; ++i) sum[i % 4] += (a[i] + (b[i] - a[i]) * share) * x[i];
      }
      out[c][made++] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      step += down_;
      begin += step / up_;
      step %= up_;
    }
  }
  step_ = step;
  // What the next output needs moves to the front. A step is far shorter than the filter, so it never lies beyond the
  // end.
  const int64_t keep = filled_ + count - begin;
  for (int c = 0; c < channels_; ++c) {
    float* buffer = buffer_.data() + c * room_;
    std::copy(buffer + begin, buffer + begin + keep, buffer);
  }
  filled_ = keep;
  return made;
}

void StreamResampler::Visit(StateStream& stream) {
  stream.Integer(&filled_, 0, 2 * half_);
  stream.Integer(&step_, 0, std::max<int64_t>(up_ - 1, 0));
  stream.Floats(buffer_);
}

}  // namespace timbre
