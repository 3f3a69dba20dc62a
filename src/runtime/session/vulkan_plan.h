// One plan of a graph on a Vulkan device: kernels, memory and recorded commands. Three files: vulkan_plan.cc makes and
// runs it, vulkan_plan_weights.cc brings constants there, vulkan_plan_host.cc computes single nodes on the CPU.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/plan/memory_plan.h"
#include "runtime/plan/tuner.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/vulkan_choice.h"
#include "runtime/session/vulkan_memory.h"
#include "runtime/session/vulkan_states.h"

namespace timbre {

// Everything that one plan holds on the device. Made anew where a kernel has to be left out.
class VulkanPlan {
 public:
  VulkanPlan(const Graph& source, const SessionOptions& options, const std::shared_ptr<VulkanDevice>& device,
             ThreadPool& pool, Stats* stats);

  // What is destroyed may still be in use, where a run failed half-way or its result is not wanted.
  ~VulkanPlan() { device_.Settle(options_.cancelled); }

  // On a kernel's failure, the node and kernel are in `failed` and the error is kKernelFailed.
  Status Prepare(const BannedKernels& banned, SessionState& state, std::pair<std::string, std::string_view>& failed);

  // Records again for other states.
  Status UseState(SessionState& state);

  // Each node in a submission of its own, so that it can be timed; or many together again.
  Status RecordAgain(bool one_each);

  // Brings the inputs to the device and submits everything, without waiting where no node needs the host.
  Status Start(int index, std::span<const float* const> inputs, const SessionState& state,
               std::span<const uint32_t> scalars);

  // What a run that failed may have left in the states on the device is not to be trusted.
  void Doubt(int index);
  const std::vector<SessionState::Write>& writes() const { return writes_; }

  // Waits for the run of that slot, and takes its outputs and what it wrote into the states.
  Status Finish(int index, std::span<float* const> outputs, SessionState& state);

  const Graph& graph() const { return graph_; }
  int64_t arena_bytes() const { return plan_.bytes; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Of the weights, what other sessions of the device hold as well.
  int64_t shared_weight_bytes() const;
  std::string KernelName(size_t node) const;
  int nodes_on_cpu() const;
  // Summed over runs since ClearTimes; zeros while nodes run together.
  double seconds(size_t node) const { return seconds_[node]; }
  void ClearTimes() { seconds_.assign(graph_.nodes.size(), 0); }
  const MemoryPlan& memory() const { return plan_; }
  int folded() const { return passes_.folded; }
  int fused() const { return passes_.fused; }
  // The Vulkan kernel whose result was not the oracle's; null where that was not why a run failed.
  const KernelRow* wrong() const { return wrong_; }

 private:
  struct Step {
    const KernelRow* row = nullptr;  // null: on the CPU
    std::shared_ptr<const VulkanBuffer> packed;
    std::unique_ptr<CpuLadder> cpu;
    bool skip = false;
  };
  struct Segment {
    std::unique_ptr<VulkanCommands> commands;  // null: one node on the CPU
    size_t first = 0;
  };
  // Of one run under way: the host's side of the copies. Runs follow on each other in the queue, so that they can share
  // the arena; while one computes, the host fills and empties the slots of others.
  struct Slot {
    VulkanBuffer in, out;
    std::vector<int64_t> in_offsets, out_offsets, write_offsets;
    int64_t scalars_offset = 0;
    std::vector<uint32_t> scalars;
    std::unique_ptr<VulkanCommands> upload, download;
    std::vector<uint64_t> submissions;
  };

  Status MakeSlots();
  Status RecordSlot(Slot& slot);

  // The states' place on the device, and what is written into them.
  Status TakeStates(SessionState& state);

  // Brings what a node writes at places of a state to the host, along with the outputs. There is one slot then.
  void Fetch(size_t node, VulkanCommands& commands);

  // Where a tensor lies; no buffer: nowhere, as nobody reads it or it is a constant.
  struct Place {
    const VulkanBuffer* buffer = nullptr;
    uint64_t offset = 0;
  };
  Place PlaceOf(TensorId id) const;

  Status SubmitTo(Slot& slot, const VulkanCommands& commands);
  // One after the other: the time-out is one submission's.
  Status WaitFor(Slot& slot);

  bool NothingToDo(size_t node) const { return plan_.idle[node]; }
  int64_t Bytes(TensorId id) const { return graph_.bytes(id); }
  int64_t Padded(TensorId id) const { return (Bytes(id) + 63) / 64 * 64; }

  // Memory for weights that is filled once the size of all is known to be there: through staging where it can't be
  // mapped.
  Result<std::shared_ptr<const VulkanBuffer>> MakeFilled(const void* data, uint64_t bytes);
  Status FlushUploads();
  Status Upload(const Node& node, Step& step);

  // Times the fast kernels that could serve a node. What fails is not taken, and is no error: it was never chosen.
  Result<const KernelRow*> Fastest(Tuner& tuner, const Node& node, const KernelRow* usual, const BannedKernels& banned);

  Status RecordNode(const Node& node, const Step& step, VulkanCommands& commands);
  BufferRange RangeOf(TensorId id) const;
  Status RecordAll(bool one_each, FaultInjector* faults, std::pair<std::string, std::string_view>& failed);

  // Gives the host bytes to fill for each tensor and brings them to the arena.
  using Fill = std::function<void(size_t index, std::byte* to, size_t bytes)>;
  Status ToDevice(std::span<const TensorId> ids, const Fill& fill);
  using Take = std::function<void(size_t index, const std::byte* from, size_t bytes)>;
  Status FromDevice(std::span<const TensorId> ids, const Take& take);

  // A wrong result of a Vulkan kernel is an error that leaves the kernel in wrong(); on the CPU the node's ladder
  // answers.
  Status Verify(size_t index);

  // Every activation has memory of its own then, and holds its value until the next run.
  Status CompareWithOracle(const Node& node);

  Status RunOnCpu(size_t index);

  Graph graph_;
  const SessionOptions& options_;
  const std::shared_ptr<VulkanDevice> shared_device_;
  VulkanDevice& device_;
  const VulkanChooser chooser_;
  const VulkanMemory memory_;
  CpuLadder::Shared shared_;
  MemoryPlan plan_;
  VulkanBuffer arena_, staging_, scratch_, scalars_;
  std::shared_ptr<VulkanStates> twin_;
  std::vector<int> indices_;  // of each tensor that is a state, in the twin
  std::vector<SessionState::Write> writes_;
  std::vector<TensorId> written_;  // what is written, in the same order
  std::vector<int> write_of_;      // for each node its place among them, or -1
  std::map<TensorId, std::shared_ptr<const VulkanBuffer>> constants_;
  std::map<std::string, std::shared_ptr<const VulkanBuffer>> packed_;  // by PackedKey
  std::vector<Step> steps_;
  std::vector<Segment> segments_;
  std::vector<Slot> slots_;
  std::unique_ptr<VulkanCommands> uploads_;
  std::vector<VulkanBuffer> stages_;
  std::vector<std::pair<ContentId, std::shared_ptr<const VulkanBuffer>>> pending_;  // uploads
  uint64_t pending_bytes_ = 0;
  int64_t weight_bytes_ = 0;
  VulkanPasses passes_;
  bool one_each_ = false;
  const KernelRow* wrong_ = nullptr;
  std::vector<double> seconds_;  // of each node
};

}  // namespace timbre
