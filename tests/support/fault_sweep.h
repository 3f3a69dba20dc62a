// A small job with something failing at each point in turn: what comes of it is the same all the same, and the step is
// recorded; --strict refuses with the same facts.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/session/faults.h"
#include "runtime/session/stats.h"
#include "tests/support/golden.h"
#include "tests/support/sweep.h"

namespace timbre::testing {

class FaultSweep {
 public:
  // What the job makes, as numbers; the faults, and whether a step down is refused, belong to its session.
  using Job = std::function<Result<std::vector<float>>(FaultInjector& faults, bool strict, Stats& stats)>;

  // `sessions`: how many of the job's a device takes with it when it goes, each of which steps down.
  FaultSweep(std::string device, Job job, size_t sessions = 1)
      : device_(std::move(device)), job_(std::move(job)), sessions_(sessions) {}

  // At `most` points of the class: the first, the last and some between, or one in the middle; TIMBRE_SWEEP=full visits
  // each.
  void FailEach(FaultPoint point, int64_t most) {
    if (healthy_.empty()) Count();
    const int64_t count = counter_.passes(point);
    ASSERT_GT(count, 0) << NameOf(point);
    if (full_) most = count;
    std::set<int64_t> chosen;
    for (int64_t i = 0; i < most; ++i) chosen.insert(most > 1 ? i * (count - 1) / (most - 1) : count / 2);
    for (const int64_t n : chosen) {
      Fail(point, n);
      if (::testing::Test::HasFatalFailure()) return;
    }
    std::printf("  %-10s %4zu of %5ld points failed in turn\n", std::string(NameOf(point)).c_str(), chosen.size(),
                static_cast<long>(count));
  }

  // From the first on, all of them.
  void FailAll(FaultPoint point) {
    if (healthy_.empty()) Count();
    FaultInjector injector;
    injector.FailFrom(point, 0);
    Stats stats;
    const auto made = job_(injector, false, stats);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_GE(RatioDb(healthy_, *made), kFloorDb);
    EXPECT_FALSE(stats.steps().empty());
  }

 private:
  static constexpr double kFloorDb = 90;

  // Without a fault: what there should be, and how many points of each class there are.
  void Count() {
    Stats stats;
    const auto made = job_(counter_, true, stats);
    ASSERT_TRUE(made) << made.error().message;
    healthy_ = *made;
  }

  void Fail(FaultPoint point, int64_t n) {
    const std::string label = device_ + " " + std::string(NameOf(point)) + ":" + std::to_string(n);
    FaultInjector injector;
    injector.FailAt(point, n);
    Stats stats;
    const auto made = job_(injector, false, stats);
    ASSERT_TRUE(made) << label << ": " << made.error().message;
    EXPECT_GE(RatioDb(healthy_, *made), kFloorDb) << label;
    const std::vector<StepDown> steps = stats.steps();
    ASSERT_GE(steps.size(), 1u) << label;
    EXPECT_LE(steps.size(), device_ == "cpu" ? 1 : sessions_) << label;
    for (const StepDown& step : steps) {
      EXPECT_EQ(step.count, 1) << label;
      EXPECT_NE(step.from, step.to) << label;
    }

    if (device_ != "cpu" && !full_) return;  // a run takes a software driver too long
    FaultInjector again;
    again.FailAt(point, n);
    Stats none;
    const auto refused = job_(again, true, none);
    ASSERT_FALSE(refused) << label;
    EXPECT_TRUE(none.steps().empty()) << label;
    if (steps.size() > 1) return;  // it is the first of them
    for (const std::string& fact : {steps[0].node, steps[0].from, steps[0].to, steps[0].reason}) {
      EXPECT_NE(refused.error().message.find(fact), std::string::npos) << label << ": " << refused.error().message;
    }
  }

  const std::string device_;
  const Job job_;
  const size_t sessions_;
  const bool full_ = FullSweep();
  FaultInjector counter_;
  std::vector<float> healthy_;
};

}  // namespace timbre::testing
