#include "runtime/session/vulkan_plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/paths.h"
#include "graph/passes.h"
#include "runtime/check/verdicts.h"

namespace timbre {

VulkanPlan::VulkanPlan(const Graph& source, const SessionOptions& options, const std::shared_ptr<VulkanDevice>& device,
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

Status VulkanPlan::Prepare(const BannedKernels& banned, SessionState& state,
                           std::pair<std::string, std::string_view>& failed) {
  passes_ = RunVulkanPasses(graph_, options_.toggles, chooser_, banned);
  TIMBRE_CHECK(Validate(graph_));
  plan_ =
      PlanMemory(graph_, options_.toggles.static_plan && !options_.verify, static_cast<int64_t>(device_.alignment()));
  const auto arena = static_cast<uint64_t>(plan_.bytes), scalars = graph_.scalars.size() * sizeof(uint32_t);
  TIMBRE_TRY(VulkanMemory::Promise promise,
             memory_.Reserve(arena + scalars + VulkanScratch(graph_, chooser_, banned), "the arena"));
  TIMBRE_TRY(arena_, memory_.Take(arena, "the arena", promise));
  if (scalars > 0) {
    TIMBRE_TRY(scalars_, memory_.Take(scalars, "the scalars", promise));
  }
  TIMBRE_CHECK(TakeStates(state));
  const auto cache = CacheDir();
  const VulkanDeviceInfo& info = device_.info();
  DeviceCaps place = chooser_.caps;
  place.simd_target =
      info.name + " " + info.driver + " " + info.driver_version + (options_.precision == Precision::kF16 ? " f16" : "");
  std::unique_lock bringing(device_.bringing());
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
  bringing.unlock();
  TIMBRE_CHECK(MakeSlots());
  return RecordAll(options_.verify, options_.faults, failed);
}

Status VulkanPlan::UseState(SessionState& state) {
  device_.Settle(options_.cancelled);
  std::pair<std::string, std::string_view> failed;
  segments_.clear();
  TIMBRE_CHECK(TakeStates(state));
  for (Slot& slot : slots_) TIMBRE_CHECK(RecordSlot(slot));
  return RecordAll(one_each_, nullptr, failed);
}

Status VulkanPlan::RecordAgain(bool one_each) {
  if (one_each == one_each_) return {};
  std::pair<std::string, std::string_view> failed;
  device_.Settle(options_.cancelled);
  segments_.clear();
  return RecordAll(one_each, nullptr, failed);
}

Status VulkanPlan::Start(int index, std::span<const float* const> inputs, const SessionState& state,
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
      TIMBRE_TRY(seconds, device_.RunTimed(*segment.commands, options_.cancelled));
    } else {
      TIMBRE_CHECK(SubmitTo(slot, *segment.commands));
      if (wait) TIMBRE_CHECK(WaitFor(slot));
    }
    if (options_.verify) TIMBRE_CHECK(Verify(segment.first));
    seconds_[segment.first] += seconds;
  }
  return SubmitTo(slot, *slot.download);
}

void VulkanPlan::Doubt(int index) {
  const std::vector<uint32_t>& scalars = slots_[index].scalars;
  if (scalars.size() == graph_.scalars.size()) twin_->Doubt(writes_, {scalars});  // else nothing was started yet
}

Status VulkanPlan::Finish(int index, std::span<float* const> outputs, SessionState& state) {
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

int64_t VulkanPlan::shared_weight_bytes() const {
  int64_t sum = 0;
  const auto add = [&](const std::shared_ptr<const VulkanBuffer>& buffer) {
    if (buffer && buffer.use_count() > 1) sum += static_cast<int64_t>(buffer->bytes());
  };
  for (const Step& step : steps_) add(step.packed);
  for (const auto& [id, buffer] : constants_) add(buffer);
  return sum;
}

int VulkanPlan::nodes_on_cpu() const {
  return static_cast<int>(std::count_if(steps_.begin(), steps_.end(), [](const Step& s) { return s.cpu != nullptr; }));
}

std::string VulkanPlan::KernelName(size_t node) const {
  return steps_[node].skip  ? "none"
         : steps_[node].row ? std::string(steps_[node].row->name)
                            : "cpu " + steps_[node].cpu->kernel_name();
}

Status VulkanPlan::MakeSlots() {
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

Status VulkanPlan::RecordSlot(Slot& slot) {
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

Status VulkanPlan::TakeStates(SessionState& state) {
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

void VulkanPlan::Fetch(size_t node, VulkanCommands& commands) {
  const int k = write_of_[node];
  if (k < 0 || writes_[k].whole) return;
  const auto constant = constants_.find(written_[k]);
  const Place place = constant != constants_.end() ? Place{constant->second.get(), 0} : PlaceOf(written_[k]);
  commands.Copy(*place.buffer, place.offset, slots_[0].out, static_cast<uint64_t>(slots_[0].write_offsets[k]),
                static_cast<uint64_t>(Bytes(written_[k])));
}

VulkanPlan::Place VulkanPlan::PlaceOf(TensorId id) const {
  if (const auto [state, next] = plan_.states[id]; state != kNoTensor)
    return {next ? &twin_->next(indices_[state]) : &twin_->now(indices_[state]), 0};
  if (plan_.offsets[id] < 0) return {};
  return {&arena_, static_cast<uint64_t>(plan_.offsets[id])};
}

Status VulkanPlan::SubmitTo(Slot& slot, const VulkanCommands& commands) {
  TIMBRE_TRY(const uint64_t submission, device_.Submit(commands));
  slot.submissions.push_back(submission);
  return {};
}

Status VulkanPlan::WaitFor(Slot& slot) {
  for (const uint64_t submission : slot.submissions)
    TIMBRE_CHECK(device_.Wait(submission, options_.faults, options_.cancelled));
  slot.submissions.clear();
  return {};
}

Status VulkanPlan::RecordNode(const Node& node, const Step& step, VulkanCommands& commands) {
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

BufferRange VulkanPlan::RangeOf(TensorId id) const {
  if (id == kNoTensor) return {};
  const auto constant = constants_.find(id);
  if (constant != constants_.end()) return constant->second->Range(0, static_cast<uint64_t>(Bytes(id)));
  const Place place = PlaceOf(id);
  return place.buffer == nullptr ? BufferRange{} : place.buffer->Range(place.offset, static_cast<uint64_t>(Bytes(id)));
}

Status VulkanPlan::RecordAll(bool one_each, FaultInjector* faults, std::pair<std::string, std::string_view>& failed) {
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

}  // namespace timbre
