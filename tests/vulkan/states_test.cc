// States and scalars on a Vulkan device: the same as on the CPU, whatever fails, and whoever else uses the device.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>
#include <thread>

#include "runtime/check/verify.h"
#include "runtime/session/state.h"
#include "runtime/session/vulkan_states.h"
#include "tests/support/counter.h"
#include "tests/support/sweep.h"
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

// Two layers with weights, over `batch` signals.
Graph Layers(int batch) {
  auto weights = RandomWeights(5);
  GraphBuilder builder("layers", *weights);
  const Net net(builder);
  const Value x = builder.Input("x", {batch, 16, 32});
  builder.Output("y", net.Linear("linear", Gelu(net.Conv("conv", x, {.out = 64, .kernel = 3, .pad = 1})), 32));
  return builder.Finish().value();
}

// Weights are on the device once, whatever the number of sessions.
TEST(VulkanWeights, TwoSessionsOfAModelHoldThemOnce) {
  TIMBRE_NEED_VULKAN();
  ThreadPool pool(1);
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const int64_t before = (*device)->held_bytes();
  auto one = MakeCounter(Layers(1), pool, OnVulkan());
  const int64_t taken = (*device)->held_bytes() - before;
  EXPECT_GE(taken, one->weight_bytes());
  EXPECT_GE(taken, (64 * 32 * 3 + 32 * 64) * 4);
  auto two = MakeCounter(Layers(2), pool, OnVulkan()), three = MakeCounter(Layers(1), pool, OnVulkan());
  EXPECT_EQ((*device)->held_bytes() - before, taken);
  EXPECT_NE(two->Explain().find("of them shared"), std::string::npos) << two->Explain();
  one.reset();
  two.reset();
  EXPECT_EQ((*device)->held_bytes() - before, taken);
  three.reset();
  EXPECT_EQ((*device)->held_bytes(), before);
}

// At once, in two threads, each with faults of its own: what the unharmed one holds there is held once.
TEST(VulkanWeights, TwoSessionsAtOnceShareThemAndNoFaults) {
  TIMBRE_NEED_VULKAN();
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  ThreadPool pool(1);
  const int64_t before = (*device)->held_bytes();
  auto alone = MakeCounter(Layers(1), pool, OnVulkan());
  const int64_t taken = (*device)->held_bytes() - before;
  std::vector<float> x(16 * 32), expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(3, i, -1, 2);
  const float* const in[] = {x.data()};
  float* const out[] = {expected.data()};
  ASSERT_TRUE(alone->Run(in, out));
  alone.reset();
  for (const FaultPoint point : {FaultPoint::kSubmit, FaultPoint::kPack}) {
    std::array<FaultInjector, 2> injectors;
    std::array<Stats, 2> stats;
    std::array<int, 2> right{};
    std::array<ThreadPool, 2> pools{ThreadPool(1), ThreadPool(1)};
    std::array<std::unique_ptr<Session>, 2> sessions;
    injectors[1].FailAt(point, 1);
    std::array<std::thread, 2> threads;
    for (size_t t = 0; t < 2; ++t) {
      threads[t] = std::thread([&, t] {
        SessionOptions options = OnVulkan();
        options.faults = &injectors[t];
        auto session = MakeSession(Layers(1), options, pools[t], &stats[t]);
        if (!session) return;
        sessions[t] = *std::move(session);
        std::vector<float> y(expected.size());
        float* const outs[] = {y.data()};
        for (int i = 0; i < 5; ++i) {
          if (sessions[t]->Run(in, outs)) right[t] += SignalToErrorDb(expected, y) >= 110;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, (std::array<int, 2>{5, 5})) << NameOf(point);
    EXPECT_TRUE(stats[0].steps().empty()) << NameOf(point);
    EXPECT_EQ(stats[1].steps().size(), 1u) << NameOf(point);
    // Another kernel may want a layer's weights in another order, but never both layers'.
    EXPECT_GE((*device)->held_bytes() - before, taken) << NameOf(point);
    EXPECT_LT((*device)->held_bytes() - before, 2 * taken) << NameOf(point);
    sessions[1].reset();
    EXPECT_EQ((*device)->held_bytes() - before, taken) << NameOf(point);
    sessions[0].reset();
    EXPECT_EQ((*device)->held_bytes(), before) << NameOf(point);
  }
}

// A cache of 64 MiB, of a gigabyte in `./dev sweep`, stepped a hundred times: it is brought to the device once, and
// then only what is written moves.
TEST(VulkanStates, ALargeCacheIsSteppedWithoutACopy) {
  TIMBRE_NEED_VULKAN();
  const int layers = testing::FullSweep() ? 16 : 1;
  constexpr int kCapacity = 16384, kWidth = 1024, kSteps = 100;  // 64 MiB each
  auto weights = RandomWeights(1);
  GraphBuilder builder("large", *weights);
  const ScalarId at = builder.IntScalar("at");
  Value x = builder.Input("x", {1, 1, kWidth});
  for (int layer = 0; layer < layers; ++layer) {
    const Value cache = WriteState(builder.State("cache." + std::to_string(layer), {1, kCapacity, kWidth}), x, 1, at);
    x = Scale(x, 0.5f);
    builder.Output("first." + std::to_string(layer), Slice(cache, 1, 0, 2));
  }
  ThreadPool pool(1);
  SessionOptions options = OnVulkan();
  options.strict = true;
  auto session = MakeCounter(builder.Finish().value(), pool, options);
  auto device = VulkanDevice::Open(UsableDevice());
  ASSERT_TRUE(device) << device.error().message;
  const auto twin = std::static_pointer_cast<VulkanStates>(session->state()->TwinOn(device->get()));
  ASSERT_NE(twin, nullptr);
  std::vector<float> input(kWidth, 1.0f);
  std::vector<std::vector<float>> first(static_cast<size_t>(layers), std::vector<float>(2 * kWidth));
  std::vector<float*> out;
  for (auto& f : first) out.push_back(f.data());
  const float* const in[] = {input.data()};
  for (int step = 0; step < kSteps; ++step) {
    input[0] = static_cast<float>(step);
    ASSERT_TRUE(session->SetScalar("at", step));
    ASSERT_TRUE(session->Run(in, out));
    ASSERT_EQ(twin->bytes_brought(), int64_t{layers} * kCapacity * kWidth * 4) << step;
  }
  EXPECT_EQ(first[0][0], 0);
  EXPECT_EQ(first[0][kWidth], 1);
  EXPECT_EQ(session->state()->bytes_moved(), int64_t{kSteps} * layers * kWidth * 4);
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
