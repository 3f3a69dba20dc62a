// The networks of the catalogue in the shapes they were released in, built with whatever weights: for benchmarks, plans
// and tests that need no checkpoint.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

struct NetworkRow {
  std::string_view name;
  double seconds;  // of audio that a tile adds to a track: its length less the overlap
  Result<Graph> (*build)(Weights& weights, int batch);
};

std::span<const NetworkRow> Networks();

// Fails with kNotFound and the nearest name.
Result<const NetworkRow*> FindNetwork(std::string_view name);

}  // namespace timbre
