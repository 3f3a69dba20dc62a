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

// A state lives in the session, not in its arena: zero at the start, kept from run to run, written by kStateWrite
// alone. Its shape is its capacity.
enum class TensorKind : uint8_t { kInput, kConstant, kActivation, kState };

struct TensorInfo {
  std::string name;
  Shape shape;
  TensorKind kind = TensorKind::kActivation;
  HostTensor constant;        // for kConstant; its dtype may be any, kernels see float32 or read what is stored
  DType dtype = DType::kF32;  // as it lies in the arena or in the session; of a constant, as kernels see it
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

// A small number that is set before a run, where everything else about the graph is fixed: a position, a valid length.
struct ScalarInfo {
  std::string name;
  DType dtype = DType::kI32;  // or kF32
  uint32_t value = 0;         // until another is set, bit for bit
};

struct Graph {
  std::string name;
  std::vector<TensorInfo> tensors;
  std::vector<Node> nodes;
  std::vector<GraphPort> inputs, outputs;
  std::vector<ScalarInfo> scalars;  // by ScalarId

  const Shape& shape(TensorId id) const { return tensors[id].shape; }
  bool IsConstant(TensorId id) const { return id != kNoTensor && tensors[id].kind == TensorKind::kConstant; }
  // The port's tensor, or kNoTensor.
  TensorId FindInput(std::string_view name) const;
  TensorId FindOutput(std::string_view name) const;
  // The state's tensor, or kNoTensor; the scalar, or kNoScalar.
  TensorId FindState(std::string_view name) const;
  ScalarId FindScalar(std::string_view name) const;
  // Bytes of a tensor as it lies in the arena or in the session; kernels see constants as float32.
  int64_t bytes(TensorId id) const {
    return tensors[id].shape.elements() * static_cast<int64_t>(SizeOf(tensors[id].dtype));
  }

  TensorId AddTensor(std::string name, Shape shape, TensorKind kind, DType dtype = DType::kF32);
  // An int32 tensor where `value` is one; float32 otherwise.
  TensorId AddConstant(std::string name, HostTensor value);
  ScalarId AddScalar(std::string name, int32_t value);
  ScalarId AddScalar(std::string name, float value);
};

// What the scalars are where nothing was set.
std::vector<uint32_t> ScalarDefaults(const Graph& graph);

// The element type of a node's outputs: what only moves values keeps that of its first input, all else gives float32.
DType OutputDType(const Graph& graph, const Node& node);

// Floating-point operations of one node: a multiply-add is two; element-wise work is one an element. Counted by the op
// table.
double FlopsOf(const Graph& graph, const Node& node);
double FlopsOf(const Graph& graph);

// Whether int32 tensors are where the node's operator wants them, and nowhere else, and its scalars exist; says which
// input is not.
Status CheckTypes(const Graph& graph, const Node& node);

// Every node's shapes and types follow from the op table's rule, every input is made before it is used, every output
// exists, and states are written as graph/state.h says.
Status Validate(const Graph& graph);

// Writes a constant's elements as kernels see them.
void ReadForKernels(const HostTensor& constant, float* out);

}  // namespace timbre
