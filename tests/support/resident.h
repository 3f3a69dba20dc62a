// How much memory the process really has.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace timbre::testing {

// Bytes of pages in memory, those of mapped files included.
inline int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace timbre::testing
