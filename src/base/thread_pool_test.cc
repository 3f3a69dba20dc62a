#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/affinity.h"

namespace timbre {
namespace {

TEST(ThreadPool, RunsEveryIndexOnceOnEveryPoolSize) {
  for (int threads = 1; threads <= 5; ++threads) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      pool.ForEach(count, [&](int64_t i, int worker) {
        ASSERT_LT(worker, threads);
        calls[i].fetch_add(1);
      });
      for (auto& c : calls) EXPECT_EQ(c.load(), 1);
    }
  }
}

TEST(ThreadPool, RangesCoverWithoutOverlap) {
  ThreadPool pool(3);
  for (int64_t count : {1, 5, 64, 1001}) {
    for (int64_t grain : {1, 16, 5000}) {
      std::vector<std::atomic<int>> calls(count);
      pool.ForRange(count, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) calls[i].fetch_add(1);
      });
      for (auto& c : calls) EXPECT_EQ(c.load(), 1);
    }
  }
}

TEST(ThreadPool, RunsEveryIndexWhenPinned) {
  for (int threads = 1; threads <= AvailableProcessors() + 1; ++threads) {
    const int before = AvailableProcessors();
    {
      const ScopedAffinity unpinned;
      ThreadPool pool(threads);
      pool.Pin();
      if (threads <= before) {
        EXPECT_EQ(AvailableProcessors(), 1);
      }
      std::atomic<int64_t> sum{0};
      pool.ForEach(100, [&](int64_t i, int) { sum += i; });
      EXPECT_EQ(sum.load(), 4950);
    }
    EXPECT_EQ(AvailableProcessors(), before);
  }
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 5000; ++round) pool.ForEach(8, [&](int64_t i, int) { sum += i; });
  EXPECT_EQ(sum.load(), 5000 * 28);
}

// Between the loops workers are awake, about to sleep or asleep; each loop is done only once all threads have come.
TEST(ThreadPool, EveryWorkerComesHoweverLongItHasWaited) {
  for (int threads = 2; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    for (int round = 0; round < 16; ++round) {
      std::this_thread::sleep_for(std::chrono::microseconds(round * 10));
      std::atomic<int> arrived{0};
      pool.ForEach(threads, [&](int64_t, int) {
        arrived.fetch_add(1);
        while (arrived.load() < threads) std::this_thread::yield();
      });
      EXPECT_EQ(arrived.load(), threads);
    }
  }
}

// Few indices wake few workers, and what comes next wakes the others.
TEST(ThreadPool, LoopsOfFewIndicesAndOfManyInTurn) {
  ThreadPool pool(4);
  for (int round = 0; round < 30; ++round) {
    if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    for (int count : {2, 3, 4, 100}) {
      int64_t expected = 0;
      std::atomic<int64_t> sum{0};
      for (int i = 0; i < count; ++i) expected += i;
      pool.ForEach(count, [&](int64_t i, int) { sum += i; });
      EXPECT_EQ(sum.load(), expected);
    }
  }
}

TEST(ThreadPool, ServesOneCallerAfterAnother) {
  ThreadPool pool(3);
  int64_t sum = 0;  // of one loop after another: what a loop did is seen by the next, whoever calls it
  for (int caller = 0; caller < 20; ++caller) {
    std::thread([&] {
      std::vector<int64_t> parts(50);
      pool.ForEach(50, [&](int64_t i, int) { parts[i] = sum + i; });
      for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(parts[i], sum + i);
      sum += 7;
    }).join();
  }
  EXPECT_EQ(sum, 140);
}

}  // namespace
}  // namespace timbre
