// What kernels pack is the same whatever lay in the memory that it goes to: what is equal is then held once.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>
#include <optional>
#include <vector>

#include "graph/passes.h"
#include "graph/single_op_graph.h"
#include "runtime/session/cpu_ladder.h"

namespace timbre {
namespace {

// The bytes that `row` packs for the graph's nodes, fused into one, into memory full of `fill`: none where weights can
// stay where they lie, and nothing at all where it does not take the nodes.
std::optional<std::vector<std::byte>> Packed(const KernelRow& row, Graph graph, const DeviceCaps& caps, int fill) {
  FuseEpilogues(graph, [&](const Graph& g, const Node& node) {
    return node.op == row.op && row.Supports({g, node}, caps);
  });
  const NodeRef ref{graph, graph.nodes[0]};
  if (graph.nodes.size() != 1 || !row.Supports(ref, caps)) return std::nullopt;
#ifdef M_PERTURB
  mallopt(M_PERTURB, fill);
#endif
  const auto packed = row.pack(ref, caps);
#ifdef M_PERTURB
  mallopt(M_PERTURB, 0);
#endif
  EXPECT_TRUE(packed.has_value()) << row.name;
  if (!packed) return std::nullopt;
  return std::vector<std::byte>(packed->data(), packed->data() + packed->size());
}

TEST(Packing, LeavesNoByteAsItWas) {
  ThreadPool pool(1);
  for (const OpRow& op : OpTable()) {
    for (const KernelRow* row : KernelsFor(op.op, DeviceKind::kCpu)) {
      if (row->pack == nullptr) continue;
      DeviceCaps caps = CpuCaps(pool, row->precision);
      caps.any_size = true;  // not only what pays here
      size_t taken = 0;
      for (const OpCase& c : op.cases()) {
        if (c.benchmark || c.extent) continue;
        for (const EpilogueNames& epilogue : {EpilogueNames{}, EpilogueNames{"glu"}, EpilogueNames{"norm", "glu"}}) {
          const SingleOpGraph one = MakeSingleOpGraph(op.op, c, epilogue);
          if (one.graph.nodes.empty()) continue;
          const auto first = Packed(*row, one.graph, caps, 0x55);
          EXPECT_EQ(first, Packed(*row, one.graph, caps, 0xAA)) << row->name << " " << c.name;
          taken += first ? 1 : 0;
        }
      }
      EXPECT_GT(taken, 0u) << row->name << " took none of the cases";
    }
  }
}

}  // namespace
}  // namespace timbre
