// A network for fixed shapes: tensors, and nodes in the order in which they run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/op.h"
#include "graph/tensor.h"

namespace timbre {

using TensorId = int32_t;
inline constexpr TensorId kNoTensor = -1;

enum class TensorKind : uint8_t { kInput, kConstant, kActivation };

struct TensorInfo {
  std::string name;
  Shape shape;
  TensorKind kind = TensorKind::kActivation;
  HostTensor constant;  // for kConstant; its dtype may be any, kernels see float32
};

// One step that a fused node applies to its result before it is stored, in order.
struct EpilogueStep {
  enum class Kind : uint8_t {
    kUnary,     // fn, alpha, beta
    kGlu,       // halves the features: first half times the sigmoid of the second
    kMulConst,  // times a constant per feature: inputs[input], shape [C] (layer scale)
    kAdd,       // plus a tensor of the result's shape: inputs[input] (residual)
    kPRelu,     // slope inputs[input]
    kNorm,      // gamma inputs[input] and beta inputs[shift], either of which may be absent (-1)
  };
  Kind kind = Kind::kUnary;
  UnaryAttrs unary;
  NormAttrs norm;
  int input = -1;  // index into Node::inputs
  int shift = -1;  // kNorm: another
};

struct Node {
  Op op = Op::kUnary;
  std::string name;
  Attrs attrs;
  // Optional inputs that are absent hold kNoTensor. A fused node appends the inputs of its epilogue.
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<EpilogueStep> epilogue;
  // The nodes that a fused node replaced, in order, so that any kernel that lacks the epilogue can still run it. The
  // tensors between them have ids of their own, which no other node uses.
  std::vector<Node> composition;

  template <typename T>
  const T& As() const {
    return std::get<T>(attrs);
  }
};

struct GraphPort {
  std::string name;
  TensorId tensor = kNoTensor;
};

struct Graph {
  std::string name;
  std::vector<TensorInfo> tensors;
  std::vector<Node> nodes;
  std::vector<GraphPort> inputs, outputs;  // state between tiles is an input and an output like any other

  const Shape& shape(TensorId id) const { return tensors[id].shape; }
  bool IsConstant(TensorId id) const { return id != kNoTensor && tensors[id].kind == TensorKind::kConstant; }
  // The port's tensor, or kNoTensor.
  TensorId FindInput(std::string_view name) const;
  TensorId FindOutput(std::string_view name) const;

  TensorId AddTensor(std::string name, Shape shape, TensorKind kind);
  TensorId AddConstant(std::string name, HostTensor value);
};

// Floating-point operations of one node: a multiply-add is two; element-wise work is one an element. Counted by the op
// table.
double FlopsOf(const Graph& graph, const Node& node);
double FlopsOf(const Graph& graph);

// Every node's shapes follow from the op table's rule, every input is made before it is used, every output exists.
Status Validate(const Graph& graph);

}  // namespace timbre
