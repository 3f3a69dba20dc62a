// Where tensors lie in resident states, and when what they hold ends.
//
// A state is written by kStateWrite nodes, each of which gives the state after its write, in the same memory. Before a
// write there is one version of the state, after it the next; whoever reads a version runs before the write that ends
// it. A state is either replaced whole, once a run (a recurrent state, a convolution's history), or written at places
// (a key-value cache).
#pragma once

#include <limits>
#include <vector>

#include "graph/graph.h"

namespace timbre {

struct StateVersion {
  TensorId state = kNoTensor;  // whose memory this is; kNoTensor: an ordinary tensor
  // The node that writes over it; a graph's end where none does.
  int until = std::numeric_limits<int>::max();
  bool written = false;  // the state after a write, not as the run found it
};

// For each tensor. The reshaped twin of a version is that version too.
std::vector<StateVersion> StateVersions(const Graph& graph);

// Whether a write replaces the state whole.
inline bool ReplacesState(const Node& node) {
  return node.op == Op::kStateWrite && node.As<StateWriteAttrs>().at == kNoScalar;
}

// Every write is to the latest version, and of its element type; nothing reads a version that has ended; a state is
// written in one of the two ways; names are unique; scalars exist.
Status CheckStates(const Graph& graph);

}  // namespace timbre
