#include "formats/weight_values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace timbre {
namespace {

TEST(WeightValues, WhatNoNetworkComputesWithIsNamed) {
  const auto check = [](std::vector<float> values, bool half = false) {
    const HostTensor tensor = HostTensor::FromF32({2, 3}, values);
    const Status status = CheckValues({{"a.bias", HostTensor::FromF32({1}, std::vector<float>{0.5f})},
                                       {"b.weight", half ? HostTensor::Half(tensor) : tensor}});
    return status ? std::string() : status.error().message;
  };
  EXPECT_EQ(check({1, -2, 0, 1e17f, 1e-40f, -0.0f}), "");
  EXPECT_EQ(check({1, -2, 0, 0, 1e30f, 0}),
            "the weight 'b.weight' of shape [2, 3] holds 1e+30 as its element 4, which no network computes with; the "
            "file is damaged, get it again");
  EXPECT_NE(check({std::nanf(""), 0, 0, 0, 0, 0}).find("nan as its element 0"), std::string::npos);
  EXPECT_NE(check({0, 0, 0, 0, 0, -INFINITY}).find("-inf as its element 5"), std::string::npos);
  EXPECT_NE(check({0, 0, INFINITY, 0, 0, 0}, true).find("inf as its element 2"), std::string::npos);
}

TEST(WeightValues, IntegersAreNotLookedAt) {
  static const int64_t steps = std::numeric_limits<int64_t>::max();
  HostTensor counter;
  counter.dtype = DType::kI64;
  counter.data = std::shared_ptr<const std::byte>(reinterpret_cast<const std::byte*>(&steps), [](const std::byte*) {});
  EXPECT_TRUE(CheckValues({{"num_batches_tracked", counter}}));
}

}  // namespace
}  // namespace timbre
