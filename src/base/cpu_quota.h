// How much of the machine's processors the process's control group may use.
#pragma once

#include <filesystem>

namespace timbre {

// The smallest quota of the group and of those above it (cgroup v2's cpu.max, v1's cpu.cfs_quota_us), rounded up to
// whole processors; 0 where there is none, or nothing can be read. `root` is where /proc and /sys are looked for.
int CpuQuota(const std::filesystem::path& root = "/");

}  // namespace timbre
