// Threads share the outputs of a layer, never the terms of one: as many as there are, the numbers are the same.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "graph/op_cases/inputs.h"
#include "kernels/cpu/simd.h"
#include "tests/support/kernel_run.h"

namespace timbre {
namespace {

const KernelRow* LinearStored() {
  for (const KernelRow* row : KernelsFor(Op::kLinear, DeviceKind::kCpu)) {
    if (row->name == "linear_stored") return row;
  }
  return nullptr;
}

TEST(LinearStored, GivesTheSameBitsOnOneThreadAndOnTwo) {
  const KernelRow* const row = LinearStored();
  ASSERT_NE(row, nullptr);
  ThreadPool one(1), two(2);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                            DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    // One row, few, and many: each is worked out in another way.
    for (const int64_t rows : {1, 7, 100}) {
      const std::string label = std::string(NameOf(dtype)) + "_" + std::to_string(rows);
      const SingleOpGraph graph = MakeSingleOpGraph(
          Op::kLinear, {label, LinearAttrs{}, {X({1, rows, 512}), Stored(dtype, {301, 512}), V(301)}});
      const auto alone = testing::RunKernel(*row, graph, one, label),
                 shared = testing::RunKernel(*row, graph, two, label);
      ASSERT_TRUE(alone && shared) << label;
      EXPECT_TRUE(alone->out == shared->out) << label;
    }
  }
}

}  // namespace
}  // namespace timbre
