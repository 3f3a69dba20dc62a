#include "models/frames/tap_sums.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(TapSums, AddUpWhatIsAskedFor) {
  auto tensors = std::make_shared<TensorMap>();
  std::vector<float> taps(2 * 27);
  for (size_t i = 0; i < taps.size(); ++i) taps[i] = static_cast<float>(i);
  tensors->emplace("w", HostTensor::FromF32({1, 2, 3, 3, 3}, taps));
  const std::unique_ptr<Weights> inner = WeightsFromMap(tensors);
  TapSums sums(*inner);
  // All times of the first row, and of the two others together; the last column.
  const std::string name = sums.Add("w", {{0, 3}}, {{0, 1}, {1, 3}}, {{2, 3}});
  EXPECT_TRUE(sums.Has(name));
  EXPECT_TRUE(sums.Has("w"));
  EXPECT_FALSE(sums.Has("v"));
  const auto made = sums.Get(name, {1, 2, 1, 2, 1});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->ToF32(),
            (std::vector<float>{2 + 11 + 20, 5 + 8 + 14 + 17 + 23 + 26, 29 + 38 + 47, 32 + 35 + 41 + 44 + 50 + 53}));
  // A filter of pictures, one time of it.
  const auto flat = sums.Get(sums.Add("w", {{1, 2}}, {{0, 3}}, {{0, 3}}, true), {1, 2, 1, 1});
  ASSERT_TRUE(flat) << flat.error().message;
  EXPECT_EQ(flat->ToF32(), (std::vector<float>{9 * 13, 9 * 40}));
  EXPECT_FALSE(sums.Get(sums.Add("v", {{0, 3}}, {{0, 3}}, {{0, 3}}), {1, 2, 1, 1, 1}));
}

}  // namespace
}  // namespace timbre
