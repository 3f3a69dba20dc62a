// What a session takes of the CPU's memory, known before anything is packed or allocated.
#pragma once

#include <cstdint>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "runtime/plan/memory_plan.h"

namespace timbre {

// In bytes.
struct CpuNeeds {
  int64_t arena = 0;
  int64_t weights = 0;  // packed, or as float32 where the kernel reads them so; those that others hold included
  int64_t scratch = 0;  // of the node that wants most
  int64_t total() const { return arena + weights + scratch; }
};

// Of a session that nothing is wrong with: the same passes, plan and kernels, and weights to a tenth.
CpuNeeds CpuNeedsOf(Graph graph, const DeviceCaps& caps);

// The arena's plan of a graph that is otherwise ready; see PlanMemory.
MemoryPlan PlanCpuArena(const Graph& graph, bool reuse);

// About as many bytes as the kernel packs of a node's constants: all but the padding to whole vectors.
int64_t PackedBytesOf(const KernelRow& row, const NodeRef& ref);

}  // namespace timbre
