// The processor's caches.
#pragma once

#include <cstdint>

namespace timbre {

// Bytes of a core's first-level data cache; 32 KiB where the system does not say.
int64_t FirstLevelCacheBytes();

}  // namespace timbre
