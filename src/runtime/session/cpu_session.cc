#include "runtime/session/cpu_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/paths.h"
#include "graph/passes.h"
#include "kernels/cpu/matrix_unit.h"
#include "runtime/check/verify.h"
#include "runtime/device/ledger.h"
#include "runtime/session/cpu_ladder.h"
#include "runtime/session/cpu_needs.h"
#include "runtime/session/steps.h"

namespace timbre {
namespace {

using Clock = std::chrono::steady_clock;

class CpuSession : public Session {
 public:
  CpuSession(Graph graph, const SessionOptions& options, ThreadPool& pool, Stats* stats, std::string reason)
      : graph_(std::move(graph)), options_(options), pool_(pool), reason_(std::move(reason)) {
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
    scalars_ = ScalarDefaults(graph_);
    shared_.scalars = {scalars_};
    shared_.prefer = options.prefer;
    shared_.caps.any_size = !options.prefer.empty();
  }

  Status Prepare() {
    flops_before_ = FlopsOf(graph_);
    RemoveDeadNodes(graph_);
    if (options_.toggles.fold) folded_ = FoldBatchNorm(graph_);
    if (options_.toggles.fusion) {
      fused_ = FuseEpilogues(graph_, [&](const Graph& g, const Node& node) {
        for (const KernelRow* row : KernelsFor(node.op, DeviceKind::kCpu)) {
          if (UsableOnCpu(*row, {g, node}, shared_.caps, options_.toggles.fast_kernels, options_.toggles.attention) &&
              !shared_.verdict.FoundWrong(*row))
            return true;
        }
        return false;
      });
    }
    TIMBRE_CHECK(Validate(graph_));
    const bool reuse = options_.toggles.static_plan && !options_.verify;
    plan_ = PlanCpuArena(graph_, reuse);
    const Steps steps(shared_.stats, options_.strict, options_.tiles);
    TIMBRE_CHECK(Descend([&] { return AllocateArena(); },
                         [&, again = false](const Error& error) mutable -> Status {
                           // Fewer tiles at once are the caller's to try; for one there is nothing smaller.
                           if (std::exchange(again, true)) return tl::unexpected<Error>(error);
                           const std::string arena = "cpu arena of " + std::to_string(plan_.bytes >> 20) + " MiB";
                           return steps.Take(Rung::kPlace, "arena", arena, OnceMore(arena), error);
                         }));
    // Addresses never change: they are worked out once, so that a run allocates nothing.
    for (const Node& node : graph_.nodes) {
      Binding binding;
      for (const TensorId id : node.inputs) binding.in.push_back(Address(id));
      for (const TensorId id : node.outputs) binding.out.push_back(Address(id));
      bindings_.push_back(std::move(binding));
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (InState(node.inputs[k])) bound_states_.push_back({node.inputs[k], &bindings_[i].in[k], nullptr});
      }
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        if (InState(node.outputs[k])) bound_states_.push_back({node.outputs[k], nullptr, &bindings_[i].out[k]});
      }
    }
    TIMBRE_CHECK(UseState(state_));
    const auto cache = CacheDir();
    Tuner tuner(options_.faults ? Tune::kOff : options_.tune, shared_.caps, cache ? *cache + "/tuning.json" : "");
    if (tuner.on())
      std::memset(arena_.data(), 0, arena_.size());  // kernels are timed on numbers, not on what lay there
    ladders_.reserve(graph_.nodes.size());
    for (const Node& node : graph_.nodes) ladders_.emplace_back(shared_, node);
    // Faults fall at counted places, and the tuner packs what it tries.
    if (!options_.faults && !tuner.on()) PackAhead();
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (plan_.idle[i]) continue;
      TIMBRE_CHECK(RecordWrong(ladders_[i]));
      if (tuner.on()) ladders_[i].Choose(tuner, bindings_[i].in, bindings_[i].out);
      TIMBRE_CHECK(ladders_[i].Prepare());
    }
    tuner.Save();
    if (tuner.on()) state_->Clear();
    seconds_.assign(graph_.nodes.size(), 0);
    return {};
  }

  Status UseState(std::shared_ptr<SessionState> state) override {
    // One that was used before is taken up again without asking for memory: a real-time thread may do so.
    auto known = std::find_if(attached_.begin(), attached_.end(),
                              [&](const auto& attached) { return attached->state.lock() == state; });
    if (known == attached_.end()) {
      std::erase_if(attached_, [](const auto& attached) { return attached->state.expired(); });
      TIMBRE_TRY(std::vector<int> indices, state->Attach(graph_));
      std::vector<SessionState::Write> writes = SessionState::WritesOf(graph_, indices);
      attached_.push_back(std::make_unique<Attached>(state, std::move(indices), std::move(writes)));
      known = attached_.end() - 1;
    }
    using_ = known->get();
    state_ = std::move(state);
    BindStates();
    return {};
  }

  Status Run(std::span<const float* const> inputs, std::span<float* const> outputs) override {
    if (inputs.size() != graph_.inputs.size() || outputs.size() != graph_.outputs.size()) {
      return Fail(ErrorCode::kInternal, graph_.name + ": run with a wrong number of inputs or outputs");
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::memcpy(Address(graph_.inputs[i].tensor), inputs[i], BytesOf(graph_.inputs[i].tensor));
    }
    TIMBRE_CHECK(state_->Begin(using_->writes, {scalars_}));
    BindStates();
    for (const TensorId id : plan_.loaded) std::memcpy(Address(id), state_->Now(using_->indices[id]), BytesOf(id));
    if (Status ran = RunNodes(); !ran) {
      state_->Abandon();
      return ran;
    }
    ++runs_;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const TensorId id = graph_.outputs[i].tensor;
      if (graph_.IsConstant(id)) {
        ReadForKernels(graph_.tensors[id].constant, outputs[i]);
      } else {
        std::memcpy(outputs[i], Address(id), BytesOf(id));
      }
    }
    state_->Commit();
    return {};
  }

  const Graph& graph() const override { return graph_; }
  std::string device_name() const override {
    const int threads = pool_.threads();
    std::string name =
        "CPU (" + shared_.caps.simd_target + ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
    switch (shared_.caps.precision) {
      case Precision::kF32: break;
      case Precision::kF16: name += shared_.caps.float16 ? ", half precision" : ", half-precision weights"; break;
      case Precision::kBf16x3:
      case Precision::kBf16: {
        const std::string precision(NameOf(shared_.caps.precision));
        name += ", " + (CurrentMatrixUnit().faster ? precision : "float32 in place of " + precision);
      }
    }
    return name + ")";
  }
  std::string device_reason() const override { return reason_; }
  int64_t arena_bytes() const override { return plan_.bytes; }
  int64_t weight_bytes() const override {
    int64_t sum = 0;
    for (const auto& [bytes, held] : Weights()) sum += static_cast<int64_t>(held.bytes);
    return sum;
  }

  void EnableProfile(bool on) override {
    profile_ = on;
    runs_ = 0;
    seconds_.assign(graph_.nodes.size(), 0);
  }

  std::vector<NodeTiming> Profile() const override {
    std::vector<NodeTiming> timings;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      int64_t bytes = 0;
      for (const TensorId id : node.outputs) bytes += plan_.idle[i] ? 0 : static_cast<int64_t>(BytesOf(id));
      // A slice reads what it writes, of whatever its input holds; a state is written with what it is given.
      if (node.op == Op::kSlice) bytes *= 2;
      if (node.op == Op::kStateWrite) bytes = plan_.idle[i] ? 0 : 2 * static_cast<int64_t>(BytesOf(node.inputs[1]));
      // Of a table only the rows are read that come out.
      if (node.op == Op::kEmbedding && !plan_.idle[i])
        bytes = 2 * bytes + static_cast<int64_t>(BytesOf(node.inputs[0]));
      const bool moves = node.op == Op::kSlice || node.op == Op::kStateWrite || node.op == Op::kEmbedding;
      if (!moves && !plan_.idle[i]) {
        bytes += ladders_[i].constant_bytes();
        for (const TensorId id : node.inputs) {
          if (id != kNoTensor && !graph_.IsConstant(id)) bytes += static_cast<int64_t>(BytesOf(id));
        }
      }
      timings.push_back({node.name, std::string(NameOf(node.op)), ladders_[i].kernel_name(), seconds_[i],
                         FlopsOf(graph_, node), bytes, runs_});
    }
    return timings;
  }

  std::string Explain() const override {
    std::string text = graph_.name + " on " + device_name() + ": " + reason_ + "\n";
    const int64_t shared = shared_weight_bytes();
    text += std::to_string(graph_.nodes.size()) + " nodes; " + std::to_string(folded_) + " batch norms folded, " +
            std::to_string(fused_) + " nodes fused into epilogues, " + std::to_string(plan_.in_place) + " in place\n";
    text += "arena " + std::to_string(plan_.bytes >> 20) + " MiB (no plan can need less than " +
            std::to_string(plan_.lower_bound >> 20) + "), weights " + std::to_string(weight_bytes() >> 20) + " MiB" +
            (shared > 0 ? " (" + std::to_string(shared >> 20) + " of them shared), " : ", ") +
            (state_->bytes() > 0 ? "state " + std::to_string(state_->bytes() >> 20) + " MiB, " : "") +
            std::to_string(static_cast<int64_t>(flops_before_ / 1e6)) + " MFLOP; of the CPU's memory " +
            CpuLedger().Summary() + " are promised\n";
    if (!left_out_.empty()) {
      text += "left out, as timbre doctor found them wrong here:";
      for (const std::string_view name : left_out_) text += " " + std::string(name);
      text += "\n";
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      text += std::to_string(i) + "  " + std::string(NameOf(node.op));
      for (const EpilogueStep& step : node.epilogue) text += " + " + NameOfStep(step);
      text += "  " + node.name + "  " + graph_.shape(node.outputs[0]).ToString() + "  " + ladders_[i].Describe() + "\n";
    }
    return text;
  }

 private:
  // Weights that several nodes read alike are packed for the first of them.
  void PackAhead() {
    std::vector<size_t> packing;
    std::vector<std::pair<size_t, size_t>> sharing;
    std::map<std::string, size_t> first;
    for (size_t i = 0; i < ladders_.size(); ++i) {
      const std::string key = ladders_[i].PackedKey();
      const auto [found, fresh] = first.emplace(key, i);
      if (key.empty() || fresh) {
        packing.push_back(i);
      } else {
        sharing.emplace_back(i, found->second);
      }
    }
    pool_.ForEach(static_cast<int64_t>(packing.size()), [&](int64_t i, int) { ladders_[packing[i]].PackAhead(); });
    for (const auto& [ladder, from] : sharing) ladders_[ladder].PackAs(ladders_[from]);
  }

  struct Binding {
    std::vector<const float*> in;
    std::vector<float*> out;
  };
  // How the graph's states lie in one that this session was given.
  struct Attached {
    std::weak_ptr<SessionState> state;
    std::vector<int> indices;  // of each tensor that is a state
    std::vector<SessionState::Write> writes;
    Attached(std::weak_ptr<SessionState> of, std::vector<int> where, std::vector<SessionState::Write> what)
        : state(std::move(of)), indices(std::move(where)), writes(std::move(what)) {}
  };
  // A place in a binding that follows a state.
  struct BoundState {
    TensorId tensor;
    const float** in;
    float** out;
  };

  Status AllocateArena() {
    reserved_ = Reservation();
    TIMBRE_TRY(reserved_, CpuLedger().Reserve(static_cast<uint64_t>(plan_.bytes), options_.faults));
    if (options_.faults) TIMBRE_CHECK(options_.faults->Pass(FaultPoint::kAllocation, "arena"));
    TIMBRE_TRY(arena_, AlignedBytes::Allocate(static_cast<size_t>(plan_.bytes)));
    return {};
  }

  Status RunNodes() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Binding& binding = bindings_[i];
      if (plan_.idle[i]) continue;
      if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed))
        return Fail(ErrorCode::kCancelled, "cancelled");
      if (profile_) {
        const auto start = Clock::now();
        TIMBRE_CHECK(ladders_[i].Run(binding.in, binding.out));
        seconds_[i] += std::chrono::duration<double>(Clock::now() - start).count();
      } else {
        TIMBRE_CHECK(ladders_[i].Run(binding.in, binding.out));
      }
      if (options_.verify) TIMBRE_CHECK(Verify(i));
    }
    return {};
  }

  bool InState(TensorId id) const { return id != kNoTensor && plan_.states[id].state != kNoTensor; }

  // States that are replaced whole lie now here, now there.
  void BindStates() {
    for (const BoundState& bound : bound_states_) {
      float* const address = Address(bound.tensor);
      if (bound.in != nullptr) *bound.in = address;
      if (bound.out != nullptr) *bound.out = address;
    }
  }

  // What is packed or expanded, each once, however many nodes read it.
  struct Held {
    size_t bytes = 0;
    int64_t here = 0, all = 0;  // holders in this session, and anywhere
  };
  std::map<const AlignedBytes*, Held> Weights() const {
    std::map<const AlignedBytes*, Held> weights;
    const auto add = [&](const std::shared_ptr<const AlignedBytes>& bytes) {
      Held& held = weights[bytes.get()];
      held.bytes = bytes->size();
      held.here += 1;
      held.all = bytes.use_count();
    };
    for (const CpuLadder& ladder : ladders_) {
      if (ladder.packed()) add(ladder.packed());
    }
    for (const auto& [id, bytes] : shared_.constants) add(bytes);
    return weights;
  }
  // Of the weights, what others hold as well.
  int64_t shared_weight_bytes() const {
    int64_t sum = 0;
    for (const auto& [bytes, held] : Weights()) sum += held.all > held.here ? static_cast<int64_t>(held.bytes) : 0;
    return sum;
  }

  // Says which kernel is left out that the node would have taken.
  Status RecordWrong(const CpuLadder& ladder) {
    const KernelRow* row = ladder.left_out();
    if (row == nullptr || !left_out_.insert(row->name).second) return {};
    const bool only = ladder.kernel_name() == row->name;
    return Steps(shared_.stats, options_.strict)
        .Record("all of " + std::string(NameOf(ladder.node().op)), "cpu " + std::string(row->name),
                "cpu " + ladder.kernel_name() + (only ? " all the same, as there is no other" : ""),
                Error{ErrorCode::kKernelFailed,
                      "timbre doctor found it wrong on this processor (" + shared_.caps.simd_target + ")"});
  }

  // The node's result against its oracle; a kernel that was wrong is replaced like one that failed.
  Status Verify(size_t i) {
    const Binding& binding = bindings_[i];
    const auto verify = [&] {
      return VerifyNode(graph_, graph_.nodes[i], binding.in, {binding.out.begin(), binding.out.end()},
                        options_.precision, {scalars_});
    };
    return Descend(verify, [&, tries = size_t{0}](const Error& error) mutable -> Status {
      if (tries++ == ladders_[i].rungs()) return tl::unexpected<Error>(error);
      TIMBRE_CHECK(ladders_[i].StepDown(error));
      return ladders_[i].Run(binding.in, binding.out);
    });
  }

  static std::string NameOfStep(const EpilogueStep& step) {
    switch (step.kind) {
      case EpilogueStep::Kind::kUnary: return std::string(NameOf(step.unary.fn));
      case EpilogueStep::Kind::kGlu: return "glu";
      case EpilogueStep::Kind::kMulConst: return "scale";
      case EpilogueStep::Kind::kAdd: return "add";
      case EpilogueStep::Kind::kPRelu: return "prelu";
      case EpilogueStep::Kind::kNorm: return "norm";
    }
    return "";
  }

  float* Address(TensorId id) {
    if (InState(id)) {
      const auto [state, next] = plan_.states[id];
      if (using_ == nullptr) return nullptr;
      const int index = using_->indices[state];
      return reinterpret_cast<float*>(next ? state_->Next(index) : state_->Now(index));
    }
    if (id == kNoTensor || plan_.offsets[id] < 0) return nullptr;
    return reinterpret_cast<float*>(arena_.data() + plan_.offsets[id]);
  }
  size_t BytesOf(TensorId id) const { return static_cast<size_t>(graph_.bytes(id)); }

  Graph graph_;
  SessionOptions options_;
  ThreadPool& pool_;
  std::string reason_;
  CpuLadder::Shared shared_;
  MemoryPlan plan_;
  Reservation reserved_;
  AlignedBytes arena_;
  std::vector<CpuLadder> ladders_;
  std::vector<Binding> bindings_;
  std::vector<BoundState> bound_states_;
  std::vector<std::unique_ptr<Attached>> attached_;
  const Attached* using_ = nullptr;      // what belongs to state_
  std::set<std::string_view> left_out_;  // kernels that doctor found wrong
  std::vector<double> seconds_;
  bool profile_ = false;
  int64_t runs_ = 0;
  int folded_ = 0, fused_ = 0;
  double flops_before_ = 0;
};

}  // namespace

Result<std::unique_ptr<Session>> MakeCpuSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                                Stats* stats, std::string reason) {
  auto session = std::make_unique<CpuSession>(std::move(graph), options, pool, stats, std::move(reason));
  TIMBRE_CHECK(session->Prepare());
  return session;
}

}  // namespace timbre
