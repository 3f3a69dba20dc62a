#include "runtime/check/cpu_targets.h"

#include "kernels/cpu/simd.h"

namespace timbre {

std::vector<std::string> CpuTargets() { return SimdTargets(); }
std::string CurrentCpuTarget() { return SimdTarget(); }
Status UseCpuTarget(const std::string& name) { return SetSimdTarget(name); }

}  // namespace timbre
