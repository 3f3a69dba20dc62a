// The memory plan puts some results over an operand: every kernel must give the same there as apart.
#include <gtest/gtest.h>

#include "graph/single_op_graph.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

std::vector<std::vector<float>> RunPlan(const SingleOpGraph& one, bool static_plan, bool fast) {
  SessionOptions options;
  options.device = "cpu";
  options.toggles.static_plan = static_plan;
  options.toggles.fast_kernels = fast;
  ThreadPool pool(1);
  auto session = MakeSession(one.graph, options, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  std::vector<const float*> in;
  for (const GraphPort& port : one.graph.inputs) in.push_back(one.inputs[port.tensor].data());
  std::vector<std::vector<float>> values;
  for (const GraphPort& port : one.graph.outputs) {
    values.emplace_back(static_cast<size_t>(one.graph.shape(port.tensor).elements()));
  }
  std::vector<float*> out;
  for (auto& v : values) out.push_back(v.data());
  EXPECT_TRUE((*session)->Run(in, out));
  return values;
}

TEST(InPlace, EveryOperatorGivesTheSame) {
  for (const OpRow& row : OpTable()) {
    for (const OpCase& c : row.cases()) {
      if (c.benchmark) continue;
      const SingleOpGraph one = MakeSingleOpGraph(row.op, c);
      for (const bool fast : {false, true}) {
        EXPECT_EQ(RunPlan(one, true, fast), RunPlan(one, false, fast))
            << row.name << ' ' << c.name << (fast ? ", fast" : ", reference");
      }
    }
  }
}

}  // namespace
}  // namespace timbre
