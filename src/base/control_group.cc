#include "base/control_group.h"

#include <algorithm>
#include <fstream>

namespace timbre {
namespace {

namespace fs = std::filesystem;

bool HasController(const std::string& controllers, std::string_view controller) {
  return ("," + controllers + ",").find("," + std::string(controller) + ",") != std::string::npos;
}

// A number of bytes; "max", or what is none, is no limit.
double BytesIn(const fs::path& path) {
  std::string text;
  std::ifstream(path) >> text;
  char* end = nullptr;
  const double bytes = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' || !(bytes > 0) ? kNoLimit : bytes;
}

double MemoryLimitOf(const fs::path& folder) {
  return std::min(BytesIn(folder / "memory.max"), BytesIn(folder / "memory.limit_in_bytes"));
}

// A line of /proc/meminfo: "MemTotal:       24576000 kB".
double MachineHas(std::string_view what, const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::string name, unit;
  double kib = 0;
  while (file >> name >> kib) {
    if (name == what && file >> unit && unit == "kB" && kib >= 0) return kib * 1024;
    std::getline(file, unit);
  }
  return kNoLimit;
}

}  // namespace

double LeastLimit(std::string_view controller, const std::function<double(const fs::path&)>& limit,
                  const fs::path& root) {
  // Of `group` and of all above it, up to where the hierarchy is mounted. In a container, the mount may begin at the
  // group while the name is still the host's: then only the mount itself is there.
  const auto least_in = [&](const fs::path& mount, const std::string& group) {
    double least = limit(mount);
    fs::path folder = mount;
    for (const fs::path& part : fs::path(group).relative_path()) {
      if (part == "..") break;  // outside of what this process can see
      folder /= part;
      least = std::min(least, limit(folder));
    }
    return least;
  };
  const fs::path mounts = root / "sys/fs/cgroup";
  double least = kNoLimit;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/user.slice" or "4:cpu,cpuacct:/docker/…"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) {
      // Where both versions are in use, the second lies in a folder of its own.
      least = std::min({least, least_in(mounts, group), least_in(mounts / "unified", group)});
    } else if (HasController(controllers, controller)) {
      least = std::min({least, least_in(mounts / controllers, group), least_in(mounts / controller, group)});
    }
  }
  return least;
}

uint64_t MemoryQuota(const fs::path& root) {
  // Version 1 says "no limit" as a number near 2^63, which the machine's memory is less than.
  const double least = std::min(MachineHas("MemTotal:", root), LeastLimit("memory", MemoryLimitOf, root));
  const double swap = MachineHas("SwapTotal:", root);
  constexpr double kMost = 9e18;
  return least < kMost ? static_cast<uint64_t>(least + (swap < kMost ? swap : 0)) : 0;
}

}  // namespace timbre
