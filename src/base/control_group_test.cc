#include "base/control_group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>

namespace timbre {
namespace {

namespace fs = std::filesystem;

uint64_t QuotaOf(const std::map<std::string, std::string>& files) {
  const fs::path root = fs::path(testing::TempDir()) / ("timbre_memory_quota" + std::to_string(getpid()));
  fs::remove_all(root);
  for (const auto& [name, text] : files) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  const uint64_t quota = MemoryQuota(root);
  fs::remove_all(root);
  return quota;
}

TEST(MemoryQuota, IsTheMachinesOrTheGroupsWhereThatIsLess) {
  const std::string self = "proc/self/cgroup", v2 = "0::/a.slice/b.scope\n", at = "sys/fs/cgroup/";
  const std::string machine = "proc/meminfo", eight = "MemFree: 5 kB\nMemTotal:    8000 kB\nHugePages_Total:  0\n";
  EXPECT_EQ(QuotaOf({}), 0u);
  EXPECT_EQ(QuotaOf({{machine, eight}}), 8'192'000u);
  EXPECT_EQ(QuotaOf({{machine, eight}, {self, v2}, {at + "a.slice/b.scope/memory.max", "max\n"}}), 8'192'000u);
  EXPECT_EQ(QuotaOf({{machine, eight}, {self, v2}, {at + "a.slice/b.scope/memory.max", "4096000\n"}}), 4'096'000u);
  EXPECT_EQ(QuotaOf({{machine, eight}, {self, v2}, {at + "a.slice/b.scope/memory.max", "9000000\n"}}), 8'192'000u);
  EXPECT_EQ(QuotaOf({{machine, eight},
                     {self, v2},
                     {at + "a.slice/memory.max", "1000000\n"},
                     {at + "a.slice/b.scope/memory.max", "4096000\n"}}),
            1'000'000u);
  EXPECT_EQ(QuotaOf({{machine, eight + "SwapTotal: 1000 kB\n"}}), 9'216'000u);
  const std::string v1 = "5:memory:/docker/1\n4:cpu,cpuacct:/x\n";
  EXPECT_EQ(QuotaOf({{machine, eight}, {self, v1}, {at + "memory/docker/1/memory.limit_in_bytes", "2000000"}}),
            2'000'000u);
  EXPECT_EQ(QuotaOf({{machine, eight}, {self, v1}, {at + "memory/memory.limit_in_bytes", "9223372036854771712"}}),
            8'192'000u);
}

TEST(MemoryQuota, WhatIsNoNumberIsNoLimit) {
  for (const char* text : {"", "x", "0", "-5", "nan", "12MB", "\xff"})
    EXPECT_EQ(QuotaOf({{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/memory.max", text}}), 0u) << text;
  for (const char* text : {"", "MemTotal:", "MemTotal: x kB", "MemTotal: 5 MB", "MemTotal: -5 kB"})
    EXPECT_EQ(QuotaOf({{"proc/meminfo", text}}), 0u) << text;
}

TEST(MemoryQuota, ThisMachineHasSome) { EXPECT_GT(MemoryQuota(), uint64_t{64} << 20); }

}  // namespace
}  // namespace timbre
