// What the processor could do at most: the yardstick of every benchmark.
#pragma once

#include <string>

#include "base/thread_pool.h"

namespace timbre {

struct CpuPeak {
  double gflops = 0;        // 10^9 float32 operations a second over all threads of the pool, a multiply-add being two
  std::string simd_target;  // Highway's name of the instruction set that was used: that of the kernels
};

// Measured, in about a third of a second: independent chains of multiply-adds in registers, on every thread, best of
// several runs. Memory plays no part in it.
CpuPeak MeasureCpuPeak(ThreadPool& pool);

}  // namespace timbre
