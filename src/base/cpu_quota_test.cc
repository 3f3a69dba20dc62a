#include "base/cpu_quota.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>

namespace timbre {
namespace {

namespace fs = std::filesystem;

int QuotaOf(const std::map<std::string, std::string>& files) {
  const fs::path root = fs::path(testing::TempDir()) / ("timbre_cpu_quota" + std::to_string(getpid()));
  fs::remove_all(root);
  for (const auto& [name, text] : files) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  const int quota = CpuQuota(root);
  fs::remove_all(root);
  return quota;
}

TEST(CpuQuota, TheSmallestUpTheHierarchyCounts) {
  const std::string self = "proc/self/cgroup", v2 = "0::/a.slice/b.scope\n", at = "sys/fs/cgroup/";
  EXPECT_EQ(QuotaOf({}), 0);
  EXPECT_EQ(QuotaOf({{self, v2}}), 0);
  EXPECT_EQ(QuotaOf({{self, v2}, {at + "a.slice/b.scope/cpu.max", "max 100000\n"}}), 0);
  EXPECT_EQ(QuotaOf({{self, v2}, {at + "a.slice/b.scope/cpu.max", "200000 100000\n"}}), 2);
  EXPECT_EQ(QuotaOf({{self, v2}, {at + "a.slice/b.scope/cpu.max", "150000 100000\n"}}), 2);
  EXPECT_EQ(QuotaOf({{self, v2}, {at + "a.slice/b.scope/cpu.max", "10000 100000\n"}}), 1);
  EXPECT_EQ(QuotaOf({{self, v2},
                     {at + "a.slice/cpu.max", "300000 100000\n"},
                     {at + "a.slice/b.scope/cpu.max", "800000 100000\n"}}),
            3);
  // A container with a group namespace of its own.
  EXPECT_EQ(QuotaOf({{self, "0::/\n"}, {at + "cpu.max", "400000 100000\n"}}), 4);
}

TEST(CpuQuota, TheFirstVersionIsReadToo) {
  const std::string self = "proc/self/cgroup", group = "5:memory:/x\n4:cpu,cpuacct:/docker/1\n3:cpuset:/\n";
  const std::string at = "sys/fs/cgroup/cpu,cpuacct/docker/1/";
  EXPECT_EQ(QuotaOf({{self, group}, {at + "cpu.cfs_quota_us", "250000"}, {at + "cpu.cfs_period_us", "100000"}}), 3);
  EXPECT_EQ(QuotaOf({{self, group}, {at + "cpu.cfs_quota_us", "-1"}, {at + "cpu.cfs_period_us", "100000"}}), 0);
  // The mount begins at the group.
  EXPECT_EQ(QuotaOf({{self, group},
                     {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000"},
                     {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"}}),
            2);
}

TEST(CpuQuota, WhatIsNoNumberIsNoLimit) {
  for (const char* text : {"", "x", "100000", "0 100000", "-5 100000", "100000 0", "nan 100000", "1e300 1", "\xff 1"}) {
    EXPECT_EQ(QuotaOf({{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", text}}), 0) << text;
  }
  EXPECT_EQ(QuotaOf({{"proc/self/cgroup", "0\n::\n:"}, {"sys/fs/cgroup/cpu.max", "max"}}), 0);
}

}  // namespace
}  // namespace timbre
