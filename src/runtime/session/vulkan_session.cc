#include "runtime/session/vulkan_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include "base/paths.h"
#include "graph/passes.h"
#include "runtime/check/verdicts.h"
#include "runtime/check/verify.h"
#include "runtime/plan/memory_plan.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/cpu_session.h"
#include "runtime/session/steps.h"
#include "runtime/session/vulkan_memory.h"
#include "runtime/session/vulkan_states.h"

namespace timbre {
namespace {

// Kernels that must not be taken.
struct Banned {
  std::set<std::pair<std::string, std::string_view>> failed;  // for one node: the plan is made again without it
  std::set<std::string> wrong;                                // for any node: what doctor found, as "name@version"

  bool Holds(const std::string& node, const KernelRow& row) const {
    return failed.contains({node, row.name}) || (!wrong.empty() && wrong.contains(DeviceVerdict::IdOf(row)));
  }
};

// Which kernel a node gets.
struct Chooser {
  DeviceCaps caps;
  const Toggles& toggles;
  std::string prefer;

  Chooser(const VulkanDevice& on, const SessionOptions& options) : caps(on.caps()), toggles(options.toggles) {
    caps.precision = options.precision;
    prefer = options.prefer;
    caps.any_size = !prefer.empty();
    caps.memory_free = options.memory_limit > 0 ? options.memory_limit : on.MemoryFree();
  }

  bool Usable(const KernelRow& row, const NodeRef& ref, const Banned& banned) const {
    if (row.tier == Tier::kFast && (!toggles.fast_kernels || (ref.node.op == Op::kAttention && !toggles.attention)))
      return false;
    if (banned.Holds(ref.node.name, row)) return false;
    for (const auto& ids : {ref.node.inputs, ref.node.outputs}) {
      for (const TensorId id : ids) {
        if (id != kNoTensor && !row.in_parts &&
            static_cast<uint64_t>(ref.graph.shape(id).elements()) * 4 > caps.max_range)
          return false;
      }
    }
    return row.Supports(ref, caps) && (!row.scratch_bytes || row.scratch_bytes(ref, caps) <= caps.max_range);
  }

  const KernelRow* Best(const NodeRef& ref, const Banned& banned) const {
    const KernelRow* best = nullptr;
    for (const KernelRow* row : KernelsFor(ref.node.op, DeviceKind::kVulkan)) {
      if ((best == nullptr || row->name == prefer) && Usable(*row, ref, banned)) best = row;
    }
    return best;
  }
};

// The most that a node wants of the memory that all nodes use in turn.
uint64_t ScratchOf(const Graph& graph, const Chooser& chooser, const Banned& banned) {
  uint64_t most = 0;
  for (const Node& node : graph.nodes) {
    const KernelRow* row = chooser.Best({graph, node}, banned);
    if (row && row->scratch_bytes)
      most = std::max(most, static_cast<uint64_t>(row->scratch_bytes({graph, node}, chooser.caps)));
  }
  return most;
}

struct PassCounts {
  int folded = 0, fused = 0;
};
PassCounts RunPasses(Graph& graph, const Toggles& toggles, const Chooser& chooser, const Banned& banned) {
  PassCounts counts;
  RemoveDeadNodes(graph);
  if (toggles.fold) counts.folded = FoldBatchNorm(graph);
  if (toggles.fusion) {
    counts.fused = FuseEpilogues(graph, [&](const Graph& g, const Node& node) {
      return chooser.Best({g, node}, banned) != nullptr;
    });
  }
  return counts;
}

// Everything that one plan holds on the device. Made anew where a kernel has to be left out.
class Plan {
 public:
  Plan(const Graph& source, const SessionOptions& options, const std::shared_ptr<VulkanDevice>& device,
       ThreadPool& pool, Stats* stats)
      : graph_(source),
        options_(options),
        shared_device_(device),
        device_(*device),
        chooser_(*device, options),
        memory_(*device, options, stats) {
    shared_ = {&graph_,
               CpuCaps(pool, options.precision),
               &pool,
               stats,
               options.faults,
               options.strict,
               options.toggles.fast_kernels,
               options.toggles.attention,
               {},
               {},
               options.heed_doctor ? ReadVerdict(CpuVerdictKey()) : DeviceVerdict()};
  }

  // What is destroyed may still be in use, where a run failed half-way or its result is not wanted.
  ~Plan() { device_.Settle(); }

  // On a kernel's failure, the node and kernel are in `failed` and the error is kKernelFailed.
  Status Prepare(const Banned& banned, SessionState& state, std::pair<std::string, std::string_view>& failed) {
    passes_ = RunPasses(graph_, options_.toggles, chooser_, banned);
    TIMBRE_CHECK(Validate(graph_));
    plan_ =
        PlanMemory(graph_, options_.toggles.static_plan && !options_.verify, static_cast<int64_t>(device_.alignment()));
    const auto arena = static_cast<uint64_t>(plan_.bytes), scalars = graph_.scalars.size() * sizeof(uint32_t);
    TIMBRE_TRY(VulkanMemory::Promise promise,
               memory_.Reserve(arena + scalars + ScratchOf(graph_, chooser_, banned), "the arena"));
    TIMBRE_TRY(arena_, memory_.Take(arena, "the arena", promise));
    if (scalars > 0) {
      TIMBRE_TRY(scalars_, memory_.Take(scalars, "the scalars", promise));
    }
    TIMBRE_CHECK(TakeStates(state));
    const auto cache = CacheDir();
    const VulkanDeviceInfo& info = device_.info();
    DeviceCaps place = chooser_.caps;
    place.simd_target = info.name + " " + info.driver + " " + info.driver_version +
                        (options_.precision == Precision::kF16 ? " f16" : "");
    Tuner tuner(options_.faults ? Tune::kOff : options_.tune, place, cache ? *cache + "/tuning.json" : "");
    int64_t widest = 0, scratch = 0;
    for (const Node& node : graph_.nodes) {
      steps_.push_back({chooser_.Best({graph_, node}, banned), {}, nullptr});
      Step& step = steps_.back();
      if (tuner.on() && step.row != nullptr && !NothingToDo(steps_.size() - 1)) {
        TIMBRE_TRY(step.row, Fastest(tuner, node, step.row, banned));
      }
      if (NothingToDo(steps_.size() - 1)) {
        step.skip = true;
      } else if (step.row == nullptr) {
        step.cpu = std::make_unique<CpuLadder>(shared_, node);
        TIMBRE_CHECK(step.cpu->Prepare());
      } else {
        failed = {node.name, step.row->name};
        TIMBRE_CHECK(Upload(node, step));
        if (step.row->scratch_bytes)
          scratch = std::max(scratch, static_cast<int64_t>(step.row->scratch_bytes({graph_, node}, chooser_.caps)));
      }
      int64_t bytes = 0;
      for (const auto& ids : {node.inputs, node.outputs}) {
        for (const TensorId id : ids) bytes += id != kNoTensor && !graph_.IsConstant(id) ? Padded(id) : 0;
      }
      if (step.row == nullptr || options_.verify) widest = std::max(widest, bytes);
    }
    tuner.Save();
    scratch_ = VulkanBuffer();
    if (scratch > 0) {
      TIMBRE_TRY(scratch_, memory_.Take(static_cast<uint64_t>(scratch), "the scratch", promise));
    }
    if (!arena_.mapped() && widest > 0) {
      TIMBRE_TRY(staging_, memory_.AllocateOnHost(static_cast<uint64_t>(widest)));
    }
    TIMBRE_CHECK(FlushUploads());
    TIMBRE_CHECK(MakeSlots());
    return RecordAll(options_.verify, options_.faults, failed);
  }

  // Records again for other states.
  Status UseState(SessionState& state) {
    device_.Settle();
    std::pair<std::string, std::string_view> failed;
    segments_.clear();
    TIMBRE_CHECK(TakeStates(state));
    for (Slot& slot : slots_) TIMBRE_CHECK(RecordSlot(slot));
    return RecordAll(one_each_, nullptr, failed);
  }

  // Each node in a submission of its own, so that it can be timed; or many together again.
  Status RecordAgain(bool one_each) {
    if (one_each == one_each_) return {};
    std::pair<std::string, std::string_view> failed;
    device_.Settle();
    segments_.clear();
    return RecordAll(one_each, nullptr, failed);
  }

  // Brings the inputs to the device and submits everything, without waiting where no node needs the host.
  Status Start(int index, std::span<const float* const> inputs, const SessionState& state,
               std::span<const uint32_t> scalars) {
    Slot& slot = slots_[index];
    TIMBRE_CHECK(WaitFor(slot));  // one that was given up
    slot.scalars.assign(scalars.begin(), scalars.end());
    shared_.scalars = {slot.scalars};
    TIMBRE_CHECK(twin_->BringUp(state, options_.faults));
    if (!scalars.empty()) std::memcpy(slot.in.mapped() + slot.scalars_offset, scalars.data(), scalars.size_bytes());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const TensorId id = graph_.inputs[i].tensor;
      std::memcpy(slot.in.mapped() + slot.in_offsets[i], inputs[i], static_cast<size_t>(Bytes(id)));
    }
    TIMBRE_CHECK(SubmitTo(slot, *slot.upload));
    const bool wait = one_each_ || nodes_on_cpu() > 0;
    if (wait) TIMBRE_CHECK(WaitFor(slot));
    for (Segment& segment : segments_) {
      if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed))
        return Fail(ErrorCode::kCancelled, "cancelled");
      const auto start = std::chrono::steady_clock::now();
      double seconds = 0;
      if (!segment.commands) {
        TIMBRE_CHECK(RunOnCpu(segment.first));
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      } else if (one_each_) {
        TIMBRE_TRY(seconds, device_.RunTimed(*segment.commands));
      } else {
        TIMBRE_CHECK(SubmitTo(slot, *segment.commands));
        if (wait) TIMBRE_CHECK(WaitFor(slot));
      }
      if (options_.verify) TIMBRE_CHECK(Verify(segment.first));
      seconds_[segment.first] += seconds;
    }
    return SubmitTo(slot, *slot.download);
  }

  // What a run that failed may have left in the states on the device is not to be trusted.
  void Doubt(int index) {
    const std::vector<uint32_t>& scalars = slots_[index].scalars;
    if (scalars.size() == graph_.scalars.size()) twin_->Doubt(writes_, {scalars});  // else nothing was started yet
  }
  const std::vector<SessionState::Write>& writes() const { return writes_; }

  Status Finish(int index, std::span<float* const> outputs, SessionState& state) {
    Slot& slot = slots_[index];
    TIMBRE_CHECK(WaitFor(slot));
    // What was written on the device is written here as well: a device may be lost, its states may not.
    TIMBRE_CHECK(state.Begin(writes_, {slot.scalars}));
    for (size_t i = 0; i < writes_.size(); ++i)
      state.Put(writes_[i], {slot.scalars}, slot.out.mapped() + slot.write_offsets[i]);
    state.Commit(twin_.get());
    for (size_t i = 0; i < outputs.size(); ++i) {
      const TensorId id = graph_.outputs[i].tensor;
      if (graph_.IsConstant(id)) {
        ReadForKernels(graph_.tensors[id].constant, outputs[i]);
      } else {
        std::memcpy(outputs[i], slot.out.mapped() + slot.out_offsets[i], static_cast<size_t>(Bytes(id)));
      }
    }
    return {};
  }

  const Graph& graph() const { return graph_; }
  int64_t arena_bytes() const { return plan_.bytes; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Of the weights, what other sessions of the device hold as well.
  int64_t shared_weight_bytes() const {
    int64_t sum = 0;
    const auto add = [&](const std::shared_ptr<const VulkanBuffer>& buffer) {
      if (buffer && buffer.use_count() > 1) sum += static_cast<int64_t>(buffer->bytes());
    };
    for (const Step& step : steps_) add(step.packed);
    for (const auto& [id, buffer] : constants_) add(buffer);
    return sum;
  }
  std::string KernelName(size_t node) const {
    return steps_[node].skip  ? "none"
           : steps_[node].row ? std::string(steps_[node].row->name)
                              : "cpu " + steps_[node].cpu->kernel_name();
  }
  int nodes_on_cpu() const {
    return static_cast<int>(
        std::count_if(steps_.begin(), steps_.end(), [](const Step& s) { return s.cpu != nullptr; }));
  }
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

  Status MakeSlots() {
    for (int i = 0; i < std::max(1, options_.in_flight); ++i) {
      Slot& slot = slots_.emplace_back();
      int64_t in = 0, out = 0;
      for (const GraphPort& port : graph_.inputs) slot.in_offsets.push_back(in), in += Padded(port.tensor);
      for (const GraphPort& port : graph_.outputs) slot.out_offsets.push_back(out), out += Padded(port.tensor);
      for (const TensorId id : written_) slot.write_offsets.push_back(out), out += Padded(id);
      slot.scalars_offset = in;
      in += static_cast<int64_t>(graph_.scalars.size() * sizeof(uint32_t));
      TIMBRE_TRY(slot.in, memory_.AllocateOnHost(static_cast<uint64_t>(in)));
      TIMBRE_TRY(slot.out, memory_.AllocateOnHost(static_cast<uint64_t>(out)));
      TIMBRE_CHECK(RecordSlot(slot));
    }
    return {};
  }

  Status RecordSlot(Slot& slot) {
    TIMBRE_TRY(slot.upload, device_.Record(options_.faults));
    TIMBRE_TRY(slot.download, device_.Record(options_.faults));
    for (size_t k = 0; k < graph_.inputs.size(); ++k) {
      const TensorId id = graph_.inputs[k].tensor;
      if (const Place place = PlaceOf(id); place.buffer != nullptr)
        slot.upload->Copy(slot.in, static_cast<uint64_t>(slot.in_offsets[k]), *place.buffer, place.offset,
                          static_cast<uint64_t>(Bytes(id)));
    }
    if (!graph_.scalars.empty())
      slot.upload->Copy(slot.in, static_cast<uint64_t>(slot.scalars_offset), scalars_, 0,
                        graph_.scalars.size() * sizeof(uint32_t));
    const auto fetch = [&](TensorId id, int64_t to) {
      if (const Place place = PlaceOf(id); place.buffer != nullptr)
        slot.download->Copy(*place.buffer, place.offset, slot.out, static_cast<uint64_t>(to),
                            static_cast<uint64_t>(Bytes(id)));
    };
    for (size_t k = 0; k < graph_.outputs.size(); ++k) fetch(graph_.outputs[k].tensor, slot.out_offsets[k]);
    for (size_t k = 0; k < writes_.size(); ++k) {
      if (!writes_[k].whole) continue;  // fetched where it is written, while it is there: see Fetch
      const VulkanBuffer& next = twin_->next(writes_[k].state);
      slot.download->Copy(next, 0, slot.out, static_cast<uint64_t>(slot.write_offsets[k]),
                          static_cast<uint64_t>(Bytes(written_[k])));
      slot.download->Copy(next, 0, twin_->now(writes_[k].state), 0, next.bytes());
    }
    TIMBRE_CHECK(slot.upload->End());
    return slot.download->End();
  }

  // The states' place on the device, and what is written into them.
  Status TakeStates(SessionState& state) {
    TIMBRE_TRY(indices_, state.Attach(graph_));
    writes_ = SessionState::WritesOf(graph_, indices_);
    TIMBRE_TRY(twin_, VulkanStates::Of(state, shared_device_, memory_));
    written_.clear();
    write_of_.assign(graph_.nodes.size(), -1);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].op != Op::kStateWrite) continue;
      write_of_[i] = static_cast<int>(written_.size());
      written_.push_back(graph_.nodes[i].inputs[1]);
    }
    return {};
  }

  // Brings what a node writes at places of a state to the host, along with the outputs. There is one slot then.
  void Fetch(size_t node, VulkanCommands& commands) {
    const int k = write_of_[node];
    if (k < 0 || writes_[k].whole) return;
    const auto constant = constants_.find(written_[k]);
    const Place place = constant != constants_.end() ? Place{constant->second.get(), 0} : PlaceOf(written_[k]);
    commands.Copy(*place.buffer, place.offset, slots_[0].out, static_cast<uint64_t>(slots_[0].write_offsets[k]),
                  static_cast<uint64_t>(Bytes(written_[k])));
  }

  // Where a tensor lies; no buffer: nowhere, as nobody reads it or it is a constant.
  struct Place {
    const VulkanBuffer* buffer = nullptr;
    uint64_t offset = 0;
  };
  Place PlaceOf(TensorId id) const {
    if (const auto [state, next] = plan_.states[id]; state != kNoTensor)
      return {next ? &twin_->next(indices_[state]) : &twin_->now(indices_[state]), 0};
    if (plan_.offsets[id] < 0) return {};
    return {&arena_, static_cast<uint64_t>(plan_.offsets[id])};
  }

  Status SubmitTo(Slot& slot, const VulkanCommands& commands) {
    TIMBRE_TRY(const uint64_t submission, device_.Submit(commands));
    slot.submissions.push_back(submission);
    return {};
  }
  // One after the other: the time-out is one submission's.
  Status WaitFor(Slot& slot) {
    for (const uint64_t submission : slot.submissions) TIMBRE_CHECK(device_.Wait(submission, options_.faults));
    slot.submissions.clear();
    return {};
  }

  bool NothingToDo(size_t node) const { return plan_.idle[node]; }
  int64_t Bytes(TensorId id) const { return graph_.bytes(id); }
  int64_t Padded(TensorId id) const { return (Bytes(id) + 63) / 64 * 64; }

  // Memory for weights that is filled once the size of all is known to be there: through staging where it can't be
  // mapped.
  Result<std::shared_ptr<const VulkanBuffer>> MakeFilled(const void* data, uint64_t bytes) {
    weight_bytes_ += static_cast<int64_t>(bytes);
    // Other sessions of this device may have it.
    const ContentId content = IdOf({static_cast<const std::byte*>(data), bytes});
    if (auto held = device_.Holding(content)) return held;
    TIMBRE_TRY(VulkanBuffer buffer, memory_.Allocate(bytes, "weights"));
    if (buffer.mapped()) {
      std::memcpy(buffer.mapped(), data, bytes);
      return device_.Hold(content, std::move(buffer));
    }
    TIMBRE_TRY(VulkanBuffer stage, memory_.AllocateOnHost(bytes));
    std::memcpy(stage.mapped(), data, bytes);
    if (!uploads_) {
      TIMBRE_TRY(uploads_, device_.Record(options_.faults));
    }
    uploads_->Copy(stage, 0, buffer, 0, bytes);
    pending_bytes_ += bytes;
    stages_.push_back(std::move(stage));
    auto filled = std::make_shared<const VulkanBuffer>(std::move(buffer));
    pending_.emplace_back(content, filled);
    constexpr uint64_t kMostPending = uint64_t{256} << 20;
    if (pending_bytes_ > kMostPending) TIMBRE_CHECK(FlushUploads());
    return filled;
  }

  Status FlushUploads() {
    if (!uploads_) return {};
    TIMBRE_CHECK(uploads_->End());
    Status status = device_.Run(*uploads_);
    uploads_.reset();
    stages_.clear();
    pending_bytes_ = 0;
    // Nobody else may have it before the bytes are there.
    for (const auto& [content, buffer] : pending_) {
      if (status) device_.Hold(content, buffer);
    }
    pending_.clear();
    return status;
  }

  Status Upload(const Node& node, Step& step) {
    const NodeRef ref{graph_, node};
    if (step.row->pack) {
      if (options_.faults) TIMBRE_CHECK(options_.faults->Pass(FaultPoint::kPack, node.name));
      TIMBRE_TRY(const AlignedBytes packed, step.row->pack(ref, chooser_.caps));
      TIMBRE_TRY(step.packed, MakeFilled(packed.data(), packed.size()));
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      if (!ref.constant(static_cast<int>(i)) || (step.row->packed_inputs >> i & 1) || constants_.contains(id)) continue;
      std::vector<float> values(static_cast<size_t>(graph_.shape(id).elements()));
      ReadForKernels(graph_.tensors[id].constant, values.data());
      TIMBRE_TRY(constants_[id], MakeFilled(values.data(), values.size() * 4));
    }
    // The device has them; only a step down to the CPU reads them again.
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (ref.constant(static_cast<int>(i))) ref.value(static_cast<int>(i)).Rest();
    }
    return {};
  }

  // Times the fast kernels that could serve a node. What fails is not taken, and is no error: it was never chosen.
  Result<const KernelRow*> Fastest(Tuner& tuner, const Node& node, const KernelRow* usual, const Banned& banned) {
    const NodeRef ref{graph_, node};
    Chooser eager = chooser_;
    eager.caps.any_size = true;
    std::vector<const KernelRow*> candidates{usual};
    for (const KernelRow* row : KernelsFor(node.op, DeviceKind::kVulkan)) {
      if (row != usual && row->tier == Tier::kFast && eager.Usable(*row, ref, banned)) candidates.push_back(row);
    }
    const auto time = [&](size_t candidate) -> Result<double> {
      const int64_t weights = weight_bytes_;
      Step step{candidates[candidate], {}, nullptr};
      TIMBRE_CHECK(Upload(node, step));
      TIMBRE_CHECK(FlushUploads());
      weight_bytes_ = weights;
      if (step.row->scratch_bytes) {
        const auto bytes = static_cast<uint64_t>(step.row->scratch_bytes(ref, chooser_.caps));
        if (bytes > scratch_.bytes()) {
          scratch_ = VulkanBuffer();
          TIMBRE_TRY(scratch_, memory_.Allocate(bytes, "the scratch"));
        }
      }
      TIMBRE_TRY(const auto commands, device_.Record(options_.faults));
      commands->BeginTiming();
      TIMBRE_CHECK(RecordNode(node, step, *commands));
      commands->EndTiming();
      TIMBRE_CHECK(commands->End());
      return device_.RunTimed(*commands);
    };
    return candidates[tuner.Choose(ref, candidates, time)];
  }

  Status RecordNode(const Node& node, const Step& step, VulkanCommands& commands) {
    std::vector<BufferRange> in, out;
    for (const TensorId id : node.inputs) in.push_back(RangeOf(id));
    for (const TensorId id : node.outputs) out.push_back(RangeOf(id));
    const BufferRange packed = step.row->pack ? step.packed->Range(0, step.packed->bytes()) : BufferRange{};
    const NodeRef ref{graph_, node};
    const uint64_t bytes = step.row->scratch_bytes ? step.row->scratch_bytes(ref, chooser_.caps) : 0;
    const BufferRange scratch = bytes > 0 ? scratch_.Range(0, bytes) : BufferRange{};
    const BufferRange scalars = scalars_.Range(0, graph_.scalars.size() * sizeof(uint32_t));
    return std::get<VulkanRecord>(step.row->run)(
        VulkanCall{ref, in, out, packed, scratch, scalars, commands, chooser_.caps});
  }

  BufferRange RangeOf(TensorId id) const {
    if (id == kNoTensor) return {};
    const auto constant = constants_.find(id);
    if (constant != constants_.end()) return constant->second->Range(0, static_cast<uint64_t>(Bytes(id)));
    const Place place = PlaceOf(id);
    return place.buffer == nullptr ? BufferRange{}
                                   : place.buffer->Range(place.offset, static_cast<uint64_t>(Bytes(id)));
  }

  Status RecordAll(bool one_each, FaultInjector* faults, std::pair<std::string, std::string_view>& failed) {
    one_each_ = one_each;
    seconds_.resize(graph_.nodes.size());
    // A driver's watchdog looks at single submissions: not too much work in one.
    const int most_nodes = one_each ? 1 : 48;
    constexpr double kMostFlops = 4e10;
    int nodes = 0;
    double flops = 0;
    std::unique_ptr<VulkanCommands> open;
    size_t first = 0;
    auto close = [&]() -> Status {
      if (!open) return {};
      TIMBRE_CHECK(open->End());
      segments_.push_back({std::move(open), first});
      nodes = 0;
      flops = 0;
      return {};
    };
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      Step& step = steps_[i];
      if (step.skip) continue;
      if (step.row == nullptr) {
        TIMBRE_CHECK(close());
        segments_.push_back({nullptr, i});
        continue;
      }
      failed = {node.name, step.row->name};
      if (!open) {
        TIMBRE_TRY(open, device_.Record(options_.faults));
        first = i;
      }
      if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kKernel, node.name));
      if (one_each) open->BeginTiming();
      TIMBRE_CHECK(RecordNode(node, step, *open));
      if (one_each) open->EndTiming();
      Fetch(i, *open);
      flops += FlopsOf(graph_, node);
      if (++nodes >= most_nodes || flops > kMostFlops) TIMBRE_CHECK(close());
    }
    return close();
  }

  // Gives the host bytes to fill for each tensor and brings them to the arena.
  template <typename Fill>
  Status ToDevice(std::span<const TensorId> ids, const Fill& fill) {
    if (arena_.mapped()) {
      for (size_t i = 0; i < ids.size(); ++i)
        fill(i, PlaceOf(ids[i]).buffer->mapped() + PlaceOf(ids[i]).offset, static_cast<size_t>(Bytes(ids[i])));
      return {};
    }
    TIMBRE_TRY(auto copy, device_.Record(options_.faults));
    int64_t at = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      fill(i, staging_.mapped() + at, static_cast<size_t>(Bytes(ids[i])));
      const Place place = PlaceOf(ids[i]);
      copy->Copy(staging_, static_cast<uint64_t>(at), *place.buffer, place.offset,
                 static_cast<uint64_t>(Bytes(ids[i])));
      at += Padded(ids[i]);
    }
    TIMBRE_CHECK(copy->End());
    return device_.Run(*copy);
  }

  template <typename Take>
  Status FromDevice(std::span<const TensorId> ids, const Take& take) {
    if (arena_.mapped()) {
      for (size_t i = 0; i < ids.size(); ++i)
        take(i, PlaceOf(ids[i]).buffer->mapped() + PlaceOf(ids[i]).offset, static_cast<size_t>(Bytes(ids[i])));
      return {};
    }
    TIMBRE_TRY(auto copy, device_.Record(options_.faults));
    int64_t at = 0;
    for (const TensorId id : ids) {
      if (const Place place = PlaceOf(id); place.buffer != nullptr)
        copy->Copy(*place.buffer, place.offset, staging_, static_cast<uint64_t>(at), static_cast<uint64_t>(Bytes(id)));
      at += Padded(id);
    }
    TIMBRE_CHECK(copy->End());
    TIMBRE_CHECK(device_.Run(*copy));
    at = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      take(i, staging_.mapped() + at, static_cast<size_t>(Bytes(ids[i])));
      at += Padded(ids[i]);
    }
    return {};
  }

  // A wrong result of a Vulkan kernel is an error that leaves the kernel in wrong(); on the CPU the node's ladder
  // answers.
  Status Verify(size_t index) {
    const auto compare = [&] { return CompareWithOracle(graph_.nodes[index]); };
    return Descend(compare, [&, tries = size_t{0}](const Error& error) mutable -> Status {
      wrong_ = steps_[index].row;
      CpuLadder* const cpu = steps_[index].cpu.get();
      if (cpu == nullptr || tries++ == cpu->rungs()) return tl::unexpected<Error>(error);
      TIMBRE_CHECK(cpu->StepDown(error));
      return RunOnCpu(index);
    });
  }

  // Every activation has memory of its own then, and holds its value until the next run.
  Status CompareWithOracle(const Node& node) {
    std::map<TensorId, std::vector<float>> host;
    std::vector<TensorId> ids;
    for (const auto& list : {node.inputs, node.outputs}) {
      for (const TensorId id : list) {
        if (id != kNoTensor && !graph_.IsConstant(id) && host.emplace(id, graph_.shape(id).elements()).second)
          ids.push_back(id);
      }
    }
    TIMBRE_CHECK(FromDevice(
        ids, [&](size_t i, const std::byte* from, size_t bytes) { std::memcpy(host[ids[i]].data(), from, bytes); }));
    std::vector<const float*> in, out;
    for (const TensorId id : node.inputs) in.push_back(host.contains(id) ? host[id].data() : nullptr);
    for (const TensorId id : node.outputs) out.push_back(host[id].data());
    return VerifyNode(graph_, node, in, out, options_.precision, shared_.scalars);
  }

  Status RunOnCpu(size_t index) {
    const Node& node = graph_.nodes[index];
    std::vector<TensorId> read;
    for (const TensorId id : node.inputs) {
      if (id != kNoTensor && !graph_.IsConstant(id)) read.push_back(id);
    }
    // Host copies of what the node reads and writes, aligned as CPU kernels want it.
    std::map<TensorId, AlignedBytes> host;
    for (const auto& ids : {read, node.outputs}) {
      for (const TensorId id : ids) {
        TIMBRE_TRY(host[id], AlignedBytes::Allocate(static_cast<size_t>(Bytes(id))));
      }
    }
    TIMBRE_CHECK(FromDevice(
        read, [&](size_t i, const std::byte* from, size_t bytes) { std::memcpy(host[read[i]].data(), from, bytes); }));
    std::vector<const float*> in;
    std::vector<float*> out;
    for (const TensorId id : node.inputs)
      in.push_back(id == kNoTensor || graph_.IsConstant(id) ? nullptr : host[id].f32());
    for (const TensorId id : node.outputs) out.push_back(host[id].f32());
    TIMBRE_CHECK(steps_[index].cpu->Run(in, out));
    if (const int k = write_of_[index]; k >= 0 && !writes_[k].whole) {
      auto* const kept = reinterpret_cast<float*>(slots_[0].out.mapped() + slots_[0].write_offsets[k]);
      if (in[1] != nullptr) {
        std::memcpy(kept, in[1], static_cast<size_t>(Bytes(written_[k])));
      } else {
        graph_.tensors[written_[k]].constant.ReadF32(kept);
      }
    }
    return ToDevice(node.outputs, [&](size_t i, std::byte* to, size_t bytes) { std::memcpy(to, out[i], bytes); });
  }

  Graph graph_;
  const SessionOptions& options_;
  const std::shared_ptr<VulkanDevice> shared_device_;
  VulkanDevice& device_;
  const Chooser chooser_;
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
  std::vector<Step> steps_;
  std::vector<Segment> segments_;
  std::vector<Slot> slots_;
  std::unique_ptr<VulkanCommands> uploads_;
  std::vector<VulkanBuffer> stages_;
  std::vector<std::pair<ContentId, std::shared_ptr<const VulkanBuffer>>> pending_;  // uploads
  uint64_t pending_bytes_ = 0;
  int64_t weight_bytes_ = 0;
  PassCounts passes_;
  bool one_each_ = false;
  const KernelRow* wrong_ = nullptr;
  std::vector<double> seconds_;  // of each node
};

bool HasState(const Graph& graph) {
  return std::any_of(graph.tensors.begin(), graph.tensors.end(),
                     [](const TensorInfo& tensor) { return tensor.kind == TensorKind::kState; });
}

class VulkanSession : public Session {
 public:
  VulkanSession(Graph graph, const SessionOptions& options, std::shared_ptr<VulkanDevice> device, ThreadPool& pool,
                Stats* stats, std::string reason, std::string next_device)
      : source_(std::move(graph)),
        options_(options),
        device_(std::move(device)),
        pool_(pool),
        stats_(stats),
        steps_(stats, options.strict, options.tiles),
        chooser_(std::make_unique<Chooser>(*device_, options_)),
        reason_(std::move(reason)),
        // A run goes on from the states that the one before it leaves.
        inputs_(HasState(source_) ? 1 : std::max(1, options.in_flight)),
        under_way_(inputs_.size(), false),
        run_scalars_(inputs_.size()),
        next_device_(std::move(next_device)) {
    scalars_ = ScalarDefaults(source_);
  }

  ~VulkanSession() override { plan_.reset(); }

  Status Prepare() {
    const VulkanDeviceInfo& info = device_->info();
    if (options_.heed_doctor)
      banned_.wrong = ReadVerdict(VerdictKey(info.name, info.driver, info.driver_version)).wrong;
    TIMBRE_CHECK(RecordWrong());
    return MakePlan();
  }

  Status UseState(std::shared_ptr<SessionState> state) override {
    if (state == state_) return {};
    // Refused before anything changes.
    TIMBRE_CHECK(state->Attach(source_).map([](const auto&) {}));
    state_ = std::move(state);
    if (successor_) return successor_->UseState(state_);
    const Status used = plan_ ? plan_->UseState(*state_) : Status();
    return used ? used : AfterFailure(used.error());
  }

  Status MakePlan() {
    plan_.reset();  // what it holds, the next one needs
    std::pair<std::string, std::string_view> failed;
    const auto make = [&]() -> Status {
      if (successor_) return {};
      auto plan = std::make_unique<Plan>(source_, options_, device_, pool_, stats_);
      TIMBRE_CHECK(plan->Prepare(banned_, *state_, failed));
      plan_ = std::move(plan);
      return {};
    };
    return Descend(make, [&](const Error& error) -> Status {
      // No room for one tile, or the device went while it was prepared. A larger batch is the caller's to halve.
      if (error.code != ErrorCode::kKernelFailed) return Retire(error);
      banned_.failed.insert(failed);
      TIMBRE_CHECK(steps_.Record(failed.first, "vulkan " + std::string(failed.second), NextRung(failed.first), error));
      // Every failure is another plan: where most kernels fail, the CPU has the result before the last of them is out.
      constexpr size_t kMostFailures = 32;
      if (banned_.failed.size() < kMostFailures) return {};
      return Retire(Error{ErrorCode::kDeviceLost, "too many kernels failed, the last of them as " + error.message});
    });
  }

  Status Run(std::span<const float* const> inputs, std::span<float* const> outputs) override {
    if (successor_) {
      TIMBRE_CHECK(successor_->SetScalars(scalars_));
      return successor_->Run(inputs, outputs);
    }
    if (inputs.size() != source_.inputs.size() || outputs.size() != source_.outputs.size()) {
      return Fail(ErrorCode::kInternal, source_.name + ": run with a wrong number of inputs or outputs");
    }
    TIMBRE_CHECK(Start(0, inputs));
    return Finish(0, outputs);
  }

  int in_flight() const override { return static_cast<int>(inputs_.size()); }

  Status Start(int slot, std::span<const float* const> inputs) override {
    inputs_[slot].assign(inputs.begin(), inputs.end());
    run_scalars_[slot] = scalars_;
    TIMBRE_CHECK(PlanIfThereIsNone());
    if (successor_) return {};
    const Status status = StartOnPlan(slot);
    return status ? status : AfterFailure(status.error());
  }

  Status Finish(int slot, std::span<float* const> outputs) override {
    TIMBRE_CHECK(PlanIfThereIsNone());  // then there is one of the two, also after each failure that was answered
    const auto finish = [&]() -> Status {
      if (successor_) {
        TIMBRE_CHECK(successor_->SetScalars(run_scalars_[slot]));
        return successor_->Run(inputs_[slot], outputs);
      }
      // Where the plan is another than the run was started on, it starts again: runs are pure.
      Status status = under_way_[slot] ? Status() : StartOnPlan(slot);
      if (status) status = plan_->Finish(slot, outputs, *state_);
      under_way_[slot] = false;
      runs_ += status ? 1 : 0;
      return status;
    };
    return Descend(finish, [&](const Error& error) { return AfterFailure(error); });
  }

  const Graph& graph() const override { return successor_ ? successor_->graph() : plan_ ? plan_->graph() : source_; }
  std::string device_name() const override {
    if (successor_) return successor_->device_name();
    const VulkanDeviceInfo& info = device_->info();
    // Without half arithmetic on the device, weights alone are halves: --precision f16 says which it is.
    const std::string halves = info.float16 ? ", half precision" : ", half-precision weights";
    return info.name + " (Vulkan, " + info.driver + (options_.precision == Precision::kF16 ? halves : "") + ")";
  }
  std::string device_reason() const override { return successor_ ? successor_->device_reason() : reason_; }
  int64_t arena_bytes() const override {
    return successor_ ? successor_->arena_bytes() : plan_ ? plan_->arena_bytes() : 0;
  }
  int64_t weight_bytes() const override {
    return successor_ ? successor_->weight_bytes() : plan_ ? plan_->weight_bytes() : 0;
  }

  void EnableProfile(bool on) override {
    if (successor_) successor_->EnableProfile(on);
    if (plan_) plan_->ClearTimes();
    profile_ = on;
    runs_ = 0;
  }
  // Nodes are timed one submission each, which takes longer than running them together.
  std::vector<NodeTiming> Profile() const override {
    if (successor_) return successor_->Profile();
    std::vector<NodeTiming> rows;
    if (!plan_) return rows;
    for (size_t i = 0; i < graph().nodes.size(); ++i) {
      const Node& node = graph().nodes[i];
      int64_t bytes = 0;
      for (const auto& ids : {node.inputs, node.outputs}) {
        for (const TensorId id : ids) bytes += id == kNoTensor ? 0 : graph().shape(id).elements() * 4;
      }
      rows.push_back({node.name, std::string(NameOf(node.op)), plan_->KernelName(i), plan_->seconds(i),
                      FlopsOf(graph(), node), bytes, runs_});
    }
    return rows;
  }

  std::string Explain() const override {
    if (successor_) return successor_->Explain();
    if (!plan_) return graph().name + ": there was no memory for a plan, on " + device_name() + " or the CPU\n";
    const MemoryPlan& memory = plan_->memory();
    std::string text =
        graph().name + " on " + device_name() + ": " + reason_ + "\n" + std::to_string(graph().nodes.size()) +
        " nodes, " + std::to_string(plan_->nodes_on_cpu()) + " of them on the CPU; " + std::to_string(plan_->folded()) +
        " batch norms folded, " + std::to_string(plan_->fused()) + " nodes fused into epilogues, " +
        std::to_string(memory.in_place) + " in place\narena " + std::to_string(memory.bytes >> 20) +
        " MiB (no plan can need less than " + std::to_string(memory.lower_bound >> 20) + "), weights " +
        std::to_string(weight_bytes() >> 20) + " MiB (" + std::to_string(plan_->shared_weight_bytes() >> 20) +
        " of them shared); of the device's memory " + device_->ledger().Summary() + " are promised\n";
    if (!left_out_.empty()) text += "left out, as timbre doctor found them wrong here: " + left_out_ + "\n";
    for (size_t i = 0; i < graph().nodes.size(); ++i) {
      const Node& node = graph().nodes[i];
      text += std::to_string(i) + "  " + std::string(NameOf(node.op)) + "  " + node.name + "  " +
              graph().shape(node.outputs[0]).ToString() + "  " + plan_->KernelName(i) + "\n";
    }
    return text;
  }

 private:
  Status StartOnPlan(int slot) {
    TIMBRE_CHECK(plan_->RecordAgain(profile_ || options_.verify));
    TIMBRE_CHECK(state_->Check(plan_->writes(), {run_scalars_[slot]}));
    TIMBRE_CHECK(plan_->Start(slot, inputs_[slot], *state_, run_scalars_[slot]));
    under_way_[slot] = true;
    return {};
  }

  // A failure while another failure was answered leaves neither: the next run begins anew.
  Status PlanIfThereIsNone() { return plan_ || successor_ ? Status() : MakePlan(); }

  // A run that failed is to be run again: on a new plan without the kernel whose result was wrong, or on the CPU.
  // Memory that does not suffice for several tiles is the caller's to answer.
  Status AfterFailure(const Error& error) {
    if (successor_ || steps_.May(Rung::kTiles, error)) return tl::unexpected<Error>(error);
    under_way_.assign(under_way_.size(), false);
    if (HasState(source_)) plan_->Doubt(0);
    const KernelRow* wrong = plan_->wrong();
    if (wrong == nullptr) return Retire(error);
    banned_.wrong.insert(DeviceVerdict::IdOf(*wrong));
    TIMBRE_CHECK(steps_.Record("all of " + std::string(NameOf(wrong->op)), "vulkan " + std::string(wrong->name),
                               "the next rung of each", error));
    return MakePlan();
  }

  // What a node will run on now.
  std::string NextRung(const std::string& name) const {
    for (const Node& node : source_.nodes) {
      if (node.name != name) continue;
      const KernelRow* row = chooser_->Best({source_, node}, banned_);
      return row ? "vulkan " + std::string(row->name) : "cpu";
    }
    return "its parts";
  }

  // Says which kernels are left out that the plan would have taken.
  Status RecordWrong() {
    if (banned_.wrong.empty()) return {};
    for (const Node& node : source_.nodes) {
      const KernelRow* row = chooser_->Best({source_, node}, {});
      if (row == nullptr || !banned_.wrong.contains(DeviceVerdict::IdOf(*row)) ||
          left_out_.find(row->name) != std::string::npos)
        continue;
      left_out_ += (left_out_.empty() ? "" : ", ") + std::string(row->name);
      TIMBRE_CHECK(steps_.Record("all of " + std::string(NameOf(node.op)), "vulkan " + std::string(row->name),
                                 NextRung(node.name),
                                 Error{ErrorCode::kKernelFailed, "timbre doctor found it wrong on " +
                                                                     device_->info().name + " with this driver"}));
    }
    return {};
  }

  Status Retire(const Error& error) {
    const std::string name = device_->info().name;
    TIMBRE_CHECK(
        steps_.Take(Rung::kDevice, "device", "vulkan " + name, next_device_.substr(0, next_device_.find(',')), error));
    SessionOptions options = options_;
    options.device = next_device_;
    // Made before the plan is dropped: where that fails too, who asks what ran still gets an answer.
    if (next_device_ == "cpu") {
      TIMBRE_TRY(successor_, MakeCpuSession(source_, options, pool_, stats_, name + " was retired: " + error.message));
    } else {
      TIMBRE_TRY(successor_, MakeSession(source_, options, pool_, stats_));
    }
    if (profile_) successor_->EnableProfile(true);
    plan_.reset();
    chooser_.reset();
    state_->SetTwin(device_.get(), nullptr);
    device_.reset();
    return successor_->UseState(state_);
  }

  Graph source_;  // before the passes: to plan again, here or on the CPU
  const SessionOptions options_;
  std::shared_ptr<VulkanDevice> device_;
  ThreadPool& pool_;
  Stats* stats_;
  const Steps steps_;
  std::unique_ptr<Chooser> chooser_;  // null once the device is retired
  std::string reason_;
  Banned banned_;
  std::string left_out_;                            // kernels that doctor found wrong
  std::unique_ptr<Plan> plan_;                      // null once the device is retired, or where none could be made
  std::unique_ptr<Session> successor_;              // once the device is retired
  std::vector<std::vector<const float*>> inputs_;   // of the runs under way, a slot each
  std::vector<bool> under_way_;                     // whether the slot's run was started on plan_
  std::vector<std::vector<uint32_t>> run_scalars_;  // of the runs under way
  const std::string next_device_;                   // the successor's
  bool profile_ = false;
  int64_t runs_ = 0;
};

}  // namespace

MemoryNeeds VulkanMemoryNeeds(Graph graph, const SessionOptions& options, const VulkanDevice& device) {
  const Chooser chooser(device, options);
  RunPasses(graph, options.toggles, chooser, {});
  MemoryNeeds needs;
  needs.tile = static_cast<uint64_t>(
      PlanMemory(graph, options.toggles.static_plan, static_cast<int64_t>(device.alignment())).bytes);
  needs.tile += ScratchOf(graph, chooser, {});
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    if (graph.IsConstant(static_cast<TensorId>(id)))
      needs.weights += static_cast<uint64_t>(graph.shape(static_cast<TensorId>(id)).elements()) * 4;
  }
  return needs;
}

Result<std::unique_ptr<Session>> MakeVulkanSession(Graph graph, const SessionOptions& options,
                                                   std::shared_ptr<VulkanDevice> device, ThreadPool& pool, Stats* stats,
                                                   std::string reason, std::string next_device) {
  auto session = std::make_unique<VulkanSession>(std::move(graph), options, std::move(device), pool, stats,
                                                 std::move(reason), std::move(next_device));
  TIMBRE_CHECK(session->Prepare());
  return session;
}

}  // namespace timbre
