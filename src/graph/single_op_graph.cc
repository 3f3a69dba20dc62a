#include "graph/single_op_graph.h"

#include <utility>

#include "graph/formula_tensor.h"

namespace timbre {
namespace {

// An input of the graph, or a constant. What kernels see of it is kept in `inputs`.
TensorId AddFilled(SingleOpGraph& one, const std::string& name, const OpCase::Input& input) {
  const bool integers = input.dtype == DType::kI32;
  TensorId id;
  std::vector<float> values(static_cast<size_t>(input.shape.elements()));
  const HostTensor tensor = FormulaTensor(input.dtype, name, input.shape, input.lo, input.hi);
  ReadForKernels(tensor, values.data());
  if (input.constant) {
    id = one.graph.AddConstant(name, tensor);
  } else {
    id = one.graph.AddTensor(name, input.shape, TensorKind::kInput, integers ? DType::kI32 : DType::kF32);
    one.graph.inputs.push_back({name, id});
  }
  one.inputs.resize(one.graph.tensors.size());
  one.inputs[id] = std::move(values);
  return id;
}
TensorId AddFilled(SingleOpGraph& one, const std::string& name, const Shape& shape, bool constant, float lo, float hi) {
  return AddFilled(one, name, OpCase::Input{shape, constant, lo, hi});
}

// What the state holds before the run is in one.inputs; a session is to be given it.
TensorId AddState(SingleOpGraph& one, const std::string& name, const OpCase::Input& input) {
  const TensorId id = one.graph.AddTensor(name, input.shape, TensorKind::kState);
  one.inputs.resize(one.graph.tensors.size());
  one.inputs[id] = FormulaValues(name, input.shape.elements(), input.lo, input.hi);
  return id;
}

}  // namespace

TensorId AppendNode(SingleOpGraph& one, Op op, const Attrs& attrs, std::vector<TensorId> in, const std::string& name) {
  std::vector<const Shape*> shapes;
  shapes.reserve(in.size());
  for (const TensorId id : in) shapes.push_back(id == kNoTensor ? nullptr : &one.graph.shape(id));
  const auto out = RowOf(op).infer(attrs, shapes).value();
  Node node{op, name, attrs, std::move(in), {}, {}, {}};
  for (const Shape& shape : out) node.outputs.push_back(one.graph.AddTensor(name, shape, TensorKind::kActivation));
  one.inputs.resize(one.graph.tensors.size());
  one.graph.nodes.push_back(node);
  return one.graph.nodes.back().outputs[0];
}

SingleOpGraph MakeSingleOpGraph(Op op, const OpCase& c, const EpilogueNames& epilogue) {
  SingleOpGraph one;
  if (c.extent && !epilogue.empty()) return one;
  one.graph.scalars = c.scalars;
  std::vector<TensorId> in;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const OpCase::Input& input = c.inputs[i];
    if (op == Op::kStateWrite && i == 0) {
      in.push_back(AddState(one, c.name + "/state", input));
      continue;
    }
    in.push_back(input.absent ? kNoTensor : AddFilled(one, c.name + "/" + std::to_string(i), input));
  }
  AppendNode(one, op, c.attrs, in, "node");
  const std::vector<TensorId> outputs = one.graph.nodes[0].outputs;
  TensorId y = outputs[0];
  // The residuals have to exist before the node: they are graph inputs.
  for (const std::string& step : epilogue) {
    const Shape shape = one.graph.shape(y);
    if (step == "glu") {
      if (shape.back() % 2 != 0) return {};
      y = AppendNode(one, Op::kGlu, NoAttrs{}, {y}, step);
    } else if (step == "scale") {
      y = AppendNode(one, Op::kBinary, BinaryAttrs{BinaryFn::kMul},
                     {y, AddFilled(one, "scale", {shape.back()}, true, 0.5f, 1.5f)}, step);
    } else if (step == "add") {
      y = AppendNode(one, Op::kBinary, BinaryAttrs{BinaryFn::kAdd},
                     {y, AddFilled(one, "residual", shape, false, -1, 1)}, step);
    } else if (step == "norm" || step == "norm_kept") {
      if (shape.rank() < 3) return {};
      NormAttrs attrs;
      if (step == "norm_kept") attrs.keep = 1u << (shape.rank() - 2);
      y = AppendNode(one, Op::kNorm, attrs,
                     {y, AddFilled(one, "gamma", {shape.back()}, true, 0.5f, 1.5f),
                      AddFilled(one, "beta", {shape.back()}, true, -0.5f, 0.5f)},
                     step);
    } else if (step == "prelu") {
      y = AppendNode(one, Op::kPRelu, NoAttrs{}, {y, AddFilled(one, "slope", {1}, true, 0.1f, 0.3f)}, step);
    } else {
      UnaryAttrs attrs;
      for (int fn = 0; fn < static_cast<int>(UnaryFn::kCount); ++fn) {
        if (NameOf(static_cast<UnaryFn>(fn)) == step) attrs.fn = static_cast<UnaryFn>(fn);
      }
      attrs.alpha = 1.0f;
      y = AppendNode(one, Op::kUnary, attrs, {y}, step);
    }
  }
  one.graph.outputs.push_back({"y", y});
  for (size_t i = 1; i < outputs.size(); ++i) one.graph.outputs.push_back({"y" + std::to_string(i), outputs[i]});
  return one;
}

}  // namespace timbre
