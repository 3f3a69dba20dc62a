#include "runtime/plan/memory_plan.h"

#include <algorithm>
#include <limits>

#include "graph/state.h"

namespace timbre {
namespace {

constexpr int kUntilEnd = std::numeric_limits<int>::max();

// One or several tensors that share their bytes.
struct Block {
  int64_t bytes = 0;
  int first = kUntilEnd, last = -1;  // node indices, inclusive; inputs are written before node 0 (-1)
  int64_t offset = -1;
};

int64_t BytesOf(const Graph& graph, TensorId id, int64_t align) {
  return (std::max<int64_t>(graph.bytes(id), 1) + align - 1) / align * align;
}

// Element i of the output depends on element i of the first input alone (and perhaps on other inputs): the output may
// take the input's place.
bool ElementWise(const Graph& graph, const Node& node) {
  if (!node.epilogue.empty() || node.outputs.size() != 1) return false;
  if (graph.tensors[node.inputs[0]].dtype != graph.tensors[node.outputs[0]].dtype) return false;
  switch (node.op) {
    case Op::kUnary:
    case Op::kBatchNorm:
    case Op::kPRelu:
    case Op::kReshape: return true;
    case Op::kBinary: return graph.shape(node.inputs[0]) == graph.shape(node.outputs[0]);
    default: return false;
  }
}

// Elements of one step along `axis`, or 0 where what lies along it is not contiguous: axes before it are longer than 1.
int64_t StepAlong(const Shape& shape, int axis) {
  if (axis < 0) axis += shape.rank();
  for (int i = 0; i < axis; ++i) {
    if (shape[i] != 1) return 0;
  }
  int64_t step = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) step *= shape[i];
  return step;
}

using StatePlace = MemoryPlan::StatePlace;

// Which tensors take the memory of a state. With `reuse`, a node whose result replaces a state writes it there itself.
std::vector<StatePlace> PlaceStates(const Graph& graph, bool reuse) {
  std::vector<StatePlace> places(graph.tensors.size());
  const std::vector<StateVersion> versions = StateVersions(graph);
  std::vector<const Node*> maker(graph.tensors.size());
  std::vector<bool> replaced(graph.tensors.size());
  for (const Node& node : graph.nodes) {
    for (const TensorId id : node.outputs) maker[id] = &node;
    if (ReplacesState(node)) replaced[versions[node.inputs[0]].state] = true;
  }
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    const TensorId state = versions[id].state;
    const bool copied = !reuse && maker[id] != nullptr && maker[id]->op == Op::kReshape;
    if (state != kNoTensor && !copied) places[id] = {state, replaced[state] && versions[id].written};
  }
  if (!reuse) return places;
  for (const Node& node : graph.nodes) {
    if (!ReplacesState(node)) continue;
    // From what is written back over reshapes to what is computed.
    for (TensorId x = node.inputs[1]; maker[x] != nullptr && places[x].state == kNoTensor; x = maker[x]->inputs[0]) {
      places[x] = {versions[node.inputs[0]].state, true};
      if (maker[x]->op != Op::kReshape) break;
    }
  }
  return places;
}

// Gives each block an offset: largest first, as `order` has them among equals, each at the smallest gap between blocks
// that live at the same time. Returns how many bytes they take.
int64_t Place(std::vector<int> order, std::vector<Block>& blocks) {
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return blocks[a].bytes > blocks[b].bytes; });
  int64_t bytes = 0;
  std::vector<int> placed;
  for (const int b : order) {
    Block& block = blocks[b];
    if (block.bytes == 0) continue;
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
    bytes = std::max(bytes, block.offset + block.bytes);
    placed.push_back(b);
  }
  return bytes;
}

}  // namespace

MemoryPlan PlanMemory(const Graph& graph, bool reuse, int64_t alignment, bool views) {
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
  plan.states = PlaceStates(graph, reuse);
  const auto same_state = [&](TensorId a, TensorId b) {
    const StatePlace &p = plan.states[a], &q = plan.states[b];
    return p.state != kNoTensor && p.state == q.state && p.next == q.next;
  };
  std::vector<Block> blocks;
  std::vector<int> block_of(count, -1);
  std::vector<int64_t> within(count, 0);  // bytes from the block's start
  auto new_block = [&](TensorId id) {
    block_of[id] = static_cast<int>(blocks.size());
    blocks.push_back({BytesOf(graph, id, alignment), first[id], reuse ? last[id] : kUntilEnd, -1});
  };
  for (const GraphPort& port : graph.inputs) {
    if (block_of[port.tensor] < 0) new_block(port.tensor);
  }
  if (reuse && views) {
    std::vector<bool> elsewhere(count);
    for (const Node& node : graph.nodes) {
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] != kNoTensor && node.op != Op::kConcat && !(ReplacesState(node) && i == 0))
          elsewhere[node.inputs[i]] = true;
      }
      if (!ReplacesState(node)) continue;
      const TensorId id = node.inputs[0];
      if (graph.tensors[id].kind == TensorKind::kState && !elsewhere[id]) plan.loaded.push_back(id);
    }
    for (const TensorId id : plan.loaded) {
      plan.states[id] = {};
      first[id] = -1;
      new_block(id);
    }
  }
  plan.idle.assign(graph.nodes.size(), false);
  // Moves the blocks of a concatenation's parts into one, where each part has a block of its own size to itself.
  const auto join = [&](const Node& node) {
    const Shape& whole = graph.shape(node.outputs[0]);
    const int axis = node.As<ConcatAttrs>().axis;
    const int64_t step = StepAlong(whole, axis);
    std::vector<int> parts;
    for (const TensorId id : node.inputs) {
      const int64_t bytes = graph.bytes(id);
      if (step == 0 || block_of[id] < 0 || within[id] != 0 || blocks[block_of[id]].bytes != bytes ||
          bytes % alignment != 0 || std::find(parts.begin(), parts.end(), block_of[id]) != parts.end()) {
        return false;
      }
      parts.push_back(block_of[id]);
    }
    new_block(node.outputs[0]);
    Block& joined = blocks.back();
    int64_t at = 0;
    for (const int part : parts) {
      joined.first = std::min(joined.first, blocks[part].first);
      joined.last = std::max(joined.last, blocks[part].last);
      for (size_t id = 0; id < count; ++id) {
        if (block_of[id] != part) continue;
        block_of[id] = static_cast<int>(blocks.size()) - 1;
        within[id] += at;
      }
      at += blocks[part].bytes;
      blocks[part] = {};  // nothing is left in it
    }
    return true;
  };
  // Whether a slice can be a part of its source's block. Small ones are copied, so as not to keep the rest alive.
  const auto lies_within = [&](const Node& node, int64_t* at) {
    const auto& attrs = node.As<SliceAttrs>();
    const TensorId source = node.inputs[0];
    const int64_t step = StepAlong(graph.shape(source), attrs.axis);
    *at = attrs.begin * step * static_cast<int64_t>(SizeOf(graph.tensors[source].dtype));
    return step != 0 && attrs.step == 1 && block_of[source] >= 0 && *at % alignment == 0 &&
           2 * graph.shape(node.outputs[0]).elements() >= graph.shape(source).elements();
  };
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    int64_t at = 0;
    if (plan.states[node.outputs[0]].state != kNoTensor) {
      // A reshape, or the write of what was computed in its place, has nothing left to do.
      plan.idle[i] = (node.op == Op::kReshape && same_state(node.inputs[0], node.outputs[0])) ||
                     (ReplacesState(node) && same_state(node.inputs[1], node.outputs[0]));
      for (const TensorId id : node.outputs) {
        if (plan.states[id].state == kNoTensor) new_block(id);
      }
      continue;
    }
    if (reuse && views && node.op == Op::kConcat && join(node)) {
      plan.idle[i] = true;
      continue;
    }
    if (reuse && views && node.op == Op::kSlice && lies_within(node, &at)) {
      const TensorId id = node.outputs[0];
      block_of[id] = block_of[node.inputs[0]];
      within[id] = within[node.inputs[0]] + at;
      blocks[block_of[id]].last = std::max(blocks[block_of[id]].last, last[id]);
      plan.idle[i] = true;
      continue;
    }
    for (const TensorId id : node.outputs) {
      if (plan.states[id].state != kNoTensor) continue;
      const TensorId source = node.inputs.empty() ? kNoTensor : node.inputs[0];
      // The block, not only the tensor, must die here: a reshaped twin may be read later.
      if (reuse && ElementWise(graph, node) && source != kNoTensor && block_of[source] >= 0 &&
          (node.op == Op::kReshape || blocks[block_of[source]].last == i)) {
        block_of[id] = block_of[source];
        within[id] = within[source];
        plan.idle[i] = node.op == Op::kReshape;
        Block& block = blocks[block_of[id]];
        block.last = std::max(block.last, last[id]);
        ++plan.in_place;
      } else {
        new_block(id);
      }
    }
  }

  // Of equally large ones those that live first come first, or those that live last, whichever takes less: a tensor
  // placed before its successor may leave that no gap.
  std::vector<int> order(blocks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  plan.bytes = Place(order, blocks);
  std::reverse(order.begin(), order.end());
  std::vector<Block> otherwise = blocks;
  if (const int64_t bytes = Place(order, otherwise); bytes < plan.bytes) {
    plan.bytes = bytes;
    blocks = std::move(otherwise);
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
    if (block_of[id] >= 0) plan.offsets[id] = blocks[block_of[id]].offset + within[id];
  }
  return plan;
}

}  // namespace timbre
