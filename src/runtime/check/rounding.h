// What rounding may make of a node's result, in float32 or below.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "graph/op_table.h"
#include "kernels/kernel.h"

namespace timbre {

// Tensors in float64: a node's inputs, what its composition makes of them on the way, and its outputs.
using OracleValues = std::map<TensorId, Tensor64>;

// Adds the node's outputs, by the oracle of its operator; its composition is not looked at.
void RunOracle(const Graph& graph, const Node& node, const Scalars& scalars, OracleValues& values);

// The error that a result of the node's operator may have, in units of float32's eps times the result's size (see
// OpRow). With a precision below kF32, products may have been made of halves or bfloat16. `in` holds what a composition
// begins with: attention's tolerance depends on the size of its scores.
double Allowance(const Graph& graph, const Node& node, Precision precision, std::span<const float* const> in);

// For each output, the largest error of each element: of each of the node's parts what its operator allows, by the size
// of the terms that it sums rather than by what is left of them where they cancel, and what the parts behind it make
// of that, to the first order. A norm of values that hardly differ magnifies what rounding did to them. `values` holds
// all that the oracles of the node's parts gave.
std::vector<Tensor64> ErrorsAllowed(const Graph& graph, const Node& node, const OracleValues& values,
                                    Precision precision, std::span<const float* const> in, const Scalars& scalars);

}  // namespace timbre
