#include "base/affinity.h"

namespace timbre {

ScopedAffinity::ScopedAffinity() {
  CPU_ZERO(&before_);
  known_ = sched_getaffinity(0, sizeof(before_), &before_) == 0;
}

ScopedAffinity::~ScopedAffinity() {
  if (known_) sched_setaffinity(0, sizeof(before_), &before_);
}

}  // namespace timbre
