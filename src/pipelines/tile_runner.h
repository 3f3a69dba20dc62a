// A model made ready to compute tiles of one size on a device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/separate/separation_model.h"
#include "runtime/session/session.h"

namespace timbre {

class TileRunner {
 public:
  // `pool` and `stats` must outlive the runner. Where memory does not suffice for `batch` tiles at once, half as many
  // are tried, and so on, which is recorded as a step down (an error where options.strict). 0: as many as a GPU has
  // memory for, at most 8; 1 elsewhere.
  static Result<std::unique_ptr<TileRunner>> Create(std::shared_ptr<const SeparationModel> model, int64_t tile,
                                                    int batch, const SessionOptions& options, ThreadPool& pool,
                                                    Stats& stats);

  // Tiles that one call of Run takes at most.
  int batch() const { return batch_; }
  const SeparationModel& model() const { return *model_; }
  int64_t features() const { return features_; }  // of the stems: stems * channels

  // Batches that may be started before the first of them is finished.
  int in_flight() const { return static_cast<int>(slots_.size()); }
  int started() const { return started_; }

  // Where tile `i` of the batch that is started next is to be written: [tile, channels].
  float* Input(int i) { return InputOf(next(), i); }
  // Begins with tiles plan.tiles[first .. first + count), whose inputs were written. `plan` stays as it is until they
  // are finished.
  Status Start(const TilePlan& plan, size_t first, int count);
  // Forgets what was started: the track was given up.
  void Abandon() { oldest_ = 0, started_ = 0; }
  // Waits for the batch that was started first. Then Output(i) is valid, until the next Start: [tile, features].
  Status Finish();
  const float* Output(int i) const {
    return &slots_[oldest_ == 0 ? slots_.size() - 1 : oldest_ - 1].stems[i * stems_stride_];
  }

  const std::string& device_name() const { return device_name_; }
  const std::string& device_reason() const { return device_reason_; }
  KernelCounts kernels() const { return session_ ? CountKernels(*session_) : KernelCounts(); }
  int64_t arena_bytes() const { return session_ ? session_->arena_bytes() : 0; }
  int64_t weight_bytes() const { return session_ ? session_->weight_bytes() : 0; }

 private:
  TileRunner(std::shared_ptr<const SeparationModel> model, int64_t tile, int batch, const SessionOptions& options,
             ThreadPool& pool, Stats& stats);
  // A batch on its way.
  struct Slot {
    std::vector<float> mix, stems;
    std::vector<std::vector<float>> extras;  // the graph's inputs other than "mix"
    const TilePlan* plan = nullptr;
    size_t first = 0;
    int count = 0;
    bool computing = false;  // the session has been given it
  };

  Status Prepare();
  Status Halve(const Error& error);
  Status HalveAndPrepare(const Error& error);
  std::vector<const float*> GraphInputs(Slot& slot, int offset);
  Status RunInParts(Slot& slot);
  size_t next() const { return (oldest_ + started_) % slots_.size(); }
  float* InputOf(size_t slot, int i) { return &slots_[slot].mix[i * mix_stride_]; }

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
  std::vector<Slot> slots_;
  size_t oldest_ = 0;
  int started_ = 0;
  std::string device_name_, device_reason_;
};

}  // namespace timbre
