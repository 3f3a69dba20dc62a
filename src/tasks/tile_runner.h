// A model made ready to compute tiles of one size on a device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/model.h"
#include "runtime/session.h"

namespace timbre {

class TileRunner {
 public:
  // `pool` and `stats` must outlive the runner. Where memory does not suffice for `batch` tiles at once, half as many
  // are tried, and so on, which is recorded as a step down (an error where options.strict).
  static Result<std::unique_ptr<TileRunner>> Create(std::shared_ptr<const SeparationModel> model, int64_t tile,
                                                    int batch, const SessionOptions& options, ThreadPool& pool,
                                                    Stats& stats);

  // Tiles that one call of Run takes at most.
  int batch() const { return batch_; }
  const SeparationModel& model() const { return *model_; }
  int64_t features() const { return features_; }  // of the stems: stems * channels

  // Where the next call's tile `i` of the batch is to be written: [tile, channels].
  float* Input(int i) { return &mix_[i * mix_stride_]; }
  // Computes tiles plan.tiles[first .. first + count), whose inputs were written. Then Output(i) is valid: [tile,
  // features].
  Status Run(const TilePlan& plan, size_t first, int count);
  const float* Output(int i) const { return &stems_[i * stems_stride_]; }

  const std::string& device_name() const { return device_name_; }
  const std::string& device_reason() const { return device_reason_; }
  int64_t arena_bytes() const { return session_ ? session_->arena_bytes() : 0; }
  int64_t weight_bytes() const { return session_ ? session_->weight_bytes() : 0; }

 private:
  TileRunner(std::shared_ptr<const SeparationModel> model, int64_t tile, int batch, const SessionOptions& options,
             ThreadPool& pool, Stats& stats);
  Status Prepare();
  Status Halve(const Error& error);
  Status RunGraph(const TilePlan& plan, size_t first, int count, int offset);

  std::shared_ptr<const SeparationModel> model_;
  const int64_t tile_;
  const int batch_;
  int session_batch_;  // batch_, or less where memory did not suffice
  const SessionOptions options_;
  ThreadPool& pool_;
  Stats& stats_;
  std::unique_ptr<TileProcessor> processor_;  // or
  std::unique_ptr<Session> session_;
  const int64_t features_, mix_stride_, stems_stride_;
  std::vector<float> mix_, stems_;
  std::vector<std::vector<float>> extras_;  // the graph's inputs other than "mix"
  std::string device_name_, device_reason_;
};

}  // namespace timbre
