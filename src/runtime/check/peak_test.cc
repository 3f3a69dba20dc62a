#include "runtime/check/peak.h"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(MemoryBandwidth, IsPositiveAndRefusesNothing) {
  ThreadPool pool(2);
  const auto bandwidth = MeasureMemoryBandwidth(pool, 1 << 20);
  ASSERT_TRUE(bandwidth);
  EXPECT_TRUE(std::isfinite(bandwidth->read) && std::isfinite(bandwidth->triad));
  EXPECT_GT(bandwidth->read, 0);
  EXPECT_GT(bandwidth->triad, 0);
  EXPECT_EQ(bandwidth->best(), std::max(bandwidth->read, bandwidth->triad));
  EXPECT_FALSE(MeasureMemoryBandwidth(pool, 16));
}

}  // namespace
}  // namespace timbre
