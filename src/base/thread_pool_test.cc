#include "base/thread_pool.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace timbre
