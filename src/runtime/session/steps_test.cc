#include "runtime/session/steps.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(Steps, OnlyFailuresOfTheMachineStepDown) {
  for (const Rung rung : {Rung::kKernel, Rung::kTiles, Rung::kPlace, Rung::kDevice, Rung::kOpen}) {
    for (const ErrorCode code : {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kCorrupt, ErrorCode::kIo,
                                 ErrorCode::kCancelled, ErrorCode::kInternal}) {
      for (const int tiles : {1, 8}) EXPECT_FALSE(MayStepDown(rung, code, tiles)) << ErrorCodeName(code);
    }
  }
  EXPECT_FALSE(MayStepDown(Rung::kKernel, ErrorCode::kDeviceLost)) << "no other kernel helps there";
  EXPECT_TRUE(MayStepDown(Rung::kDevice, ErrorCode::kDeviceLost));
}

// Memory that several tiles do not fit into costs tiles, not speed, and not the device.
TEST(Steps, FewerTilesComeBeforeAnotherDevice) {
  EXPECT_TRUE(MayStepDown(Rung::kTiles, ErrorCode::kOutOfMemory, 2));
  EXPECT_FALSE(MayStepDown(Rung::kPlace, ErrorCode::kOutOfMemory, 2));
  EXPECT_FALSE(MayStepDown(Rung::kDevice, ErrorCode::kOutOfMemory, 2));
  EXPECT_FALSE(MayStepDown(Rung::kTiles, ErrorCode::kOutOfMemory, 1));
  EXPECT_TRUE(MayStepDown(Rung::kPlace, ErrorCode::kOutOfMemory, 1));
  EXPECT_FALSE(MayStepDown(Rung::kPlace, ErrorCode::kDeviceLost, 1));
  EXPECT_TRUE(MayStepDown(Rung::kDevice, ErrorCode::kOutOfMemory, 1));
  EXPECT_FALSE(MayStepDown(Rung::kTiles, ErrorCode::kDeviceLost, 2));
}

TEST(Steps, AreRecordedOrRefused) {
  Stats stats;
  const Error reason{ErrorCode::kKernelFailed, "it broke"};
  EXPECT_TRUE(TakeStep(&stats, false, "node", "from", "to", reason));
  EXPECT_TRUE(TakeStep(nullptr, false, "node", "from", "to", reason));
  const Status refused = TakeStep(&stats, true, "node", "from", "to", reason);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kKernelFailed);
  for (const char* fact : {"node", "from", "to", "it broke"})
    EXPECT_NE(refused.error().message.find(fact), std::string::npos) << refused.error().message;
  ASSERT_EQ(stats.steps().size(), 1u);
  EXPECT_EQ(stats.steps()[0].count, 1);
}

}  // namespace
}  // namespace timbre
