// Statistics of a group norm over frames that come one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace timbre {

// Sums of features and of their squares, in float64: the same whatever the threads, and however the frames come.
class FeatureSums {
 public:
  explicit FeatureSums(int64_t channels)
      : sums_(static_cast<size_t>(channels)), squares_(static_cast<size_t>(channels)) {}

  // `frame` [places, channels].
  void Add(const float* frame, int64_t places, ThreadPool& pool);
  // The mean and the variance of each feature's group, of `groups`.
  void Groups(int64_t groups, std::vector<float>& mean, std::vector<float>& variance) const;

 private:
  int64_t places_ = 0;
  std::vector<double> sums_, squares_;
};

}  // namespace timbre
