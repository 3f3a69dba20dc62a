#include "runtime/plan/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graph/net.h"

namespace timbre {
namespace {

// No two tensors that live at the same time may overlap, unless one is computed in the other's place.
TEST(MemoryPlan, TensorsAliveTogetherDoNotOverlap) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("g", *weights);
  const Net net(builder);
  Value x = builder.Input("x", {1, 100, 8});
  std::vector<Value> skips;
  for (int i = 0; i < 5; ++i) {
    x = Gelu((net / i).Conv("conv", x, {.out = 8 + i, .kernel = 3, .pad = 1}));
    skips.push_back(x);
  }
  for (int i = 4; i >= 0; --i) x = (net / "up" / i).Conv("conv", x, {.out = 8 + i}) + skips[i];
  builder.Output("y", x);
  auto graph = builder.Finish();
  ASSERT_TRUE(graph.has_value()) << graph.error().message;

  const MemoryPlan plan = PlanMemory(*graph, true);
  EXPECT_GE(plan.bytes, plan.lower_bound);
  EXPECT_LE(plan.bytes, plan.lower_bound * 5 / 4);
  EXPECT_GT(plan.in_place, 0);
  EXPECT_LT(plan.bytes, PlanMemory(*graph, false).bytes);

  // Simulate: stamp each tensor's bytes with its id and look that no live one was stamped over.
  std::vector<TensorId> stamp(static_cast<size_t>(plan.bytes / 4), kNoTensor);
  auto write = [&](TensorId id) {
    for (int64_t k = 0; k < graph->shape(id).elements(); ++k) stamp[plan.offsets[id] / 4 + k] = id;
  };
  auto intact = [&](TensorId id) {
    for (int64_t k = 0; k < graph->shape(id).elements(); ++k)
      if (stamp[plan.offsets[id] / 4 + k] != id) return false;
    return true;
  };
  write(graph->inputs[0].tensor);
  for (const Node& node : graph->nodes) {
    for (const TensorId id : node.inputs) {
      EXPECT_TRUE(id == kNoTensor || graph->IsConstant(id) || intact(id)) << node.name;
    }
    write(node.outputs[0]);
  }
  EXPECT_TRUE(intact(graph->outputs[0].tensor));
}

// Where a tensor placed before its equally large successor leaves that no gap, the successor is placed first.
TEST(MemoryPlan, EquallyLargeTensorsLeaveEachOtherGaps) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("g", *weights);
  const Net net(builder);
  const Value x = net.Conv("x", builder.Input("in", {1, 8, 8, 4}), {.out = 16});
  const Value beside = net.Conv("beside", x, {.out = 8});
  Value y = Pad(net.GroupNorm("norm", x, 4), 2, 1, 1, PadMode::kReplicate);
  y = Pad(y, 1, 1, 1, PadMode::kReplicate);
  builder.Output("y", net.Conv("y", y, {.out = 8, .kernel = 3}) + beside);
  auto graph = builder.Finish();
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  const MemoryPlan plan = PlanMemory(*graph, true, 64);
  EXPECT_EQ(plan.lower_bound, (8 * 10 + 10 * 10) * 16 * 4 + 8 * 8 * 8 * 4);
  EXPECT_EQ(plan.bytes, plan.lower_bound);
}

// A history joined with what follows it, and the next history cut from both, as causal convolutions keep it.
TEST(MemoryPlan, PartsLieInTheirWhole) {
  auto weights = RandomWeights(1);
  GraphBuilder builder("g", *weights);
  const Net net(builder);
  const Value past = builder.Input("past", {1, 8, 16}), x = builder.Input("x", {1, 4, 16});
  const Value next = Relu((net / "a").Conv("conv", x, {.out = 16}));
  const Value both = Concat({past, next}, 1);
  builder.Output("next_past", Slice(both, 1, 4, 12));
  builder.Output("short", Slice(both, 1, 0, 2));
  builder.Output("y", (net / "b").Conv("conv", both, {.out = 16}) + both);
  builder.Output("z", (net / "c").Conv("conv", next, {.out = 16}));
  auto graph = builder.Finish();
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  const auto offset = [&](const MemoryPlan& plan, const Value& v) { return plan.offsets[v.id()]; };

  const MemoryPlan views = PlanMemory(*graph, true, 64, true);
  EXPECT_EQ(offset(views, past), offset(views, both));
  EXPECT_EQ(offset(views, next), offset(views, both) + 8 * 16 * 4);
  EXPECT_EQ(views.offsets[graph->FindOutput("next_past")], offset(views, both) + 4 * 16 * 4);
  const int64_t brief = views.offsets[graph->FindOutput("short")];
  EXPECT_TRUE(brief < offset(views, both) || brief >= offset(views, both) + 12 * 16 * 4);
  EXPECT_EQ(std::count(views.idle.begin(), views.idle.end(), true), 2);

  const MemoryPlan plain = PlanMemory(*graph, true);
  EXPECT_NE(offset(plain, past), offset(plain, both));
  EXPECT_EQ(std::count(plain.idle.begin(), plain.idle.end(), true), 0);

  // Of two signals side by side the parts do not lie behind one another.
  GraphBuilder two("g", *weights);
  const Value a = two.Input("a", {2, 8, 16}), b = two.Input("b", {2, 8, 16});
  two.Output("ab", Concat({a, b}, 1));
  graph = two.Finish();
  ASSERT_TRUE(graph.has_value()) << graph.error().message;
  const MemoryPlan apart = PlanMemory(*graph, true, 64, true);
  EXPECT_EQ(std::count(apart.idle.begin(), apart.idle.end(), true), 0);
}

}  // namespace
}  // namespace timbre
