#include "graph/graph.h"

#include "graph/op_table.h"

namespace timbre {

TensorId Graph::FindInput(std::string_view port) const {
  for (const GraphPort& p : inputs) {
    if (p.name == port) return p.tensor;
  }
  return kNoTensor;
}

TensorId Graph::FindOutput(std::string_view port) const {
  for (const GraphPort& p : outputs) {
    if (p.name == port) return p.tensor;
  }
  return kNoTensor;
}

TensorId Graph::AddTensor(std::string tensor_name, Shape shape, TensorKind kind) {
  tensors.push_back(TensorInfo{std::move(tensor_name), shape, kind, {}});
  return static_cast<TensorId>(tensors.size() - 1);
}

TensorId Graph::AddConstant(std::string tensor_name, HostTensor value) {
  const TensorId id = AddTensor(std::move(tensor_name), value.shape, TensorKind::kConstant);
  tensors[id].constant = std::move(value);
  return id;
}

namespace {

std::vector<const Shape*> ShapesOf(const Graph& graph, std::span<const TensorId> ids) {
  std::vector<const Shape*> shapes;
  for (const TensorId id : ids) shapes.push_back(id == kNoTensor ? nullptr : &graph.shape(id));
  return shapes;
}

double PlainFlops(const Graph& graph, const Node& node) {
  const auto in = ShapesOf(graph, node.inputs);
  std::vector<Shape> out;
  for (const TensorId id : node.outputs) out.push_back(graph.shape(id));
  return RowOf(node.op).flops(node.attrs, in, out);
}

Status CheckShapes(const Graph& graph, const Node& node) {
  auto shapes = RowOf(node.op).infer(node.attrs, ShapesOf(graph, node.inputs));
  if (!shapes) return Prefix(shapes.error(), node.name);
  if (shapes->size() != node.outputs.size()) {
    return Fail(ErrorCode::kInternal, node.name + ": an operator's number of outputs does not match its rule");
  }
  for (size_t i = 0; i < shapes->size(); ++i) {
    if (!((*shapes)[i] == graph.shape(node.outputs[i]))) {
      return Fail(ErrorCode::kInternal, node.name + ": output " + std::to_string(i) + " has shape " +
                                            graph.shape(node.outputs[i]).ToString() + " where the operator gives " +
                                            (*shapes)[i].ToString());
    }
  }
  return {};
}

}  // namespace

double FlopsOf(const Graph& graph, const Node& node) {
  if (node.composition.empty()) return PlainFlops(graph, node);
  double sum = 0;
  for (const Node& part : node.composition) sum += PlainFlops(graph, part);
  return sum;
}

double FlopsOf(const Graph& graph) {
  double sum = 0;
  for (const Node& node : graph.nodes) sum += FlopsOf(graph, node);
  return sum;
}

Status Validate(const Graph& graph) {
  const auto count = static_cast<TensorId>(graph.tensors.size());
  std::vector<bool> made(graph.tensors.size());
  for (TensorId id = 0; id < count; ++id) made[id] = graph.tensors[id].kind != TensorKind::kActivation;
  for (const Node& node : graph.nodes) {
    for (const TensorId id : node.inputs) {
      if (id == kNoTensor) continue;
      if (id < 0 || id >= count || !made[id]) {
        return Fail(ErrorCode::kInternal, node.name + ": an input is used before it is made");
      }
    }
    if (node.composition.empty()) {
      TIMBRE_CHECK(CheckShapes(graph, node));
    } else {
      for (const Node& part : node.composition) TIMBRE_CHECK(CheckShapes(graph, part));
    }
    for (const TensorId id : node.outputs) {
      if (id < 0 || id >= count || made[id]) {
        return Fail(ErrorCode::kInternal, node.name + ": an output is made twice or does not exist");
      }
      made[id] = true;
    }
  }
  for (const GraphPort& port : graph.outputs) {
    if (port.tensor < 0 || port.tensor >= count || !made[port.tensor]) {
      return Fail(ErrorCode::kInternal, "the graph's output '" + port.name + "' is never made");
    }
  }
  return {};
}

}  // namespace timbre
