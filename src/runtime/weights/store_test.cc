// Packed weights are held once, whatever number of sessions of a model there are, and whatever happens to each.
#include "runtime/weights/store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "graph/net.h"
#include "runtime/check/verify.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

// The layers' weights are packed; `batch` signals at once.
Graph Layers(int batch) {
  auto weights = RandomWeights(5);
  GraphBuilder builder("layers", *weights);
  const Net net(builder);
  Value x = builder.Input("x", {batch, 64, 48});
  for (int i = 0; i < 4; ++i) {
    x = Gelu((net / i).Conv("conv", x, {.out = 96, .kernel = 3, .pad = 1}));
    x = (net / i).Linear("linear", x, 48);
  }
  builder.Output("y", x);
  return builder.Finish().value();
}

std::unique_ptr<Session> Make(int batch, ThreadPool& pool, FaultInjector* faults = nullptr, Stats* stats = nullptr) {
  SessionOptions options;
  options.device = "cpu";
  options.faults = faults;
  auto session = MakeSession(Layers(batch), options, pool, stats);
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

std::vector<float> Input() {
  std::vector<float> x(64 * 48);
  for (size_t i = 0; i < x.size(); ++i) x[i] = FormulaValue(3, i, -1, 2);
  return x;
}

AlignedBytes Filled(size_t size, int seed) {
  AlignedBytes bytes = AlignedBytes::Allocate(size).value();
  for (size_t i = 0; i < size; ++i) bytes.data()[i] = static_cast<std::byte>(i * 31 + static_cast<size_t>(seed));
  return bytes;
}

TEST(WeightStore, HoldsWhatIsEqualOnceAndLetsGo) {
  WeightStore store;
  for (const size_t size : {0, 1, 31, 32, 33, 1000}) {
    auto a = store.Share(Filled(size, 1)), b = store.Share(Filled(size, 1));
    EXPECT_EQ(a, b) << size;
    EXPECT_EQ(store.bytes(), static_cast<int64_t>(size));
    if (size == 0) continue;
    // Every byte counts.
    for (size_t i = 0; i < size; ++i) {
      AlignedBytes other = Filled(size, 1);
      other.data()[i] ^= std::byte{1};
      EXPECT_NE(store.Share(std::move(other)), a) << size << " " << i;
    }
    a.reset();
    EXPECT_EQ(store.bytes(), static_cast<int64_t>(size));
    b.reset();
    EXPECT_EQ(store.bytes(), 0);
  }
}

TEST(WeightStore, TwoSessionsOfAModelHoldItsWeightsOnce) {
  ThreadPool pool(1);
  const int64_t before = WeightStore::Get().bytes();
  auto one = Make(1, pool);
  const int64_t taken = WeightStore::Get().bytes() - before;
  EXPECT_EQ(taken, one->weight_bytes());
  EXPECT_GT(taken, 4 * (96 * 48 * 3 + 48 * 96) * 4 - 1);
  EXPECT_EQ(one->Explain().find("shared"), std::string::npos) << one->Explain();
  auto two = Make(2, pool), three = Make(1, pool);
  EXPECT_EQ(WeightStore::Get().bytes() - before, taken);
  EXPECT_NE(two->Explain().find("of them shared"), std::string::npos) << two->Explain();
  one.reset();
  two.reset();
  EXPECT_EQ(WeightStore::Get().bytes() - before, taken);
  three.reset();
  EXPECT_EQ(WeightStore::Get().bytes(), before);
}

// Where the heap gives memory must not decide how much a session takes.
TEST(WeightStore, WhatASessionTakesIsTheSameEveryTime) {
  ThreadPool pool(1);
  std::vector<std::unique_ptr<char[]>> between;
  const int64_t first = Make(1, pool)->weight_bytes();
  for (size_t i = 0; i < 24; ++i) {
    between.push_back(std::make_unique<char[]>(16 * i + 8));
    EXPECT_EQ(Make(1, pool)->weight_bytes(), first);
    const std::vector<float> values(i + 1, 1.0f);
    EXPECT_NE(HostTensor::FromF32({static_cast<int64_t>(i) + 1}, values).F32InPlace(kAlignment), nullptr);
    EXPECT_NE(HostTensor::FromBytes({4}, DType::kF32, std::vector<std::byte>(16)).F32InPlace(kAlignment), nullptr);
  }
}

// At once, in two threads, each with faults of its own: only that session steps down, and what the other one holds is
// held once.
TEST(WeightStore, TwoSessionsAtOnceShareWeightsAndNoFaults) {
  const std::vector<float> x = Input();
  ThreadPool pool(1);
  const int64_t before = WeightStore::Get().bytes();
  std::vector<float> expected(64 * 48);
  auto alone = Make(1, pool);
  const float* const in[] = {x.data()};
  float* const out[] = {expected.data()};
  ASSERT_TRUE(alone->Run(in, out));
  const int64_t taken = WeightStore::Get().bytes() - before;
  alone.reset();
  ASSERT_EQ(WeightStore::Get().bytes(), before);
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kPack}) {
    std::array<FaultInjector, 2> injectors;
    std::array<Stats, 2> stats;
    std::array<int, 2> right{};
    std::array<ThreadPool, 2> pools{ThreadPool(1), ThreadPool(1)};
    std::array<std::unique_ptr<Session>, 2> sessions;
    injectors[1].FailAt(point, 2);
    std::array<std::thread, 2> threads;
    for (size_t t = 0; t < 2; ++t) {
      threads[t] = std::thread([&, t] {
        sessions[t] = Make(1, pools[t], &injectors[t], &stats[t]);
        std::vector<float> y(expected.size());
        float* const outs[] = {y.data()};
        for (int i = 0; i < 10; ++i) {
          if (sessions[t]->Run(in, outs)) right[t] += SignalToErrorDb(expected, y) >= 110;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, (std::array<int, 2>{10, 10})) << NameOf(point);
    EXPECT_TRUE(stats[0].steps().empty()) << NameOf(point);
    EXPECT_EQ(stats[1].steps().size(), 1u) << NameOf(point);
    // The kernel that it stepped down to reads the weights as they are.
    EXPECT_EQ(WeightStore::Get().bytes() - before, taken) << NameOf(point);
    sessions[1].reset();
    EXPECT_EQ(WeightStore::Get().bytes() - before, taken) << NameOf(point);
    sessions[0].reset();
    EXPECT_EQ(WeightStore::Get().bytes(), before) << NameOf(point);
  }
}

}  // namespace
}  // namespace timbre
