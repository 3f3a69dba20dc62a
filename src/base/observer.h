// How a task tells what it is doing, and how it is asked to stop.
#pragma once

#include <cstdint>
#include <string_view>

namespace timbre {

enum class Stage : uint8_t { kDownload, kAnalyse, kCompute, kEncode };

struct Progress {
  Stage stage = Stage::kAnalyse;
  int64_t done = 0, total = 0;  // bytes (kDownload), tiles (kCompute) or samples; total is 0 where it isn't known
  double audio_seconds = 0;     // of the whole track; 0 where it isn't known yet
};

// Called from the task's threads, one call at a time.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnProgress(const Progress& progress) { (void)progress; }
  // Asked often; true ends the task with kCancelled, leaving no file behind.
  virtual bool Cancelled() { return false; }
};

}  // namespace timbre
