#include "runtime/device/ledger.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include "runtime/device/device_report.h"

namespace timbre {
namespace {

TEST(MemoryLedger, PromisesNoByteTwice) {
  MemoryLedger ledger("device", [] { return uint64_t{100} << 20; });
  auto one = ledger.Reserve(60 << 20);
  ASSERT_TRUE(one);
  const auto none = ledger.Reserve(41 << 20);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kOutOfMemory);
  EXPECT_NE(none.error().message.find("device has no 41 MiB free (60 of 100 MiB"), std::string::npos)
      << none.error().message;
  auto two = ledger.Reserve(40 << 20);
  ASSERT_TRUE(two);
  EXPECT_FALSE(ledger.Reserve(1));
  EXPECT_TRUE(ledger.Reserve(0));
  *one = Reservation();
  EXPECT_EQ(ledger.account().reserved, uint64_t{40} << 20);
  EXPECT_EQ(ledger.account().most_reserved, uint64_t{100} << 20);
  EXPECT_EQ(ledger.account().refused, 2);
  EXPECT_TRUE(ledger.Reserve(60 << 20));
}

TEST(MemoryLedger, PartsAreGivenBackOnTheirOwn) {
  MemoryLedger ledger("device", [] { return uint64_t{100}; });
  {
    Reservation whole = *ledger.Reserve(70);
    {
      const Reservation part = whole.Part(30);
      EXPECT_EQ(part.bytes(), 30u);
      EXPECT_EQ(whole.bytes(), 40u);
      EXPECT_EQ(ledger.account().reserved, 70u);
    }
    EXPECT_EQ(ledger.account().reserved, 40u);
    const Reservation rest = whole.Part(50);
    EXPECT_EQ(rest.bytes(), 40u);
    EXPECT_EQ(whole.bytes(), 0u);
    Reservation all;
    all.Join(*ledger.Reserve(20));
    all.Join(*ledger.Reserve(5));
    EXPECT_EQ(all.bytes(), 25u);
    EXPECT_EQ(ledger.account().reserved, 65u);
  }
  EXPECT_EQ(ledger.account().reserved, 0u);
}

// What is taken without being asked for counts, and leaves nothing to promise where it is more than there is.
TEST(MemoryLedger, WhatIsNotedIsTaken) {
  MemoryLedger ledger("device", [] { return uint64_t{100}; });
  const Reservation noted = ledger.Note(150);
  EXPECT_FALSE(ledger.Reserve(1));
  MemoryLedger unknown("device", [] { return uint64_t{0}; });
  EXPECT_TRUE(unknown.Reserve(uint64_t{1} << 60));
  unknown.SetLimit(10);
  EXPECT_FALSE(unknown.Reserve(11));
  EXPECT_TRUE(unknown.Reserve(10));
}

TEST(MemoryLedger, RefusesWhereAFaultSaysSo) {
  MemoryLedger ledger("device", [] { return uint64_t{100}; });
  FaultInjector faults;
  faults.FailAt(FaultPoint::kReserve, 1);
  EXPECT_TRUE(ledger.Reserve(1, &faults));
  const auto refused = ledger.Reserve(1, &faults);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  EXPECT_TRUE(ledger.Reserve(1, &faults));
  EXPECT_EQ(ledger.account().reserved, 0u);
}

// What `timbre devices` and the library's timbre_devices() say of this process.
TEST(MemoryLedger, IsToldWithTheDevices) {
  const auto before = DevicesReport();
  ASSERT_TRUE(before) << before.error().message;
  const Reservation held = CpuLedger().Note(25'000'000);
  const auto during = DevicesReport();
  ASSERT_TRUE(during) << during.error().message;
  for (const auto& device : *during) {
    if (!device.is_array()) continue;
    for (const auto& one : device) EXPECT_GE(one["memory_most_promised_mb"], one["memory_promised_mb"]) << one;
  }
  const auto& was = (*before)["devices"][0];
  const auto& is = (*during)["devices"][0];
  EXPECT_NEAR(is["memory_promised_mb"].get<double>() - was["memory_promised_mb"].get<double>(), 25, 1e-6);
  EXPECT_EQ(is["memory_refusals"], was["memory_refusals"]);
  if (is["memory_budget_mb"].is_null()) return;  // nothing is refused then
  EXPECT_FALSE(CpuLedger().Reserve(uint64_t{1} << 60));
  EXPECT_EQ((*DevicesReport())["devices"][0]["memory_refusals"], was["memory_refusals"].get<int64_t>() + 1);
}

TEST(MemoryLedger, IsSharedByThreads) {
  MemoryLedger ledger("device", [] { return uint64_t{1000}; });
  std::array<std::thread, 4> threads;
  std::array<int, 4> refused{};
  for (size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      for (int i = 0; i < 2000; ++i) {
        auto held = ledger.Reserve(400);
        refused[t] += !held;
        if (ledger.account().reserved > 1000) refused[t] += 1 << 20;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : refused) EXPECT_LT(count, 1 << 20) << "more was promised than there is";
  EXPECT_EQ(ledger.account().reserved, 0u);
}

}  // namespace
}  // namespace timbre
