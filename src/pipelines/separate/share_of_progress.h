// Several pieces of work, one after the other, whose progress is shown as that of one.
#pragma once

#include <cstdint>

#include "base/event.h"
#include "base/observer.h"

namespace timbre {

// What piece `index` of `count`, all of them taken for equally long, tells the observer of the whole.
class ShareOfProgress final : public Observer {
 public:
  ShareOfProgress(Observer& whole, size_t index, size_t count)
      : whole_(whole), index_(static_cast<int64_t>(index)), count_(static_cast<int64_t>(count)) {}

  // Only the first piece tells that it looks at the track, and none that it writes: what follows is not yet the end.
  void OnProgress(const Progress& progress) override {
    if (progress.stage == Stage::kCompute && progress.total > 0) {
      constexpr int64_t kSteps = 1000;
      whole_.OnProgress({.stage = Stage::kCompute,
                         .done = index_ * kSteps + progress.done * kSteps / progress.total,
                         .total = count_ * kSteps,
                         .audio_seconds = progress.audio_seconds});
    } else if (progress.stage == Stage::kAnalyse && index_ == 0) {
      whole_.OnProgress(progress);
    }
  }
  void OnEvent(const Event& event) override { whole_.OnEvent(event); }
  bool Cancelled() override { return whole_.Cancelled(); }

 private:
  Observer& whole_;
  const int64_t index_, count_;
};

}  // namespace timbre
