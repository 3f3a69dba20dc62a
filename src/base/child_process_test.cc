#include "base/child_process.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(ChildProcess, PassesInputAndOutputAndTheExitCode) {
  const std::string text(200000, 'x');  // more than a pipe holds
  const auto cat = RunChild({"cat"}, text, 1 << 20, 30);
  ASSERT_TRUE(cat) << cat.error().message;
  EXPECT_EQ(cat->output, text);
  EXPECT_EQ(cat->exit_code, 0);
  const auto fails = RunChild({"sh", "-c", "exit 7"}, "", 10, 30);
  ASSERT_TRUE(fails) << fails.error().message;
  EXPECT_EQ(fails->exit_code, 7);
  const auto killed = RunChild({"sh", "-c", "kill -9 $$"}, "", 10, 30);
  ASSERT_TRUE(killed) << killed.error().message;
  EXPECT_EQ(killed->exit_code, 128 + 9);
}

TEST(ChildProcess, SaysWhatWentWrong) {
  const auto missing = RunChild({"timbre-has-no-such-program"}, "", 10, 30);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  const auto much = RunChild({"yes"}, "", 1000, 30);
  ASSERT_FALSE(much);
  EXPECT_EQ(much.error().code, ErrorCode::kUnsupported);
  const auto slow = RunChild({"sleep", "60"}, "", 10, 0.05);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kIo);
}

TEST(ChildProcess, IsEndedByWhoWatchesIt) {
  int asked = 0;
  const auto ended = RunChild({"sleep", "60"}, "", {.watch = [&]() -> Status {
                                if (++asked < 3) return {};
                                return Fail(ErrorCode::kCancelled, "cancelled.");
                              }});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 3);
}

TEST(ChildProcess, IsGivenVariablesAndGivesItsErrors) {
  const auto ran = RunChild({"sh", "-c", "printf %s \"$TIMBRE_CHILD_TEST\"; printf %s wrong >&2"}, "",
                            {.join_errors = true, .environment = {"TIMBRE_CHILD_TEST=given"}});
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->output, "givenwrong");
}

}  // namespace
}  // namespace timbre
