#include "runtime/session/cpu_needs.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "graph/passes.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/packed_key.h"

namespace timbre {
namespace {

const KernelRow* FirstUsable(const NodeRef& ref, const DeviceCaps& caps) {
  for (const KernelRow* row : KernelsFor(ref.node.op, DeviceKind::kCpu)) {
    if (UsableOnCpu(*row, ref, caps, true, true)) return row;
  }
  return nullptr;
}

}  // namespace

int64_t PackedBytesOf(const KernelRow& row, const NodeRef& ref) {
  if (row.pack == nullptr) return 0;
  if (row.packed_bytes != nullptr) return row.packed_bytes(ref);
  const int64_t size = row.precision == Precision::kF16 || row.precision == Precision::kBf16 ? 2 : 4;
  int64_t bytes = 0;
  for (int i = 0; i < static_cast<int>(ref.node.inputs.size()); ++i) {
    // bf16x3 keeps two numbers of two bytes.
    if (ref.constant(i) && (row.packed_inputs >> i & 1) != 0) bytes += size * ref.in(i).elements();
  }
  return bytes;
}

MemoryPlan PlanCpuArena(const Graph& graph, bool reuse) {
  MemoryPlan plan = PlanMemory(graph, reuse, static_cast<int64_t>(kAlignment), true);
  // What spares copies may cost memory, since all parts of a concatenation live as long as the longest.
  if (MemoryPlan plain = PlanMemory(graph, reuse); plan.bytes > plain.bytes / 4 * 5) plan = std::move(plain);
  return plan;
}

CpuNeeds CpuNeedsOf(Graph graph, const DeviceCaps& caps) {
  RemoveDeadNodes(graph);
  FoldBatchNorm(graph);
  FuseEpilogues(graph, [&](const Graph& g, const Node& node) { return FirstUsable({g, node}, caps) != nullptr; });
  const MemoryPlan plan = PlanCpuArena(graph, true);
  CpuNeeds needs{.arena = plan.bytes};
  std::set<std::string> packed;
  std::set<TensorId> expanded;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const NodeRef ref{graph, graph.nodes[n]};
    const KernelRow* row = plan.idle[n] ? nullptr : FirstUsable(ref, caps);
    if (row == nullptr) continue;
    if (row->scratch_bytes != nullptr) {
      needs.scratch = std::max(needs.scratch, static_cast<int64_t>(row->scratch_bytes(ref, caps)));
    }
    const std::string key = PackedKey(*row, ref);
    if (key.empty() || packed.insert(key).second) needs.weights += PackedBytesOf(*row, ref);
    for (size_t i = 0; i < ref.node.inputs.size(); ++i) {
      const TensorId id = ref.node.inputs[i];
      if (!graph.IsConstant(id) || (row->packed_inputs >> i & 1) || !expanded.insert(id).second) continue;
      if (graph.tensors[id].constant.F32InPlace(kAlignment) == nullptr) needs.weights += graph.bytes(id);
    }
  }
  return needs;
}

}  // namespace timbre
