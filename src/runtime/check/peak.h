// What the processor could do at most: the yardstick of every benchmark.
#pragma once

#include <string>

#include "base/result.h"
#include "base/thread_pool.h"

namespace timbre {

struct CpuPeak {
  double gflops = 0;        // 10^9 float32 operations a second over all threads of the pool, a multiply-add being two
  std::string simd_target;  // Highway's name of the instruction set that was used: that of the kernels
};

// Measured, in about a third of a second: independent chains of multiply-adds in registers, on every thread, best of
// several runs. Memory plays no part in it.
CpuPeak MeasureCpuPeak(ThreadPool& pool);

struct MemoryBandwidth {
  double read = 0;   // 10^9 bytes a second over all threads of the pool: the sum of one array
  double triad = 0;  // a = b + factor * c, three arrays; lines that are fetched only to be overwritten do not count
  double best() const { return read > triad ? read : triad; }
};

// Measured, in about a second, over three arrays of `array_bytes` each (by default more together than caches hold; they
// are given back at once), best of several runs. Errors: no memory.
Result<MemoryBandwidth> MeasureMemoryBandwidth(ThreadPool& pool, size_t array_bytes = size_t{192} << 20);

}  // namespace timbre
