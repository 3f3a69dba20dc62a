#include "runtime/memory_plan.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace timbre
