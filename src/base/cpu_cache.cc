#include "base/cpu_cache.h"

#include <unistd.h>

namespace timbre {

int64_t FirstLevelCacheBytes() {
  static const int64_t bytes = [] {
#ifdef _SC_LEVEL1_DCACHE_SIZE
    if (const long said = sysconf(_SC_LEVEL1_DCACHE_SIZE); said > 0) return int64_t{said};
#endif
    return int64_t{32} << 10;
  }();
  return bytes;
}

}  // namespace timbre
