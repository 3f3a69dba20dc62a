// The loop that makes a song's latents block by block: flow matching by Euler's method, with guidance, over keys and
// values that stay in a session's state.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/song/dit.h"
#include "runtime/session/session.h"

namespace timbre {

struct SamplerOptions {
  int steps = 16;        // points of time: one evaluation fewer, and one that keeps the block
  double guidance = 2;   // 0: without the null branch
  int64_t frames = 150;  // rounded up to whole blocks
};

class SongSampler {
 public:
  // Fills the noise of a block, [block_size, mel_dim].
  using Noise = std::function<Status(int64_t block, std::span<float> values)>;
  // Asked between evaluations; an error ends the block with it.
  using Between = std::function<Status()>;

  // The text is passed through the network here. `style` is [kStyleFeatures]; `pool` and `stats` (may be null) must
  // outlive it. Errors: tokens that the model has not, no memory, weights that are missing, misshapen or in excess.
  static Result<std::unique_ptr<SongSampler>> Create(const DitConfig& config, std::shared_ptr<const TensorMap> weights,
                                                     std::span<const int32_t> tokens, std::span<const float> style,
                                                     const SamplerOptions& options, const SessionOptions& session,
                                                     ThreadPool& pool, Stats* stats);

  int64_t blocks() const { return blocks_; }
  int64_t block() const { return block_; }  // that comes next
  bool done() const { return ended_ || block_ == blocks_; }
  int evaluations() const { return options_.steps; }  // of a block, the one that keeps it included

  // Makes the next block. One that comes out as something that is not a number, or that the machine fails, is made once
  // more from the state that it began with, then on the CPU. After an error that state is there again, and the block
  // may be asked for once more. `noise` may be asked for a block more than once.
  Status Next(const Noise& noise, const Between& between);

  // Latents [frames(), mel_dim] that stay: a song that ends takes back the frame before its end, so that the last one
  // is held back until it is certain.
  const std::vector<float>& latents() const { return latents_; }
  int64_t frames() const { return kept_; }

  // States of the last block at each point of time, [steps, block_size, mel_dim], where they were asked for.
  void KeepStates() { keep_states_ = true; }
  const std::vector<float>& states() const { return states_; }
  const Session& session() const { return *session_; }
  const SessionState& state() const { return *session_->state(); }

 private:
  SongSampler(const DitConfig& config, std::shared_ptr<const TensorMap> weights, std::span<const float> style,
              const SamplerOptions& options, const SessionOptions& session, ThreadPool& pool, Stats* stats);
  Result<std::unique_ptr<Session>> PassText(Weights& weights, std::span<const int32_t> tokens);
  Status MakeStep(Weights& weights);
  // Another try at the block that failed for `error`: as it is, or with a session on the CPU.
  Status TryAgain(int tries, const Error& error);
  Status MakeBlock(const Noise& noise, const Between& between, std::vector<float>& x);
  Status Evaluate(const std::vector<float>& latent, float time);
  void ApplyStopRule();
  double DistanceFromEnd(int64_t frame) const;

  const DitConfig config_;
  const std::shared_ptr<const TensorMap> weights_;
  const SamplerOptions options_;
  SessionOptions session_options_;
  ThreadPool& pool_;
  Stats* const stats_;
  const int branches_;
  const std::vector<float> style_;  // of every branch
  int64_t blocks_ = 0, block_ = 0;
  int64_t capacity_ = 0, places_ = 0;  // of keys and values: room, and how many are kept
  bool ended_ = false, keep_states_ = false;
  std::vector<float> latents_, states_;
  int64_t kept_ = 0;

  std::unique_ptr<Session> session_;  // of a step
  std::vector<float> velocity_;       // of the last evaluation, of every branch
};

}  // namespace timbre
