#include "runtime/memory_plan.h"

#include <algorithm>
#include <limits>

namespace timbre {
namespace {

constexpr int kUntilEnd = std::numeric_limits<int>::max();

// One or several tensors that share their bytes.
struct Block {
  int64_t bytes = 0;
  int first = kUntilEnd, last = -1;  // node indices, inclusive; inputs are written before node 0 (-1)
  int64_t offset = -1;
};

int64_t BytesOf(const Shape& shape, int64_t align) {
  return (std::max<int64_t>(shape.elements() * 4, 1) + align - 1) / align * align;
}

// Element i of the output depends on element i of the first input alone (and perhaps on other inputs): the output may
// take the input's place.
bool ElementWise(const Graph& graph, const Node& node) {
  if (!node.epilogue.empty() || node.outputs.size() != 1) return false;
  switch (node.op) {
    case Op::kUnary:
    case Op::kBatchNorm:
    case Op::kPRelu:
    case Op::kReshape: return true;
    case Op::kBinary: return graph.shape(node.inputs[0]) == graph.shape(node.outputs[0]);
    default: return false;
  }
}

}  // namespace

MemoryPlan PlanMemory(const Graph& graph, bool reuse, int64_t alignment) {
  const size_t count = graph.tensors.size();
  std::vector<int> first(count, kUntilEnd), last(count, -2);
  for (const GraphPort& port : graph.inputs) first[port.tensor] = -1, last[port.tensor] = -1;
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    for (const TensorId id : graph.nodes[i].outputs) first[id] = i, last[id] = i;
    for (const TensorId id : graph.nodes[i].inputs) {
      if (id != kNoTensor) last[id] = i;
    }
  }
  for (const GraphPort& port : graph.outputs) last[port.tensor] = kUntilEnd;

  MemoryPlan plan;
  std::vector<Block> blocks;
  std::vector<int> block_of(count, -1);
  auto new_block = [&](TensorId id) {
    block_of[id] = static_cast<int>(blocks.size());
    blocks.push_back({BytesOf(graph.shape(id), alignment), first[id], reuse ? last[id] : kUntilEnd, -1});
  };
  for (const GraphPort& port : graph.inputs) {
    if (block_of[port.tensor] < 0) new_block(port.tensor);
  }
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    for (const TensorId id : node.outputs) {
      const TensorId source = node.inputs.empty() ? kNoTensor : node.inputs[0];
      // The block, not only the tensor, must die here: a reshaped twin may be read later.
      if (reuse && ElementWise(graph, node) && source != kNoTensor && block_of[source] >= 0 &&
          (node.op == Op::kReshape || blocks[block_of[source]].last == i)) {
        block_of[id] = block_of[source];
        Block& block = blocks[block_of[id]];
        block.last = std::max(block.last, last[id]);
        ++plan.in_place;
      } else {
        new_block(id);
      }
    }
  }

  // Largest first, each at the lowest gap between blocks that live at the same time.
  std::vector<int> order(blocks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<int> placed;
  for (const int b : order) {
    Block& block = blocks[b];
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const int p : placed) {
      if (blocks[p].first <= block.last && block.first <= blocks[p].last) {
        taken.emplace_back(blocks[p].offset, blocks[p].offset + blocks[p].bytes);
      }
    }
    std::sort(taken.begin(), taken.end());
    int64_t best = -1, best_gap = std::numeric_limits<int64_t>::max(), end = 0;
    for (const auto& [from, to] : taken) {
      const int64_t gap = from - end;
      if (gap >= block.bytes && gap < best_gap) best = end, best_gap = gap;
      end = std::max(end, to);
    }
    block.offset = best >= 0 ? best : end;
    plan.bytes = std::max(plan.bytes, block.offset + block.bytes);
    placed.push_back(b);
  }

  for (int i = -1; i < static_cast<int>(graph.nodes.size()); ++i) {
    int64_t alive = 0;
    for (const Block& block : blocks) {
      if (block.first <= i && i <= block.last) alive += block.bytes;
    }
    plan.lower_bound = std::max(plan.lower_bound, alive);
  }
  plan.offsets.assign(count, -1);
  for (size_t id = 0; id < count; ++id) {
    if (block_of[id] >= 0) plan.offsets[id] = blocks[block_of[id]].offset;
  }
  return plan;
}

}  // namespace timbre
