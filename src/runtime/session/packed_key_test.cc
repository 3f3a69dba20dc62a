#include "runtime/session/packed_key.h"

#include <gtest/gtest.h>

#include <set>

#include "graph/net.h"

namespace timbre {
namespace {

// Frames that are convolved one by one by the same filter: packed once for all, but not for those that see it
// otherwise.
TEST(PackedKey, IsOneForAllNodesThatReadAFilterAlike) {
  const std::unique_ptr<Weights> weights = RandomWeights(1);
  GraphBuilder graph("frames", *weights);
  const Value w = graph.Weight("w", {32, 32, 3, 3}), other = graph.Weight("other", {32, 32, 3, 3});
  const auto conv = [&](const char* name, int64_t width, Value filter, int pad = 0) {
    const Value x = graph.Input(name, {1, 40, width, 32});
    const ConvAttrs attrs{.dims = 2, .kernel = {1, 3, 3}, .pad_lo = {0, pad, pad}, .pad_hi = {0, pad, pad}};
    graph.Output(std::string("of ") + name, graph.Add1(Op::kConv, attrs, {x, filter}));
  };
  conv("a", 40, w);
  conv("b", 40, w);
  conv("wider", 48, w);
  conv("padded", 40, w, 1);
  conv("another filter", 40, other);
  const auto made = graph.Finish();
  ASSERT_TRUE(made) << made.error().message;
  for (const KernelRow* row : KernelsFor(Op::kConv, DeviceKind::kCpu)) {
    std::vector<std::string> keys;
    for (const Node& node : made->nodes) keys.push_back(PackedKey(*row, {*made, node}));
    if (row->pack == nullptr) {
      EXPECT_EQ(keys[0], "");
      continue;
    }
    EXPECT_EQ(keys[0], keys[1]) << row->name;
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 4u) << row->name;
  }
}

}  // namespace
}  // namespace timbre
