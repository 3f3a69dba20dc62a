#include "runtime/session/stats.h"

namespace timbre {

void Stats::Record(const std::string& node, const std::string& from, const std::string& to, const std::string& reason) {
  std::lock_guard lock(mutex_);
  StepDown& step = steps_[node + "\n" + from + "\n" + to + "\n" + reason];
  step = {node, from, to, reason, step.count + 1};
}

std::vector<StepDown> Stats::steps() const {
  std::lock_guard lock(mutex_);
  std::vector<StepDown> list;
  for (const auto& [key, step] : steps_) list.push_back(step);
  return list;
}

}  // namespace timbre
