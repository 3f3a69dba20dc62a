#include "runtime/check/verdicts.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file_lock.h"
#include "graph/single_op_graph.h"
#include "runtime/plan/tuner.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre {
namespace {

// Two that write at once each find what the other wrote.
TEST(Verdicts, AreReadChangedAndWrittenUnderALock) {
  const testing::TempFolder cache;
  const Environment environment(std::map<std::string, std::string>{{"TIMBRE_CACHE", cache.path().string()}});
  std::thread writer;
  {
    const auto lock = FileLock::Acquire(cache / "doctor.json.lock", {});
    ASSERT_TRUE(lock);
    writer = std::thread([] {
      EXPECT_TRUE(ChangeVerdict("one", [](DeviceVerdict& verdict) { verdict.seconds["small"] = 2; }));
      EXPECT_TRUE(ChangeVerdict("three", [](DeviceVerdict& verdict) { verdict.wrong = {"a@1"}; }));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    testing::WriteAll(cache / "doctor.json",
                      R"({"two": {"wrong": ["b@2"], "seconds": {}}, "one": {"wrong": [], "seconds": {"large": 9}}})");
  }
  writer.join();
  EXPECT_EQ(ReadVerdict("three").wrong, std::set<std::string>{"a@1"});
  EXPECT_EQ(ReadVerdict("one").seconds, (std::map<std::string, double>{{"small", 2}, {"large", 9}}));
  EXPECT_EQ(ReadVerdict("two").wrong, std::set<std::string>{"b@2"});
}

TEST(Tuner, KeepsWhatAnotherProcessLearntMeanwhile) {
  const testing::TempFolder cache;
  const std::string path = (cache / "tuning.json").string();
  const auto learn = [](Tuner& tuner, size_t nth) {
    const SingleOpGraph one = MakeSingleOpGraph(Op::kLinear, RowOf(Op::kLinear).cases()[nth]);
    const NodeRef ref{one.graph, one.graph.nodes[0]};
    const auto rows = KernelsFor(Op::kLinear, DeviceKind::kCpu);
    ASSERT_GE(rows.size(), 2u);
    tuner.Choose(ref, rows, [](size_t) -> Result<double> { return 1.0; });
  };
  const DeviceCaps caps;
  Tuner first(Tune::kFast, caps, path), second(Tune::kFast, caps, path);
  learn(first, 0);
  learn(second, 1);
  first.Save();
  second.Save();
  EXPECT_EQ(nlohmann::json::parse(testing::ReadAll(path)).size(), 2u);
  Tuner third(Tune::kFast, caps, path);
  learn(third, 0);
  learn(third, 1);
  EXPECT_EQ(third.measured(), 0) << "what is remembered is not measured again";
}

}  // namespace
}  // namespace timbre
