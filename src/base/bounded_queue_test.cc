#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace timbre {
namespace {

TEST(BoundedQueue, KeepsOrderAndNeverHoldsMoreThanItsCapacity) {
  BoundedQueue<std::unique_ptr<int>> queue(3);
  std::atomic<int> pushed{0}, popped{0}, most{0};
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(queue.Push(std::make_unique<int>(i)));
      ++pushed;
    }
    queue.Close();
  });
  for (int i = 0;; ++i) {
    // One that is about to be counted may be missing from either number.
    most = std::max(most.load(), pushed.load() - popped.load());
    auto item = queue.Pop();
    if (!item) {
      EXPECT_EQ(i, 1000);
      break;
    }
    ++popped;
    EXPECT_EQ(**item, i);
  }
  producer.join();
  EXPECT_LE(most, 4);
}

TEST(BoundedQueue, CloseLetsTheRestBeTaken) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.Push(1));
  EXPECT_TRUE(queue.Push(2));
  queue.Close();
  EXPECT_FALSE(queue.Push(3));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CancelWakesBothSides) {
  BoundedQueue<int> full(1), empty(1);
  ASSERT_TRUE(full.Push(1));
  std::thread producer([&] { EXPECT_FALSE(full.Push(2)); });
  std::thread consumer([&] { EXPECT_EQ(empty.Pop(), std::nullopt); });
  full.Cancel();
  empty.Cancel();
  producer.join();
  consumer.join();
  EXPECT_EQ(full.Pop(), std::nullopt);
}

TEST(BoundedQueue, ManyProducersAndConsumersLoseNothing) {
  BoundedQueue<int> queue(2);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> producers, consumers;
  for (int t = 0; t < 3; ++t) {
    producers.emplace_back([&] {
      for (int i = 1; i <= 500; ++i) queue.Push(i);
    });
    consumers.emplace_back([&] {
      while (auto item = queue.Pop()) sum += *item;
    });
  }
  for (auto& t : producers) t.join();
  queue.Close();
  for (auto& t : consumers) t.join();
  EXPECT_EQ(sum, 3 * 500 * 501 / 2);
}

}  // namespace
}  // namespace timbre
