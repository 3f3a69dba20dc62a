// The instruction sets that the CPU's kernels are compiled for, to examine each in turn.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace timbre {

std::vector<std::string> CpuTargets();  // those that this machine can run, best first
std::string CurrentCpuTarget();
// For every session of this process that is made from here on. None may run meanwhile.
Status UseCpuTarget(const std::string& name);

}  // namespace timbre
