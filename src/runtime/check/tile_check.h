// One tile of a whole network, computed twice and compared: what `timbre doctor` says of networks.
#pragma once

#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "runtime/session/session.h"

namespace timbre {

struct ComputedTile {
  std::vector<std::string> names;          // "output 'y'", "state 'h'"
  std::vector<std::vector<float>> values;  // the outputs in the graph's order, then its float32 states after the run
  double seconds = 0;                      // of the last run: the first makes what is made once
  std::string device;                      // what computed it
  std::string retired;  // why the device gave up and the CPU computed instead; empty where it did not
};

// `runs` runs of `graph` on noise that is the same everywhere.
Result<ComputedTile> ComputeTile(const Graph& graph, const SessionOptions& options, ThreadPool& pool, int runs);

struct TileAgreement {
  double db = 0;        // the signal-to-error ratio of the output or state that is worst, at most kMostDb
  std::string problem;  // why `tile` is not right, or why nothing can be said; empty where it is right
};

// Kernels sum in any order: what rounding alone explains is above the floor.
inline constexpr double kTileFloorDb = 90, kMostDb = 999;

// Each output of `tile` against the same of `reference`, and each state, which may be all that a layer writes. What is
// not finite or has one value only shows nothing, and is never right; nor is what a device was to compute and the CPU
// did.
TileAgreement Compare(const ComputedTile& reference, const ComputedTile& tile);

}  // namespace timbre
