#include "audio/resample.h"

#include <soxr.h>

#include <algorithm>
#include <string>

namespace timbre {

int64_t ResampledLength(int64_t frames, int in_rate, int out_rate) {
  // In two parts, so that the product stays far from overflow.
  const int64_t whole = frames / in_rate, rest = frames % in_rate;
  return whole * out_rate + (2 * rest * out_rate + in_rate) / (2 * int64_t{in_rate});
}

void Resampler::Free::operator()(void* soxr) const { soxr_delete(static_cast<soxr_t>(soxr)); }
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;
Resampler::~Resampler() = default;

Result<Resampler> Resampler::Create(int in_rate, int out_rate, int channels) {
  if (std::min(in_rate, out_rate) < 1000 || std::max(in_rate, out_rate) > 768000 || channels < 1 || channels > 64) {
    return Fail(ErrorCode::kInvalidArgument, "Audio of " + std::to_string(channels) +
                                                 " channels cannot be resampled from " + std::to_string(in_rate) +
                                                 " Hz to " + std::to_string(out_rate) + " Hz.");
  }
  Resampler resampler;
  resampler.in_rate_ = in_rate;
  resampler.out_rate_ = out_rate;
  resampler.channels_ = channels;
  if (in_rate == out_rate) return resampler;
  const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
  const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  soxr_error_t error = nullptr;
  resampler.stream_.reset(
      soxr_create(in_rate, out_rate, static_cast<unsigned>(channels), &error, &io, &quality, &runtime));
  if (error != nullptr || resampler.stream_ == nullptr) {
    return Fail(ErrorCode::kOutOfMemory,
                "The resampler from " + std::to_string(in_rate) + " Hz to " + std::to_string(out_rate) +
                    " Hz could not be made: " + (error != nullptr ? error : "no memory") + ".");
  }
  return resampler;
}

Status Resampler::Process(const float* in, int64_t frames, std::vector<float>* out) {
  constexpr int64_t kBlock = 4096;  // frames taken or given at once
  const bool last = in == nullptr;
  for (;;) {
    const size_t offset = out->size();
    out->resize(offset + kBlock * channels_);
    size_t used = 0, made = 0;
    const soxr_error_t error =
        soxr_process(static_cast<soxr_t>(stream_.get()), in, static_cast<size_t>(std::min(frames, kBlock)), &used,
                     out->data() + offset, kBlock, &made);
    out->resize(offset + made * channels_);
    given_ += static_cast<int64_t>(made);
    if (error != nullptr) return Fail(ErrorCode::kInternal, std::string("Resampling failed: ") + error + ".");
    if (!last) {
      in += used * channels_;
      frames -= static_cast<int64_t>(used);
    }
    if (frames == 0 && made < kBlock) return {};
  }
}

Status Resampler::Push(const float* in, int64_t frames, std::vector<float>* out) {
  if (frames <= 0) return {};
  taken_ += frames;
  if (stream_ == nullptr) {
    out->insert(out->end(), in, in + frames * channels_);
    given_ += frames;
    return {};
  }
  return Process(in, frames, out);
}

Status Resampler::Finish(std::vector<float>* out, int64_t total) {
  if (total < 0) total = ResampledLength(taken_, in_rate_, out_rate_);
  // soxr ends where its own rounding says. Enough silence behind the input brings it past `total`; the rest is cut off.
  const int64_t beyond = total - ResampledLength(taken_, in_rate_, out_rate_) + 2;
  if (beyond > 0) {
    const int64_t silence = ResampledLength(beyond, out_rate_, in_rate_) + 2;
    if (silence > int64_t{1} << 20) {
      return Fail(ErrorCode::kInvalidArgument, "Resampled audio of " + std::to_string(total) +
                                                   " samples was asked for, far more than its input gives.");
    }
    const std::vector<float> zeros(silence * channels_);
    TIMBRE_CHECK(Push(zeros.data(), silence, out));
  }
  if (stream_ != nullptr) TIMBRE_CHECK(Process(nullptr, 0, out));
  const int64_t surplus = given_ - total;
  if (surplus < 0 || surplus * channels_ > static_cast<int64_t>(out->size())) {
    return Fail(ErrorCode::kInternal,
                "Resampling gave " + std::to_string(given_) + " samples where " + std::to_string(total) + " were due.");
  }
  out->resize(out->size() - surplus * channels_);
  given_ = total;
  return {};
}

}  // namespace timbre
