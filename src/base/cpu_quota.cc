#include "base/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr double kNone = std::numeric_limits<double>::infinity();

// "200000 100000": processors; "max", a negative quota or anything else: no limit.
double Share(const std::string& quota, const std::string& period) {
  char* end = nullptr;
  const double q = std::strtod(quota.c_str(), &end);
  if (quota.empty() || *end != '\0' || !(q > 0)) return kNone;
  const double p = std::strtod(period.c_str(), &end);
  if (period.empty() || *end != '\0' || !(p > 0)) return kNone;
  return q / p;
}

double ShareOf(const fs::path& folder) {
  std::string quota, period;
  if (std::ifstream file(folder / "cpu.max"); file >> quota >> period) return Share(quota, period);
  std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
  std::ifstream(folder / "cpu.cfs_period_us") >> period;
  return Share(quota, period);
}

// Of `group` and of all above it, up to where the hierarchy is mounted. In a container, the mount may begin at the
// group while the name is still the host's: then only the mount itself is there.
double SmallestShare(const fs::path& mount, const std::string& group) {
  double least = ShareOf(mount);
  fs::path folder = mount;
  for (const fs::path& part : fs::path(group).relative_path()) {
    if (part == "..") break;  // outside of what this process can see
    folder /= part;
    least = std::min(least, ShareOf(folder));
  }
  return least;
}

bool HasCpu(const std::string& controllers) { return ("," + controllers + ",").find(",cpu,") != std::string::npos; }

}  // namespace

int CpuQuota(const fs::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  double least = kNone;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/user.slice" or "4:cpu,cpuacct:/docker/…"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) {
      // Where both versions are in use, the second lies in a folder of its own.
      least = std::min({least, SmallestShare(mounts, group), SmallestShare(mounts / "unified", group)});
    } else if (HasCpu(controllers)) {
      least = std::min({least, SmallestShare(mounts / controllers, group), SmallestShare(mounts / "cpu", group)});
    }
  }
  constexpr double kMost = 1 << 20;
  return least < kMost ? std::max(1, static_cast<int>(std::ceil(least))) : 0;
}

}  // namespace timbre
