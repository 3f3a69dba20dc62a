// What `timbre doctor` found out about this machine's devices, kept from run to run in the cache folder.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "kernels/kernel.h"

namespace timbre {

struct DeviceVerdict {
  std::set<std::string> wrong;            // kernels, as "name@version": a newer version is given another chance
  std::map<std::string, double> seconds;  // of one tile, by network

  bool FoundWrong(const KernelRow& row) const { return !wrong.empty() && wrong.contains(IdOf(row)); }
  static std::string IdOf(const KernelRow& row);
};

// Of a device under a driver: another version of the driver has a verdict of its own.
std::string VerdictKey(const std::string& name, const std::string& driver, const std::string& driver_version);

// The CPU's, of kernels for one of its instruction sets (SimdTargets()); without a name, for the one in use.
std::string CpuVerdictKey();
std::string CpuVerdictKey(const std::string& simd_target);

// Empty where nothing is known, or the file can't be read.
DeviceVerdict ReadVerdict(const std::string& key);
// Reads, changes and writes it under a lock, so that nothing is lost of what another process finds out meanwhile.
Status ChangeVerdict(const std::string& key, const std::function<void(DeviceVerdict&)>& change);

}  // namespace timbre
