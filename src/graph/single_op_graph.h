// The graph of a case of the op table: one operator and, to be fused into it, the steps of an epilogue. For tests,
// benchmarks and doctor.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/op_table.h"

namespace timbre {

// The steps that follow the operator: "glu", "scale", "add", "norm", "norm_kept", "prelu", or a unary function's name.
using EpilogueNames = std::vector<std::string>;

struct SingleOpGraph {
  Graph graph;
  std::vector<std::vector<float>> inputs;  // what kernels see of each tensor id; empty for activations
};

// Appends a node and the tensors that it writes; the first of them.
TensorId AppendNode(SingleOpGraph& one, Op op, const Attrs& attrs, std::vector<TensorId> in, const std::string& name);

// What a state holds before the run is in `inputs`: a session is to be given it. Empty where the case does not come
// with that epilogue.
SingleOpGraph MakeSingleOpGraph(Op op, const OpCase& c, const EpilogueNames& epilogue = {});

}  // namespace timbre
