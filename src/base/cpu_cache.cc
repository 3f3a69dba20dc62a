#include "base/cpu_cache.h"

#include <unistd.h>

#include <fstream>
#include <string>

namespace timbre {

int64_t FirstLevelCacheBytes(const std::filesystem::path& folder) {
  constexpr int kMostCaches = 8;
  for (int i = 0; i < kMostCaches; ++i) {
    const std::filesystem::path cache = folder / ("index" + std::to_string(i));
    const auto word = [&](const char* name) {
      std::string text;
      std::ifstream(cache / name) >> text;
      return text;
    };
    if (word("level") != "1" || word("type") == "Instruction") continue;
    int64_t kibibytes = 0;
    std::string unit;
    std::ifstream(cache / "size") >> kibibytes >> unit;
    // As the kernel writes it; more than a megabyte is no first level.
    return unit == "K" && kibibytes > 0 && kibibytes <= 1024 ? kibibytes << 10 : 0;
  }
  return 0;
}

int64_t FirstLevelCacheBytes() {
  static const int64_t bytes = [] {
#ifdef _SC_LEVEL1_DCACHE_SIZE
    if (const long said = sysconf(_SC_LEVEL1_DCACHE_SIZE); said > 0) return int64_t{said};
#endif
    const int64_t said = FirstLevelCacheBytes("/sys/devices/system/cpu/cpu0/cache");
    return said > 0 ? said : int64_t{32} << 10;
  }();
  return bytes;
}

}  // namespace timbre
