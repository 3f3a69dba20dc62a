// Every way down, in one place: what may be answered by going on with something plainer, and how it is recorded.
//
// From the top: a kernel, the next one for its node, its reference, the nodes that a fused node was made of, the last
// of these once more; fewer tiles at once; the host's memory for the device's; the next device; the CPU. Who is on a
// rung asks MayStepDown before leaving it, and TakeStep says that it was left.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "runtime/session/stats.h"

namespace timbre {

enum class Rung : uint8_t {
  kKernel,  // of one node
  kTiles,   // several at once: halved by whoever cuts the signal into them
  kPlace,   // the memory that something lies in
  kDevice,  // as a whole
  kOpen,    // a device that is about to be opened, and was asked for by name
};

// Only failures of the machine step down. A caller's mistake, a cancellation or a broken invariant never does. `tiles`:
// in the graph's batch: memory that several do not fit into is answered by fewer, before anything else gives way.
bool MayStepDown(Rung rung, ErrorCode code, int tiles = 1);

// A step down that is about to be taken because of `reason`: recorded in `stats` (may be null), or an error with the
// same facts where `strict`.
Status TakeStep(Stats* stats, bool strict, const std::string& node, const std::string& from, const std::string& to,
                const Error& reason);

}  // namespace timbre
