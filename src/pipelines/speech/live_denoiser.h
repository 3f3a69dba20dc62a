// Speech cleaned as it is spoken: as many samples out as go in, a fixed time later.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "pipelines/speech/denoise_stream.h"

namespace timbre {

struct LiveOptions {
  int sample_rate = 48000;
  int channels = 1;
  bool deep_filter = true;
  bool use_thresholds = false;  // as in SpeechCoreOptions
  float threshold_min = -10, threshold_max_erb = 30, threshold_max_df = 20;
};

// Process, Save, Restore and Reset are one thread's at a time; the controls may be set from any thread meanwhile. In
// those four nothing allocates, locks, waits or does I/O.
class LiveDenoiser {
 public:
  static Result<std::unique_ptr<LiveDenoiser>> Create(const SpeechModel& model, const LiveOptions& options);

  int channels() const { return stream_->channels(); }
  int sample_rate() const { return stream_->sample_rate(); }
  // Output is input this many samples ago, whatever the size of the pieces.
  int64_t latency() const { return stream_->lag(); }

  // `count` samples of each channel in and out, any number. `out` may be `in`. Where the network fails, the rest of the
  // output is silent, the state is that of a new stream, and the error says why.
  Status Process(const float* const* in, float* const* out, int64_t count);
  void Reset();

  // dB that noise is lowered by at most, 0 to 100 (no limit).
  void set_attenuation_limit(float db) { attenuation_limit_.store(db, std::memory_order_relaxed); }
  float attenuation_limit() const { return attenuation_limit_.load(std::memory_order_relaxed); }
  // 0: off; 0.02 is a little.
  void set_post_filter_beta(float beta) { post_filter_beta_.store(beta, std::memory_order_relaxed); }
  float post_filter_beta() const { return post_filter_beta_.load(std::memory_order_relaxed); }
  // The cleaned share of the output, 0 to 1.
  void set_mix(float mix) { mix_.store(mix, std::memory_order_relaxed); }
  float mix() const { return mix_.load(std::memory_order_relaxed); }

  // Everything that lives between calls, for a stream of the same model, rate and channels. Controls are not part of
  // it.
  size_t state_size();
  // kInvalidArgument where `to` is too small.
  Status Save(std::span<std::byte> to);
  // kCorrupt where the bytes are no state of such a stream; then the state is that of a new one.
  Status Restore(std::span<const std::byte> from);

 private:
  LiveDenoiser() : pool_(1) {}
  void Visit(StateStream& stream);

  ThreadPool pool_;  // of the calling thread alone
  std::unique_ptr<DenoiseStream> stream_;
  int64_t identity_ = 0;  // of the model, rate and channels
  int64_t owed_ = 0;      // samples of silence still to give before the stream's first
  std::atomic<float> attenuation_limit_{100.0f}, post_filter_beta_{0.0f}, mix_{1.0f};
};

}  // namespace timbre
