// A graph made ready to run on a device, and run: the interface that pipelines see.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "runtime/plan/tuner.h"
#include "runtime/session/faults.h"
#include "runtime/session/state.h"
#include "runtime/session/stats.h"

namespace timbre {

// Which optimisations are on; each can be switched off and the results must agree.
struct Toggles {
  bool fold = true;          // constants folded (batch norm into convolutions)
  bool fusion = true;        // epilogues
  bool fast_kernels = true;  // false: reference kernels only
  bool attention = true;     // false: the fused attention's reference
  bool static_plan = true;   // false: every activation has memory of its own
};

struct SessionOptions {
  // auto | cpu | vulkan | vulkan:N | a device's name | several, with commas between: each but the first is for when the
  // one before it fails as a whole. The CPU comes last, named or not.
  std::string device = "auto";
  int threads = 0;  // 0: all this process may use
  Precision precision = Precision::kF32;
  Toggles toggles;
  Tune tune = Tune::kOff;     // on the CPU; off keeps results the same, bit for bit, from run to run
  bool strict = false;        // a step down is an error
  bool verify = false;        // every node of every run is checked against its oracle (slow)
  bool heed_doctor = true;    // leave out kernels that `timbre doctor` found wrong on this device and driver
  int in_flight = 2;          // runs that a GPU is given before the first is done, so that it never waits for the host
  std::string prefer;         // a kernel that nodes get wherever it gives the right result
  uint64_t memory_limit = 0;  // bytes of a GPU's memory that plans may count on; 0: what is free
  int tiles = 1;              // in the graph's batch; where more than one do not fit, that is the caller's to answer
  FaultInjector* faults = nullptr;               // of this session alone
  const std::atomic<bool>* cancelled = nullptr;  // asked between nodes and while a device is waited for: kCancelled
};

struct NodeTiming {
  std::string node, op, kernel;
  double seconds = 0;  // summed over runs
  double flops = 0;    // of one run
  int64_t bytes = 0;   // read and written by one run
  int64_t runs = 0;
};

// One per (model, device, tile shape, batch). Not thread-safe; sessions of one process may share a ThreadPool.
class Session {
 public:
  virtual ~Session() = default;

  // Copies `inputs` in (in the graph's order, contiguous, of the element types that the graph says), runs every node,
  // and copies the outputs out. Pure up to its scalars and its state: the same inputs give the same outputs, whatever
  // ran before. A run that fails leaves the state as it was.
  virtual Status Run(std::span<const float* const> inputs, std::span<float* const> outputs) = 0;

  // The same in two halves, so that several runs can be under way: each in a slot of its own, 0 … in_flight() - 1,
  // finished in the order in which they were started, or never: then the slot's next run takes its place. `inputs` stay
  // as they are until Finish, which may run them again.
  virtual int in_flight() const { return 1; }
  virtual Status Start(int slot, std::span<const float* const> inputs);
  virtual Status Finish(int slot, std::span<float* const> outputs);

  // Sets a number that the graph reads, for all runs that are started from here on. Errors: kInvalidArgument where
  // there is none of that name, or it is of another type.
  Status SetScalar(std::string_view name, int32_t value);
  Status SetScalar(std::string_view name, float value);
  Status SetScalar(ScalarId id, int32_t value);
  Status SetScalar(ScalarId id, float value);
  // All at once, by ScalarId, bit for bit.
  Status SetScalars(std::span<const uint32_t> values);
  const std::vector<uint32_t>& scalars() const { return scalars_; }

  // What the graph's states hold; never null. A session has one of its own until it is given another, which may belong
  // to several sessions, in one thread. No run is under way then. Errors: as SessionState::Attach.
  const std::shared_ptr<SessionState>& state() const { return state_; }
  virtual Status UseState(std::shared_ptr<SessionState> state) = 0;

  virtual const Graph& graph() const = 0;         // after the passes
  virtual std::string device_name() const = 0;    // "CPU (AVX3, 2 threads)"
  virtual std::string device_reason() const = 0;  // why this one
  virtual int64_t arena_bytes() const = 0;
  virtual int64_t weight_bytes() const = 0;  // packed and expanded
  // Per-node times since the last call with true; off by default.
  virtual void EnableProfile(bool on) = 0;
  virtual std::vector<NodeTiming> Profile() const = 0;
  virtual std::string Explain() const = 0;  // the plan as text: nodes, kernels, ladder, memory, passes

 protected:
  std::vector<uint32_t> scalars_;  // set to the graph's defaults by whoever derives
  std::shared_ptr<SessionState> state_ = std::make_shared<SessionState>();

 private:
  Status SetBits(ScalarId id, DType dtype, uint32_t bits);

  std::vector<const float*> started_;  // where there is one slot
};

// How many nodes of a session each kernel runs now: those on the CPU of a session on a GPU are named "cpu …". Nodes
// that have nothing to do are left out.
using KernelCounts = std::map<std::string, int>;
KernelCounts CountKernels(const Session& session);

// Which device a wish means (SessionOptions::device): -1 the CPU, else the index of a Vulkan device; and why. `auto`
// takes a discrete GPU, else an integrated one, else the CPU; never a software driver. Of several names it is the
// first. Errors: a device that is not there, also a later one.
struct DeviceChoice {
  int vulkan_index = -1;
  std::string reason;
  std::string next = "cpu";  // the wish for when that one fails as a whole
};
Result<DeviceChoice> ChooseDevice(const std::string& wish);

// How many tiles fit at once into what a device has free, or options.memory_limit: a power of two, `most` at most.
// `graph` computes one. 1 where nothing is gained: on the CPU, on a software driver, on a GPU that shares its memory.
Result<int> BatchThatFits(const Graph& graph, const SessionOptions& options, int most);
// The arithmetic of it: bytes that are free, that weights take, and that one tile's activations take.
int LargestBatch(uint64_t free, uint64_t weights, uint64_t tile, int most);

// `stats` (may be null) and `pool` must outlive the session. Errors: an unknown device, no memory, an invalid graph.
Result<std::unique_ptr<Session>> MakeSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                             Stats* stats);

}  // namespace timbre
