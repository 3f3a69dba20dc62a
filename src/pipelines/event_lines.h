// What a job tells as lines of JSON, for programs: {"event": "progress", "stage": "compute", …}.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/event.h"

namespace timbre {

// Thread-safe if `write` is: it is called by whichever thread tells something.
class EventLines final : public Observer {
 public:
  // `write` is given a line without its end: printable UTF-8.
  explicit EventLines(std::function<void(const std::string& line)> write) : write_(std::move(write)) {}
  // At most ten lines a second of one stage, and one where it is done.
  void OnProgress(const Progress& progress) override;
  void OnEvent(const Event& event) override;

 private:
  void Write(EventKind kind, const nlohmann::ordered_json& facts) const;

  std::function<void(const std::string&)> write_;
  std::string verb_, subject_;
  Stage stage_ = Stage::kAnalyse;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace timbre
