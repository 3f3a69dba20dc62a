// How a task tells what it is doing, and how it is asked to stop.
#pragma once

#include <cstdint>
#include <string_view>

namespace timbre {

// What a task is at, by a name that programs read: an open set, to which a pipeline may add its own. Names are
// literals.
class Stage {
 public:
  constexpr explicit Stage(std::string_view name) : name_(name) {}
  constexpr std::string_view name() const { return name_; }
  friend constexpr bool operator==(Stage, Stage) = default;

  static const Stage kDownload, kAnalyse, kCompute, kEncode;

 private:
  std::string_view name_;
};

inline constexpr Stage Stage::kDownload{"download"};
inline constexpr Stage Stage::kAnalyse{"analyse"};
inline constexpr Stage Stage::kCompute{"compute"};
inline constexpr Stage Stage::kEncode{"encode"};

struct Progress {
  Stage stage = Stage::kAnalyse;
  int64_t done = 0, total = 0;  // bytes (kDownload), tiles (kCompute) or samples; total is 0 where it isn't known
  double audio_seconds = 0;     // of the whole track; 0 where it isn't known yet
};

struct Event;  // base/event.h

// Called from the task's threads, one call at a time.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnProgress(const Progress& progress) { (void)progress; }
  // What there is to tell besides: words, warnings, steps down.
  virtual void OnEvent(const Event& event) { (void)event; }
  // Asked often; true ends the task with kCancelled, leaving no file behind.
  virtual bool Cancelled() { return false; }
};

}  // namespace timbre
