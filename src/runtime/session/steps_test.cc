#include "runtime/session/steps.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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
  EXPECT_TRUE(Steps(&stats, false).Take(Rung::kKernel, "node", "from", "to", reason));
  EXPECT_TRUE(Steps(nullptr, false).Take(Rung::kKernel, "node", "from", "to", reason));
  const Status refused = Steps(&stats, true).Take(Rung::kKernel, "node", "from", "to", reason);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kKernelFailed);
  for (const char* fact : {"node", "from", "to", "it broke"})
    EXPECT_NE(refused.error().message.find(fact), std::string::npos) << refused.error().message;
  // What is no reason to leave a rung is passed on as it is, strict or not.
  for (const bool strict : {false, true}) {
    const Status passed = Steps(&stats, strict).Take(Rung::kPlace, "node", "from", "to", reason);
    ASSERT_FALSE(passed);
    EXPECT_EQ(passed.error().message, "it broke");
  }
  ASSERT_EQ(stats.steps().size(), 1u);
  EXPECT_EQ(stats.steps()[0].count, 1);
}

TEST(Steps, DescendAttemptsUntilSomethingSucceedsOrNothingIsLeft) {
  int rung = 0;
  const auto attempt = [&]() -> Result<int> {
    if (rung < 3) return Fail(ErrorCode::kKernelFailed, "rung " + std::to_string(rung));
    return rung;
  };
  std::vector<std::string> answered;
  const auto reached = Descend(attempt, [&](const Error& error) -> Status {
    answered.push_back(error.message);
    ++rung;
    return {};
  });
  ASSERT_TRUE(reached);
  EXPECT_EQ(*reached, 3);
  EXPECT_EQ(answered, (std::vector<std::string>{"rung 0", "rung 1", "rung 2"}));
  rung = 0;
  const auto ended = Descend(attempt, [&](const Error& error) -> Status {
    if (rung == 1) return tl::unexpected<Error>(error);
    ++rung;
    return {};
  });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "rung 1");
}

}  // namespace
}  // namespace timbre
