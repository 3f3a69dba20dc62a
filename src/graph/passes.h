// Rewrites of a graph before it is planned. Each can be left out, and the results must agree.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace timbre {

// Drops nodes whose outputs nothing uses; what writes a state stays.
void RemoveDeadNodes(Graph& graph);

// Folds a batch norm with constant statistics into the convolution, transposed convolution or linear layer before it,
// where nothing else reads that layer's result. Returns how many were folded.
int FoldBatchNorm(Graph& graph);

// Whether some kernel can run a fused node.
using CanRun = std::function<bool(const Graph& graph, const Node& node)>;

// Moves what follows a node (an activation, a gate, a constant scale, a residual, a norm, in any order) into its
// epilogue, as far as nothing else reads the values between and `can_run` agrees. The fused node keeps what it replaced
// in `composition`. Returns how many nodes disappeared.
int FuseEpilogues(Graph& graph, const CanRun& can_run);

}  // namespace timbre
