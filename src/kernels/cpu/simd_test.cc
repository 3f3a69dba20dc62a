#include "kernels/cpu/simd.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>

namespace timbre {
namespace {

// Highway is the whole process's: another library in it may have left targets out, and an environment is the program's.
TEST(Simd, AskingChangesNothingOfTheHosts) {
  const std::string best = SimdTarget();
  const std::string last = SimdTargets().back();
  ASSERT_EQ(setenv("TIMBRE_SIMD", last.c_str(), 1), 0);
  hwy::GetChosenTarget().DeInit();
  EXPECT_EQ(SimdTarget(), best);
  unsetenv("TIMBRE_SIMD");

  const int64_t all = hwy::SupportedTargets();
  const int64_t without = all & (all - 1);  // the best one left out
  if (without == 0) GTEST_SKIP() << "not here: one target only";
  hwy::SetSupportedTargetsForTest(without);
  hwy::GetChosenTarget().DeInit();
  SimdTargets();
  SimdTarget();
  EXPECT_FALSE(SetSimdTarget("AVX9"));
  EXPECT_EQ(hwy::SupportedTargets(), without);
  hwy::SetSupportedTargetsForTest(0);
  EXPECT_TRUE(SetSimdTarget(""));
  EXPECT_EQ(SimdTarget(), best);
}

}  // namespace
}  // namespace timbre
