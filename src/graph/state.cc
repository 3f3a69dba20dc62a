#include "graph/state.h"

#include <set>

namespace timbre {

std::vector<StateVersion> StateVersions(const Graph& graph) {
  std::vector<StateVersion> versions(graph.tensors.size());
  std::vector<TensorId> twins_of(graph.tensors.size(), kNoTensor);  // of a reshaped twin, the version itself
  const auto origin = [&](TensorId id) { return twins_of[id] == kNoTensor ? id : twins_of[id]; };
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    if (graph.tensors[id].kind == TensorKind::kState) versions[id].state = static_cast<TensorId>(id);
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != Op::kStateWrite && node.op != Op::kReshape) continue;
    const TensorId from = node.inputs[0], to = node.outputs[0];
    if (from == kNoTensor || versions[from].state == kNoTensor) continue;
    if (node.op == Op::kReshape) {
      versions[to] = versions[from];
      twins_of[to] = origin(from);
    } else {
      versions[to] = {versions[from].state, std::numeric_limits<int>::max(), true};
      versions[origin(from)].until = static_cast<int>(i);
    }
  }
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    if (twins_of[id] != kNoTensor) versions[id].until = versions[twins_of[id]].until;
  }
  return versions;
}

Status CheckStates(const Graph& graph) {
  const auto wrong = [](const Node& node, const std::string& what) {
    return Fail(ErrorCode::kInternal, node.name + ": " + what);
  };
  std::set<std::string_view> names;
  bool any = false;
  for (const TensorInfo& tensor : graph.tensors) {
    if (tensor.kind != TensorKind::kState) continue;
    any = true;
    if (!names.insert(tensor.name).second)
      return Fail(ErrorCode::kInternal, "two states of the graph are called '" + tensor.name + "'");
  }
  const std::vector<StateVersion> versions = StateVersions(graph);
  std::set<TensorId> replaced, placed;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool writes = node.op == Op::kStateWrite;
    for (const TensorId id : node.inputs) {
      if (any && id != kNoTensor && versions[id].until < static_cast<int>(i))
        return wrong(node, "it reads the state '" + graph.tensors[versions[id].state].name +
                               "' as it was before a write that runs earlier");
    }
    if (!writes) continue;
    const TensorId into = node.inputs[0], x = node.inputs[1];
    const TensorId state = versions[into].state;
    if (state == kNoTensor) return wrong(node, "it writes into what is no state");
    if (versions[into].until != static_cast<int>(i))
      return wrong(node, "the state '" + graph.tensors[state].name + "' was written to since");
    if (graph.IsConstant(x) ? graph.tensors[into].dtype != DType::kF32
                            : graph.tensors[x].dtype != graph.tensors[into].dtype)
      return wrong(node, "what is written has another element type than the state '" + graph.tensors[state].name + "'");
    if (versions[x].state == state) return wrong(node, "a state is written into itself");
    const ScalarId at = node.As<StateWriteAttrs>().at;
    if (at != kNoScalar && (at < 0 || at >= static_cast<ScalarId>(graph.scalars.size()) ||
                            graph.scalars[static_cast<size_t>(at)].dtype != DType::kI32))
      return wrong(node, "the place to write at is no int32 scalar of the graph");
    const bool again = !(ReplacesState(node) ? replaced : placed).insert(state).second;
    if ((again && ReplacesState(node)) || (replaced.contains(state) && placed.contains(state)))
      return wrong(node, "the state '" + graph.tensors[state].name + "' is replaced whole and written besides");
  }
  for (const GraphPort& port : graph.outputs) {
    if (versions[port.tensor].until < static_cast<int>(graph.nodes.size()))
      return Fail(ErrorCode::kInternal, "the graph's output '" + port.name + "' is a state that is written later");
  }
  return {};
}

}  // namespace timbre
