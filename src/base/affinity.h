// The processors that the calling thread may run on.
#pragma once

#include <sched.h>

namespace timbre {

// Gives the thread that made it the processors back that it had then: around ThreadPool::Pin, which binds its caller.
class ScopedAffinity {
 public:
  ScopedAffinity();
  ~ScopedAffinity();
  ScopedAffinity(const ScopedAffinity&) = delete;
  ScopedAffinity& operator=(const ScopedAffinity&) = delete;

 private:
  cpu_set_t before_;
  bool known_ = false;
};

}  // namespace timbre
