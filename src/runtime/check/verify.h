// A node's result held against its float64 oracle.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/op_table.h"
#include "kernels/kernel.h"

namespace timbre {

// The oracle's outputs of a node, or of a fused node's composition. in[i] is null where the input is absent.
// Scalars are what they are by default where none are given.
std::vector<Tensor64> OracleOf(const Graph& graph, const Node& node, std::span<const float* const> in,
                               const Scalars& scalars = {});

struct Deviation {
  double worst = 0;   // the largest error, as a multiple of what the tolerance allows: right if <= 1
  double db = 0;      // signal-to-error ratio
  std::string where;  // the element that is worst
};

// Compares float32 outputs with the oracle's under the node's tolerance (see OpRow; a fused node's is the sum of its
// parts'). Below kF32, products may have been made of halves or bfloat16: the tolerance of those follows from their
// roundings, and, in attention, from the size of the scores. `in` holds the node's inputs, for that and for what is to
// be judged by its terms because they cancel (ErrorsAllowed); without them the result's own size is all there is.
Deviation Compare(const Graph& graph, const Node& node, std::span<const float* const> out,
                  std::span<const Tensor64> expected, Precision precision = Precision::kF32,
                  std::span<const float* const> in = {}, const Scalars& scalars = {});

// A kKernelFailed that names node, deviation and element where a node's float32 results are not the oracle's. Constant
// inputs may be null: they are taken from the graph.
Status VerifyNode(const Graph& graph, const Node& node, std::span<const float* const> in,
                  std::span<const float* const> out, Precision precision = Precision::kF32,
                  const Scalars& scalars = {});

// 10 log10(sum reference^2 / sum (reference - value)^2).
double SignalToErrorDb(std::span<const float> reference, std::span<const float> value);

}  // namespace timbre
