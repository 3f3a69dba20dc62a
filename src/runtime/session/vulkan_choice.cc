#include "runtime/session/vulkan_choice.h"

#include <algorithm>

#include "graph/passes.h"

namespace timbre {

VulkanChooser::VulkanChooser(const VulkanDevice& on, const SessionOptions& options)
    : caps(on.caps()), toggles(options.toggles) {
  caps.precision = options.precision;
  prefer = options.prefer;
  caps.any_size = !prefer.empty();
  caps.memory_free = options.memory_limit > 0 ? options.memory_limit : on.MemoryFree();
}

bool VulkanChooser::Usable(const KernelRow& row, const NodeRef& ref, const BannedKernels& banned) const {
  if (row.tier == Tier::kFast && (!toggles.fast_kernels || (ref.node.op == Op::kAttention && !toggles.attention)))
    return false;
  if (banned.Holds(ref.node.name, row)) return false;
  for (const auto& ids : {ref.node.inputs, ref.node.outputs}) {
    for (const TensorId id : ids) {
      if (id != kNoTensor && !row.in_parts &&
          static_cast<uint64_t>(ref.graph.shape(id).elements()) * 4 > caps.max_range)
        return false;
    }
  }
  return row.Supports(ref, caps) && (!row.scratch_bytes || row.scratch_bytes(ref, caps) <= caps.max_range);
}

const KernelRow* VulkanChooser::Best(const NodeRef& ref, const BannedKernels& banned) const {
  const KernelRow* best = nullptr;
  for (const KernelRow* row : KernelsFor(ref.node.op, DeviceKind::kVulkan)) {
    if ((best == nullptr || row->name == prefer) && Usable(*row, ref, banned)) best = row;
  }
  return best;
}

uint64_t VulkanScratch(const Graph& graph, const VulkanChooser& chooser, const BannedKernels& banned) {
  uint64_t most = 0;
  for (const Node& node : graph.nodes) {
    const KernelRow* row = chooser.Best({graph, node}, banned);
    if (row && row->scratch_bytes)
      most = std::max(most, static_cast<uint64_t>(row->scratch_bytes({graph, node}, chooser.caps)));
  }
  return most;
}

VulkanPasses RunVulkanPasses(Graph& graph, const Toggles& toggles, const VulkanChooser& chooser,
                             const BannedKernels& banned) {
  VulkanPasses counts;
  RemoveDeadNodes(graph);
  if (toggles.fold) counts.folded = FoldBatchNorm(graph);
  if (toggles.fusion) {
    counts.fused = FuseEpilogues(graph, [&](const Graph& g, const Node& node) {
      return chooser.Best({g, node}, banned) != nullptr;
    });
  }
  return counts;
}

}  // namespace timbre
