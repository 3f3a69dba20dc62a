// One kernel on one node, with guards around what it writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/single_op_graph.h"
#include "kernels/kernel.h"

namespace timbre::testing {

struct KernelRun {
  Graph graph;  // of the one node, fused
  std::vector<const float*> in;
  std::vector<std::vector<float>> out;
  std::vector<const float*> results() const;
};

// Runs a CPU kernel on the graph's nodes, fused into one. Nothing where the row does not take that; a test failure
// where it fails or writes outside of its output.
std::optional<KernelRun> RunKernel(const KernelRow& row, const SingleOpGraph& one, ThreadPool& pool,
                                   const std::string& label);

}  // namespace timbre::testing
