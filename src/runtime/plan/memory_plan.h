// Where each activation lies in one arena, from when it is first written to when it is last read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "graph/graph.h"

namespace timbre {

struct MemoryPlan {
  // Byte offset into the arena for each tensor, or -1 where it has none (constants, states, and what lives only inside
  // a composition).
  std::vector<int64_t> offsets;
  // For each tensor the state whose memory it takes, or kNoTensor; `next` where that is what a state that is replaced
  // whole will be after the run, and not what it was before.
  struct StatePlace {
    TensorId state = kNoTensor;
    bool next = false;
  };
  std::vector<StatePlace> states;
  // States that are copied to their place in the arena before a run, since all that reads them is concatenations, which
  // then have nothing left to do: a convolution's history.
  std::vector<TensorId> loaded;
  int64_t bytes = 0;
  // The least that any plan could need: the largest sum of sizes alive at once.
  int64_t lower_bound = 0;
  int in_place = 0;  // nodes that write where they read
  // For each node whether its outputs lie where its inputs do, value for value: running it would change nothing.
  std::vector<bool> idle;
};

// `reuse` false gives every tensor memory of its own (reshapes too), so that every value can be looked at after a run.
// With `views`, which needs `reuse`, the parts of a concatenation are computed where they will lie in it, and a slice
// that is most of a tensor lies within that. With `reuse`, what replaces a state whole is computed where the state will
// lie. Offsets are multiples of `alignment`.
MemoryPlan PlanMemory(const Graph& graph, bool reuse, int64_t alignment = static_cast<int64_t>(kAlignment),
                      bool views = false);

}  // namespace timbre
