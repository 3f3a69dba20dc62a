// The loop that makes a song's latents block by block: flow matching by Euler's method, with guidance, over caches of
// keys and values.
#pragma once

#include <functional>
#include <map>
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

  // Makes the next block. A block that fails may be made again.
  Status Next(const Noise& noise, const Between& between);

  // Latents [frames(), mel_dim] that stay: a song that ends takes back the frame before its end, so that the last one
  // is held back until it is certain.
  const std::vector<float>& latents() const { return latents_; }
  int64_t frames() const { return kept_; }

  // States of the last block at each point of time, [steps, block_size, mel_dim], where they were asked for.
  void KeepStates() { keep_states_ = true; }
  const std::vector<float>& states() const { return states_; }
  const Session& session() const { return *session_; }

 private:
  SongSampler(const DitConfig& config, std::span<const float> style, const SamplerOptions& options);
  Status PassText(Weights& weights, std::span<const int32_t> tokens, const SessionOptions& session, ThreadPool& pool,
                  Stats* stats);
  Status MakeStep(Weights& weights, const SessionOptions& session, ThreadPool& pool, Stats* stats);
  Status Evaluate(const std::vector<float>& latent, float time);
  // The last pass's keys and values into the cache's next places.
  void Store(const std::vector<std::string>& names, const std::vector<std::vector<float>>& outputs, int64_t rows);
  void ApplyStopRule();
  double DistanceFromEnd(int64_t frame) const;

  const DitConfig config_;
  const SamplerOptions options_;
  const int branches_;
  const std::vector<float> style_;  // of every branch
  int64_t blocks_ = 0, block_ = 0, capacity_ = 0, places_ = 0;
  bool ended_ = false, keep_states_ = false;
  std::vector<float> latents_, states_;
  int64_t kept_ = 0;

  std::unique_ptr<Session> session_;
  std::map<std::string, std::vector<float>> inputs_;  // by the step graph's names, caches included
  std::vector<const float*> in_;
  std::vector<std::string> names_;
  std::vector<std::vector<float>> outputs_;
  std::vector<float*> out_;
};

}  // namespace timbre
