// Whether the kernels of a device compute what the op table says, found out on the device itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "runtime/session/session.h"

namespace timbre {

struct KernelFinding {
  std::string op, kernel;  // "device" where the device as a whole failed
  int version = 0;
  int cases = 0;
  double worst = 0;     // the largest error, as a multiple of what the operator's tolerance allows
  std::string problem;  // what is wrong; empty where nothing is
};

// Runs every conformance case of every operator on `device` (SessionOptions::device), on every kernel there that takes
// it (on the CPU, for the instruction set in use), in half precision too, alone and with epilogues. What doctor found
// earlier is not heeded. `progress` (0 to 1) may cancel by returning false.
Result<std::vector<KernelFinding>> CheckKernels(const std::string& device, ThreadPool& pool,
                                                const std::function<bool(double)>& progress);

}  // namespace timbre
