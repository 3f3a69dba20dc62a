#include "graph/graph.h"

#include <array>
#include <bit>
#include <cstring>

#include "graph/op_table.h"
#include "graph/state.h"

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

TensorId Graph::FindState(std::string_view state) const {
  for (size_t id = 0; id < tensors.size(); ++id) {
    if (tensors[id].kind == TensorKind::kState && tensors[id].name == state) return static_cast<TensorId>(id);
  }
  return kNoTensor;
}

ScalarId Graph::FindScalar(std::string_view scalar) const {
  for (size_t id = 0; id < scalars.size(); ++id) {
    if (scalars[id].name == scalar) return static_cast<ScalarId>(id);
  }
  return kNoScalar;
}

TensorId Graph::AddTensor(std::string tensor_name, Shape shape, TensorKind kind, DType dtype) {
  tensors.push_back(TensorInfo{std::move(tensor_name), shape, kind, {}, dtype});
  return static_cast<TensorId>(tensors.size() - 1);
}

TensorId Graph::AddConstant(std::string tensor_name, HostTensor value) {
  const DType dtype = value.dtype == DType::kI32 ? DType::kI32 : DType::kF32;
  const TensorId id = AddTensor(std::move(tensor_name), value.shape, TensorKind::kConstant, dtype);
  tensors[id].constant = std::move(value);
  return id;
}

ScalarId Graph::AddScalar(std::string scalar_name, int32_t value) {
  scalars.push_back({std::move(scalar_name), DType::kI32, static_cast<uint32_t>(value)});
  return static_cast<ScalarId>(scalars.size() - 1);
}

ScalarId Graph::AddScalar(std::string scalar_name, float value) {
  scalars.push_back({std::move(scalar_name), DType::kF32, std::bit_cast<uint32_t>(value)});
  return static_cast<ScalarId>(scalars.size() - 1);
}

std::vector<uint32_t> ScalarDefaults(const Graph& graph) {
  std::vector<uint32_t> values;
  values.reserve(graph.scalars.size());
  for (const ScalarInfo& scalar : graph.scalars) values.push_back(scalar.value);
  return values;
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

Status CheckRules(const Graph& graph, const Node& node) {
  TIMBRE_CHECK(CheckTypes(graph, node));
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

namespace {

// What only moves values moves those of any type.
bool Moves(Op op) {
  switch (op) {
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kStateWrite: return true;
    default: return false;
  }
}

}  // namespace

DType OutputDType(const Graph& graph, const Node& node) {
  if (!Moves(node.op) || node.inputs[0] == kNoTensor) return DType::kF32;
  return graph.tensors[node.inputs[0]].dtype;
}

Status CheckTypes(const Graph& graph, const Node& node) {
  const OpRow& row = RowOf(node.op);
  std::array<ScalarId, 2> named{kNoScalar, kNoScalar};
  if (node.op == Op::kRotary) named[0] = node.As<RotaryAttrs>().at;
  if (node.op == Op::kAttention) named = {node.As<AttentionAttrs>().valid, node.As<AttentionAttrs>().older};
  for (const ScalarId id : named) {
    if (id == kNoScalar) continue;
    if (id < 0 || id >= static_cast<ScalarId>(graph.scalars.size()) || graph.scalars[id].dtype != DType::kI32)
      return Fail(ErrorCode::kInvalidArgument,
                  node.name + ": " + std::string(row.name) + " names a scalar that is no int32 one of the graph");
  }
  if (Moves(node.op)) return {};
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoTensor) continue;
    const bool wanted = i < 32 && (row.integers >> i & 1) != 0;
    const TensorInfo& tensor = graph.tensors[node.inputs[i]];
    if ((tensor.dtype == DType::kI32) != wanted) {
      return Fail(ErrorCode::kInvalidArgument, node.name + ": input " + std::to_string(i) + " of " +
                                                   std::string(row.name) + " is " + std::string(NameOf(tensor.dtype)) +
                                                   " ('" + tensor.name + "') where " + (wanted ? "int32" : "float32") +
                                                   " is wanted");
    }
  }
  return {};
}

void ReadForKernels(const HostTensor& constant, float* out) {
  if (constant.dtype != DType::kI32) return constant.ReadF32(out);
  if (constant.shape.elements() > 0) std::memcpy(out, constant.data.get(), constant.bytes());
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
      TIMBRE_CHECK(CheckRules(graph, node));
    } else {
      for (const Node& part : node.composition) TIMBRE_CHECK(CheckRules(graph, part));
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
  return CheckStates(graph);
}

}  // namespace timbre
