// The processor's caches.
#pragma once

#include <cstdint>
#include <filesystem>

namespace timbre {

// Bytes of a core's first-level data cache; 32 KiB where the system does not say.
int64_t FirstLevelCacheBytes();

// What Linux tells of it below `folder`, a processor's cache/ in /sys; 0 where it says nothing. On AArch64 the C
// library does not say.
int64_t FirstLevelCacheBytes(const std::filesystem::path& folder);

}  // namespace timbre
