// States and scalars on a Vulkan device: the same as on the CPU, whatever fails, and whoever else uses the device.
#include <gtest/gtest.h>

#include <thread>

#include "runtime/session/state.h"
#include "tests/support/counter.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

SessionOptions OnVulkan() {
  SessionOptions options;
  options.device = UsableDeviceName();
  return options;
}

TEST(VulkanStates, StayBetweenRunsAndAreWrittenAtTheirPlace) {
  TIMBRE_NEED_VULKAN();
  const int64_t messages = VulkanValidationMessages();
  ThreadPool pool(1);
  for (const bool verify : {false, true}) {
    SessionOptions options = OnVulkan();
    options.verify = verify;
    options.strict = true;
    auto session = MakeCounter(Counter(3), pool, options);
    EXPECT_EQ(session->in_flight(), 1);
    EXPECT_EQ(Step(*session, 0, Of(1)).value(), Of(1));
    EXPECT_EQ(Step(*session, 1, Of(2)).value(), Of(103));
    EXPECT_EQ(Step(*session, 2, Of(4)).value(), Of(307));
    EXPECT_EQ(Step(*session, 1, Of(8)).value(), Of(713));
    EXPECT_FALSE(Step(*session, 3, Of(8)));
    session->state()->Clear();
    EXPECT_EQ(Step(*session, 0, Of(1)).value(), Of(1));
    ASSERT_TRUE(session->state()->Mark());
    EXPECT_EQ(Step(*session, 1, Of(2)).value(), Of(103));
    EXPECT_EQ(Step(*session, 0, Of(9)).value(), Of(311));
    ASSERT_TRUE(session->state()->Rollback());
    EXPECT_EQ(Step(*session, 1, Of(2)).value(), Of(103));
    EXPECT_EQ(Step(*session, 2, Of(4)).value(), Of(307));
  }
  EXPECT_EQ(VulkanValidationMessages(), messages);
}

TEST(VulkanStates, MoveBetweenSessionsAndDevices) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  auto prompt = MakeCounter(Counter(8, 4, 3), pool, OnVulkan()), step = MakeCounter(Counter(8), pool, OnVulkan());
  auto cpu = MakeCounter(Counter(8), pool);
  ASSERT_TRUE(step->UseState(prompt->state()));
  ASSERT_TRUE(cpu->UseState(prompt->state()));
  ASSERT_TRUE(Step(*prompt, 0, std::vector<float>(12, 1.0f)));
  EXPECT_EQ(Step(*step, 3, Of(2)).value(), Of(305));
  EXPECT_EQ(Step(*cpu, 4, Of(1)).value(), Of(506));
  EXPECT_EQ(Step(*step, 5, Of(1)).value(), Of(607));
  EXPECT_EQ(Step(*step, 6, Of(0)).value(), Of(707));

  const std::shared_ptr<SessionState> first = step->state();
  ASSERT_TRUE(step->UseState(std::make_shared<SessionState>()));
  EXPECT_EQ(Step(*step, 0, Of(7)).value(), Of(7));
  ASSERT_TRUE(step->UseState(first));
  EXPECT_EQ(Step(*step, 7, Of(1)).value(), Of(708));
}

// Wherever a run fails, what goes on elsewhere goes on from the state before it.
TEST(VulkanStates, SurviveEveryFault) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  const auto all = [&](FaultInjector* faults, Stats* stats) -> Result<std::vector<float>> {
    SessionOptions options = OnVulkan();
    options.faults = faults;
    TIMBRE_TRY(auto session, MakeSession(Counter(4), options, pool, stats));
    std::vector<float> results;
    for (int i = 0; i < 4; ++i) {
      TIMBRE_TRY(const auto y, Step(*session, i, Of(static_cast<float>(i + 1))));
      results.insert(results.end(), y.begin(), y.end());
    }
    return results;
  };
  FaultInjector counter;
  const auto healthy = all(&counter, nullptr);
  ASSERT_TRUE(healthy) << healthy.error().message;
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kAllocation, FaultPoint::kSubmit, FaultPoint::kWait,
                                 FaultPoint::kDevice, FaultPoint::kMemory}) {
    ASSERT_GT(counter.passes(point), 0) << NameOf(point);
    for (int64_t n = 0; n < counter.passes(point); ++n) {
      FaultInjector injector;
      injector.FailAt(point, n);
      Stats stats;
      const auto out = all(&injector, &stats);
      ASSERT_TRUE(out) << NameOf(point) << " " << n << ": " << out.error().message;
      EXPECT_EQ(*out, *healthy) << NameOf(point) << " " << n;
      EXPECT_EQ(stats.steps().size(), 1u) << NameOf(point) << " " << n;
    }
  }
}

// Weights are on the device once, whatever the number of sessions.
TEST(VulkanWeights, TwoSessionsOfAModelHoldThemOnce) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  const auto layers = [](int batch) {
    auto weights = RandomWeights(5);
    GraphBuilder builder("layers", *weights);
    const Net net(builder);
    const Value x = builder.Input("x", {batch, 16, 32});
    builder.Output("y", net.Linear("linear", Gelu(net.Conv("conv", x, {.out = 64, .kernel = 3, .pad = 1})), 32));
    return builder.Finish().value();
  };
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const int64_t before = (*device)->held_bytes();
  auto one = MakeCounter(layers(1), pool, OnVulkan());
  const int64_t taken = (*device)->held_bytes() - before;
  EXPECT_GE(taken, one->weight_bytes());
  EXPECT_GE(taken, (64 * 32 * 3 + 32 * 64) * 4);
  auto two = MakeCounter(layers(2), pool, OnVulkan()), three = MakeCounter(layers(1), pool, OnVulkan());
  EXPECT_EQ((*device)->held_bytes() - before, taken);
  EXPECT_NE(two->Explain().find("of them shared"), std::string::npos) << two->Explain();
  one.reset();
  two.reset();
  EXPECT_EQ((*device)->held_bytes() - before, taken);
  three.reset();
  EXPECT_EQ((*device)->held_bytes(), before);
}

// Two sessions of one model at a time on one device, each with faults of its own: the other's are not felt.
TEST(VulkanStates, TwoSessionsShareADeviceAndNoFaults) {
  TIMBRE_NEED_VULKAN();
  for (const FaultPoint point : {FaultPoint::kSubmit, FaultPoint::kWait, FaultPoint::kKernel}) {
    std::array<FaultInjector, 2> injectors;
    std::array<Stats, 2> stats;
    std::array<int, 2> right{};
    injectors[1].FailAt(point, 3);
    std::array<std::thread, 2> threads;
    for (size_t t = 0; t < 2; ++t) {
      threads[t] = std::thread([&, t] {
        ThreadPool pool(1);
        SessionOptions options = OnVulkan();
        options.faults = &injectors[t];
        auto session = MakeSession(Counter(64), options, pool, &stats[t]);
        if (!session) return;
        float cache = 0, sum = 0;
        for (int i = 0; i < 40; ++i) {
          const float x = static_cast<float>(i + 1);
          cache += x;
          const auto y = Step(**session, i, Of(x));
          right[t] += y && *y == Of(cache + 100 * sum);
          sum += x;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right[0], 40) << NameOf(point);
    EXPECT_EQ(right[1], 40) << NameOf(point);
    EXPECT_TRUE(stats[0].steps().empty()) << NameOf(point) << ": " << stats[0].steps()[0].reason;
    EXPECT_EQ(stats[1].steps().size(), 1u) << NameOf(point);
  }
}

}  // namespace
}  // namespace timbre
