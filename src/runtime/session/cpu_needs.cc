#include "runtime/session/cpu_needs.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "graph/passes.h"
#include "kernels/cpu/packed_numbers.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/packed_key.h"

namespace timbre {
namespace {

// Which constants a kernel packs in the two bytes that a checkpoint stores them in (bit i = input i).
uint32_t PackedAsStored(const KernelRow& row, const NodeRef& ref) {
  if (row.precision != Precision::kF32) return 0;
  if (row.name == "conv_product" || row.name == "conv_transpose_product" || row.name == "linear_product") return 0b10;
  if (row.name == "conv_winograd") return KeepsTaps(ref) ? 0b10 : 0;
  if (row.name == "gru_few" || row.name == "gru_product" || row.name == "lstm_product")
    return KeepsStateWeights(ref) ? 0b110 : 0b10;
  return 0;
}

const KernelRow* FirstUsable(const NodeRef& ref, const DeviceCaps& caps) {
  for (const KernelRow* row : KernelsFor(ref.node.op, DeviceKind::kCpu)) {
    if (UsableOnCpu(*row, ref, caps, true, true)) return row;
  }
  return nullptr;
}

}  // namespace

int64_t PackedBytesOf(const KernelRow& row, const NodeRef& ref) {
  if (row.pack == nullptr) return 0;
  if (row.name == "linear_stored") {
    const HostTensor& weight = ref.value(1);
    return weight.mapped ? static_cast<int64_t>(weight.bytes()) : 0;
  }
  const bool two_bytes = row.precision == Precision::kF16 || row.precision == Precision::kBf16;
  const uint32_t as_stored = PackedAsStored(row, ref);
  int64_t bytes = 0;
  for (size_t k = 0; k < ref.node.inputs.size(); ++k) {
    const int i = static_cast<int>(k);
    if (!ref.constant(i) || !(row.packed_inputs >> i & 1)) continue;
    // Of 3 x 3 taps transformed ones are 6 x 6.
    const int64_t transformed = row.name == "conv_winograd" && i == 1 && !KeepsTaps(ref) ? 4 : 1;
    const bool stored = (as_stored >> i & 1) != 0 && PackedType(ref.value(i)) != DType::kF32;
    // bf16x3 keeps two numbers of two bytes.
    bytes += transformed * ref.in(i).elements() * (two_bytes || stored ? 2 : 4);
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
