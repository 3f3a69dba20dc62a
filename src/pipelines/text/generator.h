// A language model at work: ids in, the scores of what comes next out, with what was read kept in a cache that grows.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "models/language/language_model.h"
#include "runtime/session/session.h"

namespace timbre {

// Not thread-safe.
class Generator {
 public:
  // `model`'s weights, `pool` and `stats` (may be null) must outlive it. `reserve`: positions that the cache is to have
  // room for from the start on; it grows by itself, to 256, 512, 1024 … and at most the model's context. Errors: no
  // memory, weights that are missing, misshapen or in excess.
  static Result<std::unique_ptr<Generator>> Create(const LanguageModel& model, int64_t reserve,
                                                   const SessionOptions& session, ThreadPool& pool, Stats* stats);

  // Reads ids after those that were read before; gives the scores [vocabulary] of what comes after the last, valid
  // until the next call. Errors: an id that the model has not, more positions than its context (both kInvalidArgument),
  // kCancelled between passes: what was read then stays read (`position`).
  Result<std::span<const float>> Prefill(std::span<const int32_t> ids);
  // The same for every one of them: `rows` gets [ids, vocabulary], in parts, in order.
  using Rows = std::function<Status(std::span<const float> rows)>;
  Status PrefillAll(std::span<const int32_t> ids, const Rows& rows);
  // Reads one id.
  Result<std::span<const float>> Step(int32_t id);

  int64_t position() const { return position_; }  // ids read
  int64_t capacity() const { return capacity_; }  // positions that the cache has room for now
  void Reset() { position_ = 0; }
  // Forgets what was read from `position` on, which is at most position().
  void Rewind(int64_t position) { position_ = std::min(position_, std::max<int64_t>(0, position)); }

  const LanguageModelConfig& config() const { return config_; }
  // Bytes of weights that a step reads, as they are stored.
  int64_t weight_bytes_per_step() const { return weight_bytes_; }
  // The session that a step runs in; null before there was one.
  const Session* step_session() const;

 private:
  // What a graph is made for.
  struct Kind {
    int64_t rows;  // ids of a pass
    bool all;      // scores of all of them, not only of one
    auto operator<=>(const Kind&) const = default;
  };

  Generator(const LanguageModel& model, const SessionOptions& session, ThreadPool& pool, Stats* stats);
  Status Grow(int64_t places);
  Result<Session*> SessionFor(Kind kind);
  // Runs one pass over at most kind.rows ids; `out` gets the scores.
  Status Pass(Kind kind, std::span<const int32_t> ids, std::vector<float>& out);
  Status CheckIds(std::span<const int32_t> ids) const;
  int64_t RowsFor(int64_t left, int64_t most) const;

  const LanguageModelConfig config_;
  const std::shared_ptr<const TensorMap> weights_;
  const SessionOptions options_;
  ThreadPool& pool_;
  Stats* const stats_;
  int64_t position_ = 0, capacity_ = 0, weight_bytes_ = 0;
  std::shared_ptr<SessionState> state_;
  std::map<Kind, std::unique_ptr<Session>> sessions_;
  std::vector<int32_t> ids_, positions_;
  std::vector<float> scores_;
};

}  // namespace timbre
