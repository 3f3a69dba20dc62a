// Counts what a thread that must not wait has no business doing: memory from the heap, and locks.
#pragma once

#include <cstdint>

namespace timbre::testing {

// Of this thread, since the process began. Counting needs glibc and no sanitizer; QuietThreadCounts says whether it
// works here.
int64_t Allocations();
int64_t Locks();
bool QuietThreadCounts();

}  // namespace timbre::testing
