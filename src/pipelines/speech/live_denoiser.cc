#include "pipelines/speech/live_denoiser.h"

#include <algorithm>

#include "graph/weights.h"

namespace timbre {
namespace {

constexpr int kMostChannels = 64;

}  // namespace

Result<std::unique_ptr<LiveDenoiser>> LiveDenoiser::Create(const SpeechModel& model, const LiveOptions& options) {
  if (options.channels < 1 || options.channels > kMostChannels) {
    return Fail(ErrorCode::kInvalidArgument, "live speech has 1 to " + std::to_string(kMostChannels) +
                                                 " channels, not " + std::to_string(options.channels));
  }
  std::unique_ptr<LiveDenoiser> live(new LiveDenoiser());
  SpeechCoreOptions core;
  core.channels = options.channels;
  core.deep_filter = options.deep_filter;
  core.use_thresholds = options.use_thresholds;
  core.threshold_min = options.threshold_min;
  core.threshold_max_erb = options.threshold_max_erb;
  core.threshold_max_df = options.threshold_max_df;
  SessionOptions session;
  session.device = "cpu";
  session.threads = 1;
  TIMBRE_TRY(live->stream_, DenoiseStream::Create(model, options.sample_rate, core, session, live->pool_, nullptr));
  live->identity_ =
      static_cast<int64_t>(Fnv1a64(model.architecture_name() + "/" + std::to_string(options.sample_rate) + "/" +
                                   std::to_string(options.channels) + (options.use_thresholds ? "/parts" : "/whole")) &
                           0x7FFFFFFFFFFFFFFF);
  if (model.architecture == SpeechArchitecture::kDeepFilterNet && model.deepfilternet.post_filter) {
    live->set_post_filter_beta(model.deepfilternet.post_filter_beta);
  }
  // Kernels make what they need ahead of their first run; what they make in it is made here.
  std::vector<float> silence(DenoiseStream::kMostPush);
  const std::vector<const float*> in(options.channels, silence.data());
  std::vector<std::vector<float>> waste(options.channels, std::vector<float>(silence.size()));
  std::vector<float*> out;
  out.reserve(waste.size());
  for (std::vector<float>& channel : waste) out.push_back(channel.data());
  for (int64_t done = 0; done <= live->latency(); done += DenoiseStream::kMostPush) {
    TIMBRE_CHECK(live->Process(in.data(), out.data(), DenoiseStream::kMostPush));
  }
  live->Reset();
  return live;
}

Status LiveDenoiser::Process(const float* const* in, float* const* out, int64_t count) {
  // Rows of a piece; a fixed number, so that nothing is allocated.
  const float* in_rows[kMostChannels];
  float* out_rows[kMostChannels];
  const DenoiseStream::Controls controls{
      .speech = {.attenuation_limit = attenuation_limit(), .post_filter_beta = post_filter_beta()}, .mix = mix()};
  for (int64_t done = 0; done < count;) {
    const int64_t piece = std::min(count - done, DenoiseStream::kMostPush);
    for (int c = 0; c < channels(); ++c) in_rows[c] = in[c] + done;
    Status pushed = stream_->Push(in_rows, piece, controls);
    if (!pushed) {
      for (int c = 0; c < channels(); ++c) std::fill(out[c] + done, out[c] + count, 0.0f);
      Reset();
      return pushed;
    }
    const int64_t silent = std::min(owed_, piece);
    owed_ -= silent;
    for (int c = 0; c < channels(); ++c) {
      std::fill_n(out[c] + done, silent, 0.0f);
      out_rows[c] = out[c] + done + silent;
    }
    stream_->Pull(out_rows, piece - silent, controls);
    done += piece;
  }
  return {};
}

void LiveDenoiser::Reset() {
  stream_->Reset();
  owed_ = latency();
}

void LiveDenoiser::Visit(StateStream& stream) {
  int64_t identity = identity_;
  stream.Integer(&identity, identity_, identity_);
  stream.Integer(&owed_, 0, latency());
  stream_->Visit(stream);
}

size_t LiveDenoiser::state_size() {
  StateStream stream = StateStream::Measure();
  Visit(stream);
  return stream.size();
}

Status LiveDenoiser::Save(std::span<std::byte> to) {
  StateStream stream = StateStream::Save(to);
  Visit(stream);
  if (stream.ok()) return {};
  return Fail(ErrorCode::kInvalidArgument, "the memory for the state is too small");
}

Status LiveDenoiser::Restore(std::span<const std::byte> from) {
  StateStream stream = StateStream::Restore(from);
  Visit(stream);
  if (stream.ok() && stream.size() == from.size() && stream_->in_flight() == latency() - owed_) return {};
  Reset();
  return Fail(ErrorCode::kCorrupt, "these bytes are no state of a stream with this model, rate and channels");
}

}  // namespace timbre
