// How long something takes.
#pragma once

#include <chrono>

namespace timbre {

// Adds the seconds of its own life to `sum`, which must outlive it.
class ScopedTimer {
 public:
  explicit ScopedTimer(double* sum) : sum_(sum) {}
  ~ScopedTimer() { *sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;

 private:
  double* sum_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace timbre
