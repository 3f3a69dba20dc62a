// What a profile says that nodes read and write.
#include <gtest/gtest.h>

#include "graph/single_op_graph.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

int64_t BytesOfOne(Op op, const OpCase& c) {
  ThreadPool pool(1);
  auto session = MakeSession(MakeSingleOpGraph(op, c).graph, {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  const std::vector<NodeTiming> profile = (*session)->Profile();
  EXPECT_EQ(profile.size(), 1u);
  return profile[0].bytes;
}

OpCase::Input Stored(DType dtype, Shape shape) { return {std::move(shape), true, -0.5f, 0.5f, false, dtype}; }

// A step of a language model: one row meets weights that are read as they are stored.
TEST(Profile, StoredWeightsCountAsTheyAreStored) {
  for (const DType dtype : {DType::kF16, DType::kQ4_0, DType::kQ8_0, DType::kQ6_K}) {
    const OpCase c{"linear", LinearAttrs{}, {{{1, 512}}, Stored(dtype, {300, 512}), {{300}, true}}};
    const auto weights = static_cast<int64_t>(BytesOf(dtype, 300 * 512));
    const int64_t bytes = BytesOfOne(Op::kLinear, c);
    EXPECT_GE(bytes, weights + 4 * (512 + 300)) << NameOf(dtype);
    EXPECT_LT(bytes, weights + weights / 8 + 4 * (512 + 2 * 300) + 4096) << NameOf(dtype);
  }
}

TEST(Profile, OfATableOnlyTheRowsCountThatAreRead) {
  const OpCase c{"table", NoAttrs{}, {{{5}, false, -1, 301, false, DType::kI32}, Stored(DType::kQ8_0, {300, 512})}};
  EXPECT_EQ(BytesOfOne(Op::kEmbedding, c), 5 * 4 + 2 * 5 * 512 * 4);
}

}  // namespace
}  // namespace timbre
