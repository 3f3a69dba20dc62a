#include "runtime/session/vulkan_session.h"

#include <algorithm>

#include "runtime/check/verdicts.h"
#include "runtime/session/cpu_session.h"
#include "runtime/session/steps.h"
#include "runtime/session/vulkan_plan.h"

namespace timbre {
namespace {

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
        chooser_(std::make_unique<VulkanChooser>(*device_, options_)),
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
      auto plan = std::make_unique<VulkanPlan>(source_, options_, device_, pool_, stats_);
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
        for (const TensorId id : ids) {
          if (id == kNoTensor) continue;
          // Weights that lie in blocks or halves are read so (stored.cc), or were widened when they were uploaded: what
          // they are stored as is the least.
          bytes += graph().IsConstant(id) ? static_cast<int64_t>(graph().tensors[id].constant.bytes())
                                          : graph().shape(id).elements() * 4;
        }
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
  std::unique_ptr<VulkanChooser> chooser_;  // null once the device is retired
  std::string reason_;
  BannedKernels banned_;
  std::string left_out_;                            // kernels that doctor found wrong
  std::unique_ptr<VulkanPlan> plan_;                // null once the device is retired, or where none could be made
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
  const VulkanChooser chooser(device, options);
  RunVulkanPasses(graph, options.toggles, chooser, {});
  MemoryNeeds needs;
  needs.tile = static_cast<uint64_t>(
      PlanMemory(graph, options.toggles.static_plan, static_cast<int64_t>(device.alignment())).bytes);
  needs.tile += VulkanScratch(graph, chooser, {});
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
