// What happened while plans ran: steps down the ladder, and time per node.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace timbre {

// A node that could not run where it was meant to.
struct StepDown {
  std::string node, from, to, reason;
  int64_t count = 0;
};

// Thread-safe. One for each command or server.
class Stats {
 public:
  void Record(const std::string& node, const std::string& from, const std::string& to, const std::string& reason);
  std::vector<StepDown> steps() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, StepDown> steps_;
};

}  // namespace timbre
