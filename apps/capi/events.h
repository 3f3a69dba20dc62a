// Events for a C function.
#pragma once

#include <mutex>
#include <string>

#include "pipelines/event_lines.h"
#include "timbre/timbre.h"

namespace timbre::capi {

class FunctionObserver final : public Observer {
 public:
  FunctionObserver(timbre_event_function function, void* user)
      : lines_([function, user](const std::string& line) {
          if (function != nullptr) function(user, line.c_str());
        }) {}
  void OnProgress(const Progress& progress) override {
    std::lock_guard lock(mutex_);
    lines_.OnProgress(progress);
  }
  void OnEvent(const Event& event) override {
    std::lock_guard lock(mutex_);
    lines_.OnEvent(event);
  }

 private:
  std::mutex mutex_;
  EventLines lines_;
};

}  // namespace timbre::capi
