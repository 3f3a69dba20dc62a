// Weights that need not stay in memory: those of a mapped file, and those that are made when they are wanted.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/mapped_file.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "graph/weights.h"
#include "tests/e2e/program.h"
#include "tests/support/resident.h"

namespace timbre {
namespace {

class MappedWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    values_.resize(kCount);
    std::iota(values_.begin(), values_.end(), 0.0f);
    ASSERT_TRUE(WriteSafetensors(path_, {{"half", HostTensor::Half(HostTensor::FromF32({4, 2}, Few()))},
                                         {"w", HostTensor::FromF32({kCount}, values_)}}));
  }
  static std::span<const float> Few() {
    static const std::vector<float> few = {1, 2, 3, 4, 5, 6, 7, 8};
    return few;
  }

  static constexpr int64_t kCount = 8 << 20;
  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "w.safetensors";
  std::vector<float> values_;
};

TEST_F(MappedWeights, TakeNoMemoryUntilTheyAreRead) {
  const int64_t before = testing::ResidentBytes();
  const auto checkpoint = ReadCheckpoint(path_);
  ASSERT_TRUE(checkpoint);
  const HostTensor& w = checkpoint->tensors->at("w");
  EXPECT_TRUE(w.mapped);
  if (before > 0) {  // where the system says
    EXPECT_LT(testing::ResidentBytes(), before + kCount * 2);
  }
  EXPECT_EQ(w.F32InPlace(), nullptr);  // nobody is to look where the file is mapped
  EXPECT_EQ(w.ToF32(), values_);
  EXPECT_EQ(checkpoint->tensors->at("half").ToF32(), std::vector<float>(Few().begin(), Few().end()));
  // What lies there is the file all the same, and leaves again.
  double sum = 0;
  for (int64_t i = 0; i < kCount; ++i) sum += reinterpret_cast<const float*>(w.data.get())[i];
  EXPECT_GT(sum, 0);
  const int64_t full = testing::ResidentBytes();
  w.ReleasePages();
  if (full > 0) {
    EXPECT_LT(testing::ResidentBytes(), full - kCount * 2);
  }
  EXPECT_EQ(w.ToF32(), values_);
}

// A file that is cut short while a network is made of it is an error, wherever it happens, and no SIGBUS.
TEST_F(MappedWeights, OfAFileThatIsCutShortAreAnError) {
  const auto checkpoint = ReadCheckpoint(path_);
  ASSERT_TRUE(checkpoint);
  const auto weights = WeightsFromMap(checkpoint->tensors);
  EXPECT_TRUE(weights->Get("w", {kCount}));
  std::filesystem::resize_file(path_, 4096);
  const auto w = weights->Get("w", {kCount});
  ASSERT_FALSE(w);
  EXPECT_EQ(w.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(w.error().message.find(path_), std::string::npos) << w.error().message;
  EXPECT_NE(w.error().message.find("cut short"), std::string::npos) << w.error().message;
  // One that was taken before is no number, which no result hides.
  EXPECT_TRUE(std::isnan(checkpoint->tensors->at("w").ToF32().back()));
  EXPECT_TRUE(std::isnan(HostTensor::Half(checkpoint->tensors->at("half")).ToF32().back()));
  const auto written = WriteSafetensors(folder_ / "copy.safetensors", *checkpoint->tensors);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("cut short"), std::string::npos) << written.error().message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "copy.safetensors"));
}

TEST_F(MappedWeights, OfAFileThatIsRewrittenInPlaceAreAnError) {
  const auto checkpoint = ReadCheckpoint(path_);
  ASSERT_TRUE(checkpoint);
  std::filesystem::last_write_time(path_, std::filesystem::last_write_time(path_) + std::chrono::seconds(5));
  EXPECT_FALSE(WeightsFromMap(checkpoint->tensors)->Get("w", {kCount}));
}

TEST_F(MappedWeights, OfAFileThatIsReplacedOrRemovedStay) {
  const auto checkpoint = ReadCheckpoint(path_);
  ASSERT_TRUE(checkpoint);
  ASSERT_TRUE(WriteSafetensors(path_, {{"other", HostTensor::FromF32({4, 2}, Few())}}));
  EXPECT_TRUE(WeightsFromMap(checkpoint->tensors)->Get("w", {kCount}));
  std::filesystem::remove(path_);
  EXPECT_EQ(checkpoint->tensors->at("w").ToF32(), values_);
}

TEST(ReleasePages, LeavesWhatIsNotMapped) {
  const std::vector<float> values = {1, 2, 3, 4};
  const HostTensor tensor = HostTensor::FromF32({2, 2}, values);
  EXPECT_FALSE(tensor.mapped);
  tensor.ReleasePages();
  EXPECT_EQ(tensor.ToF32(), values);
  DropMappedPages(nullptr, 0);
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
