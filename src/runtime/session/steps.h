// Every way down, in one place: what may be answered by going on with something plainer, how it is recorded, and how it
// goes on.
//
// From the top: a kernel, the next one for its node, its reference, the nodes that a fused node was made of, the last
// of these once more; fewer tiles at once; the host's memory for the device's; the next device; the CPU. Who is on a
// rung hands its work to Descend, and leaves the rung by Steps::Take.
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

// What is recorded as the place that a step down leads to where it is `place` itself, which is tried once more.
std::string OnceMore(const std::string& place);

// The steps of one session, or of what runs several.
class Steps {
 public:
  // `stats` may be null. `strict`: a step down is an error.
  Steps(Stats* stats, bool strict, int tiles = 1) : stats_(stats), strict_(strict), tiles_(tiles) {}

  bool May(Rung rung, const Error& reason) const { return MayStepDown(rung, reason.code, tiles_); }
  // Leaves a rung because of `reason`: recorded, or, where strict, an error with the same facts; and `reason` itself
  // where it is nothing that this rung is left for.
  Status Take(Rung rung, const std::string& node, const std::string& from, const std::string& to,
              const Error& reason) const;
  // The same where it is known already that the rung has to be left.
  Status Record(const std::string& node, const std::string& from, const std::string& to, const Error& reason) const;

 private:
  Stats* stats_;
  bool strict_;
  int tiles_;
};

// attempt() until it succeeds. What fails is answered by lower(error): one step down, after which there is something
// else to attempt, or the error that ends it. Whoever lowers comes to the bottom: every rung is left once.
template <typename Attempt, typename Lower>
auto Descend(Attempt&& attempt, Lower&& lower) -> decltype(attempt()) {
  for (;;) {
    auto result = attempt();
    if (result) return result;
    TIMBRE_CHECK(lower(result.error()));
  }
}

}  // namespace timbre
