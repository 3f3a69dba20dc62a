#include "base/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "base/control_group.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// "200000 100000": processors; "max", a negative quota or anything else: no limit.
double Share(const std::string& quota, const std::string& period) {
  char* end = nullptr;
  const double q = std::strtod(quota.c_str(), &end);
  if (quota.empty() || *end != '\0' || !(q > 0)) return kNoLimit;
  const double p = std::strtod(period.c_str(), &end);
  if (period.empty() || *end != '\0' || !(p > 0)) return kNoLimit;
  return q / p;
}

double ShareOf(const fs::path& folder) {
  std::string quota, period;
  if (std::ifstream file(folder / "cpu.max"); file >> quota >> period) return Share(quota, period);
  std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
  std::ifstream(folder / "cpu.cfs_period_us") >> period;
  return Share(quota, period);
}

}  // namespace

int CpuQuota(const fs::path& root) {
  const double least = LeastLimit("cpu", ShareOf, root);
  constexpr double kMost = 1 << 20;
  return least < kMost ? std::max(1, static_cast<int>(std::ceil(least))) : 0;
}

}  // namespace timbre
