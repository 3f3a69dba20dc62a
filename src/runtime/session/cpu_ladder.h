#pragma once

#include <map>
#include <optional>
#include <string>

#include "runtime/check/verdicts.h"
#include "runtime/plan/tuner.h"
#include "runtime/session/session.h"
#include "runtime/weights/store.h"

namespace timbre {

DeviceCaps CpuCaps(const ThreadPool& pool, Precision precision);
// Whether a node may run on this kernel. `fast`, `fused_attention`: see Toggles.
bool UsableOnCpu(const KernelRow& row, const NodeRef& ref, const DeviceCaps& caps, bool fast, bool fused_attention);

// One node's ladder on the CPU, ready to run: kernels that can serve it, best first, with packed weights and scratch
// made when first needed. The Vulkan session runs its last rung through this too.
class CpuLadder {
 public:
  // What all nodes of a session share. Every pointer outlives the ladder.
  struct Shared {
    const Graph* graph;
    DeviceCaps caps;
    ThreadPool* pool;
    Stats* stats;
    FaultInjector* faults;
    bool strict, fast_kernels, fused_attention;
    AlignedBytes scratch;  // grown to the largest that any node asked for
    // Float32 forms of constants that kernels read as they are.
    std::map<TensorId, std::shared_ptr<const AlignedBytes>> constants;
    DeviceVerdict verdict;    // what doctor found wrong is left out
    Scalars scalars{};        // of the run; of tuning before
    std::string prefer = {};  // the kernel that comes first wherever it can serve the node
  };

  CpuLadder(Shared& shared, const Node& node);

  // Puts first the fast kernel that the tuner picks. `in` and `out` are those that Run will be given; `out` is written
  // to.
  void Choose(Tuner& tuner, std::span<const float* const> in, std::span<float* const> out);
  // Packs the weights of the current rung, where it does, so that Prepare finds them: alone in this may several ladders
  // of a session be busy at the same time. What goes wrong is Prepare's to act on.
  void PackAhead();
  // What the kernel in use would pack (packed_key.h).
  std::string PackedKey() const;
  // Takes what another of the same key packed ahead.
  void PackAs(const CpuLadder& other) { packed_ahead_ = other.packed_ahead_; }
  // Makes what the current rung needs ahead of the first run; steps down where that fails.
  Status Prepare();
  // in[i] of a constant input may be null: the ladder supplies it. Steps down on the listed conditions, an error
  // otherwise.
  Status Run(std::span<const float* const> in, std::span<float* const> out);

  // One rung down because of `error`, or the last rung once more: a plainer kernel than the reference does not exist,
  // and what failed it may have passed. The error itself where that has been tried, or is no reason to step down.
  Status StepDown(const Error& error);

  // The kernel in use: "cpu.gemm", or "composition" where the fused node runs as the nodes it replaced.
  std::string kernel_name() const;
  // What one run reads of the node's constants, as this kernel does: packed, as they are stored, or as float32.
  int64_t constant_bytes() const;
  const Node& node() const { return *node_; }
  size_t rungs() const { return rungs_.size(); }
  // The best kernel that was left out as doctor found it wrong; null where none was.
  const KernelRow* left_out() const { return left_out_; }
  std::string Describe() const;  // every rung, the current one marked
  // Null where nothing is packed.
  const std::shared_ptr<const AlignedBytes>& packed() const { return packed_; }

 private:
  Status PrepareRung();
  Status RunRung(std::span<const float* const> in, std::span<float* const> out);
  Result<const float*> ConstantF32(TensorId id);

  Shared* shared_;
  const Node* node_;
  std::vector<const KernelRow*> rungs_;  // null: run the composition
  const KernelRow* left_out_ = nullptr;
  size_t rung_ = 0;
  bool prepared_ = false;
  bool again_ = false;  // the last rung is being tried a second time
  std::shared_ptr<const AlignedBytes> packed_;
  std::optional<Result<std::shared_ptr<const AlignedBytes>>> packed_ahead_;
  std::vector<std::unique_ptr<CpuLadder>> parts_;  // of the composition
  std::map<TensorId, AlignedBytes> between_;       // the composition's own tensors
};

}  // namespace timbre
