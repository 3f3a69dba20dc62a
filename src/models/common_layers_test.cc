#include "models/common_layers.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace timbre {
namespace {

// Swapping moves numbers and computes none: what a checkpoint stores as halves can be packed as halves.
TEST(SwapKernelAxes, KeepsTheTypeThatWeightsAreStoredIn) {
  for (const Shape& shape : {Shape{2, 3, 3, 5}, Shape{2, 3, 1, 8}, Shape{4, 2, 8, 1}}) {
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    std::iota(values.begin(), values.end(), 0.0f);
    const HostTensor floats = HostTensor::FromF32(shape, values), halves = HostTensor::Half(floats);
    const HostTensor of_floats = SwapKernelAxes(floats), of_halves = SwapKernelAxes(halves);
    EXPECT_EQ(of_floats.dtype, DType::kF32);
    EXPECT_EQ(of_halves.dtype, DType::kF16);
    EXPECT_EQ(of_halves.shape, (Shape{shape[0], shape[1], shape[3], shape[2]}));
    const int64_t h = shape[2], w = shape[3];
    for (const HostTensor* swapped : {&of_floats, &of_halves}) {
      const std::vector<float> got = swapped->ToF32();
      for (int64_t i = 0; i < shape.elements(); ++i) {
        const int64_t kernel = i / (h * w), row = i / w % h, column = i % w;
        EXPECT_EQ(got[(kernel * w + column) * h + row], values[i]) << shape.ToString() << " at " << i;
      }
    }
  }
}

}  // namespace
}  // namespace timbre
