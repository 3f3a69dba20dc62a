#include "runtime/peak.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/simd.h"

namespace timbre {
namespace {

// Nothing is claimed about how fast a machine is; only that the figure is one.
TEST(CpuPeak, IsAPositiveNumberAndNamesItsTarget) {
  ThreadPool pool(2);
  const CpuPeak peak = MeasureCpuPeak(pool);
  EXPECT_TRUE(std::isfinite(peak.gflops));
  EXPECT_GT(peak.gflops, 0);
  EXPECT_EQ(peak.simd_target, SimdTarget());
  EXPECT_FALSE(peak.simd_target.empty());
}

}  // namespace
}  // namespace timbre
