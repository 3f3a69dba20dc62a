#include "base/cpu_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>

namespace timbre {
namespace {

namespace fs = std::filesystem;

// The first level's bytes where a processor's cache/ holds `files`.
int64_t BytesOf(const std::map<std::string, std::string>& files) {
  const fs::path folder = fs::path(testing::TempDir()) / ("timbre_cpu_cache" + std::to_string(getpid()));
  fs::remove_all(folder);
  for (const auto& [name, text] : files) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
  }
  const int64_t bytes = FirstLevelCacheBytes(folder);
  fs::remove_all(folder);
  return bytes;
}

std::map<std::string, std::string> Cache(const std::string& index, const char* level, const char* type,
                                         const char* size) {
  return {{index + "/level", level}, {index + "/type", type}, {index + "/size", size}};
}

TEST(CpuCache, TheFirstLevelsDataIsFoundAmongTheOthers) {
  std::map<std::string, std::string> caches = Cache("index0", "1\n", "Instruction\n", "48K\n");
  caches.merge(Cache("index1", "1\n", "Data\n", "64K\n"));
  caches.merge(Cache("index2", "2\n", "Unified\n", "1024K\n"));
  EXPECT_EQ(BytesOf(caches), 64 << 10);
  EXPECT_EQ(BytesOf(Cache("index0", "1\n", "Unified\n", "16K\n")), 16 << 10);
}

TEST(CpuCache, WhatSaysNothingOfUseIsNoSize) {
  EXPECT_EQ(BytesOf({}), 0);
  EXPECT_EQ(BytesOf(Cache("index0", "2\n", "Data\n", "64K\n")), 0);
  EXPECT_EQ(BytesOf(Cache("index0", "1\n", "Instruction\n", "64K\n")), 0);
  for (const char* size : {"", "K", "64", "-64K", "0K", "64M", "99999999999999999999K", "9999999K"})
    EXPECT_EQ(BytesOf(Cache("index0", "1\n", "Data\n", size)), 0) << size;
}

TEST(CpuCache, ThisMachineHasOne) { EXPECT_GE(FirstLevelCacheBytes(), 4 << 10); }

}  // namespace
}  // namespace timbre
