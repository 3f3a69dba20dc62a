// Weights that need not stay in memory: those of a mapped file, and those that are made when they are wanted.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/mapped_file.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "graph/weights.h"

namespace timbre {
namespace {

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(MappedWeights, RestTakesNoMemoryAndComesBack) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("timbre-rest-" + std::to_string(getpid()) + ".safetensors")).string();
  constexpr int64_t kCount = 8 << 20;
  std::vector<float> values(kCount);
  std::iota(values.begin(), values.end(), 0.0f);
  ASSERT_TRUE(WriteSafetensors(path, {{"w", HostTensor::FromF32({kCount}, values)}}));
  {
    const auto checkpoint = ReadCheckpoint(path);
    ASSERT_TRUE(checkpoint);
    const HostTensor& w = checkpoint->tensors->at("w");
    EXPECT_TRUE(w.mapped);
    const float* data = w.F32InPlace();
    ASSERT_NE(data, nullptr);
    double sum = 0;
    for (int64_t i = 0; i < kCount; ++i) sum += data[i];
    const int64_t before = ResidentBytes();
    w.Rest();
    if (before > 0) {  // where the system says
      EXPECT_LT(ResidentBytes(), before - kCount * 2);
    }
    double again = 0;
    for (int64_t i = 0; i < kCount; ++i) again += data[i];
    EXPECT_EQ(sum, again);
    EXPECT_EQ(w.ToF32(), values);
  }
  std::filesystem::remove(path);
}

TEST(MappedWeights, WhatIsNotMappedStaysWhenItRests) {
  const std::vector<float> values = {1, 2, 3, 4};
  const HostTensor tensor = HostTensor::FromF32({2, 2}, values);
  EXPECT_FALSE(tensor.mapped);
  tensor.Rest();
  EXPECT_EQ(tensor.ToF32(), values);
  DropMappedPages({});
}

TEST(MadeWeights, AreTheSameEveryTimeAndCanBeWritten) {
  const auto weights = RandomWeights(7);
  const HostTensor w = weights->Get("a.weight", {3, 5}).value();
  EXPECT_EQ(w.F32InPlace(), nullptr);
  const std::vector<float> values = w.ToF32();
  EXPECT_EQ(values.size(), 15u);
  EXPECT_EQ(w.ToF32(), values);
  EXPECT_NE(values[0], values[1]);
  const std::string path =
      (std::filesystem::temp_directory_path() / ("timbre-made-" + std::to_string(getpid()) + ".safetensors")).string();
  ASSERT_TRUE(WriteSafetensors(path, {{"w", w}}));
  const auto read = ReadSafetensors(path);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->tensors->at("w").ToF32(), values);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace timbre
