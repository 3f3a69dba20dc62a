// What the process's control group may use of the machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace timbre {

inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// The least of limit(folder) over the folders of the process's group and of those above it, in version 2 and in
// version 1 under `controller` ("cpu", "memory"); kNoLimit where there are none. `root` is where /proc and /sys are
// looked for.
double LeastLimit(std::string_view controller, const std::function<double(const std::filesystem::path&)>& limit,
                  const std::filesystem::path& root);

// Bytes of memory that the process may take: the machine's, or its control group's, where that is less (cgroup v2's
// memory.max, v1's memory.limit_in_bytes), and what the machine can swap out. 0 where nothing can be read.
uint64_t MemoryQuota(const std::filesystem::path& root = "/");

}  // namespace timbre
