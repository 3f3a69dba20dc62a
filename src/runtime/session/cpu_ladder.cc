#include "runtime/session/cpu_ladder.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "kernels/cpu/half_micro.h"
#include "kernels/cpu/simd.h"
#include "runtime/session/packed_key.h"
#include "runtime/session/steps.h"

namespace timbre {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

bool UsableOnCpu(const KernelRow& row, const NodeRef& ref, const DeviceCaps& caps, bool fast, bool fused_attention) {
  if (row.tier == Tier::kFast && (!fast || (ref.node.op == Op::kAttention && !fused_attention))) return false;
  return row.Supports(ref, caps);
}

DeviceCaps CpuCaps(const ThreadPool& pool, Precision precision) {
  DeviceCaps caps;
  caps.kind = DeviceKind::kCpu;
  caps.threads = pool.threads();
  caps.simd_target = SimdTarget();
  caps.vector_bytes = SimdVectorBytes();
  caps.precision = precision;
  caps.float16 = CurrentHalf() != nullptr;
  return caps;
}

CpuLadder::CpuLadder(Shared& shared, const Node& node) : shared_(&shared), node_(&node) {
  const NodeRef ref{*shared.graph, node};
  const KernelRow* last = nullptr;
  for (const KernelRow* row : KernelsFor(node.op, DeviceKind::kCpu)) {
    if (!UsableOnCpu(*row, ref, shared.caps, shared.fast_kernels, shared.fused_attention)) continue;
    if (shared.verdict.FoundWrong(*row)) {
      if (rungs_.empty() && left_out_ == nullptr) left_out_ = row;
      last = row;
      continue;
    }
    rungs_.push_back(row);
  }
  const auto preferred =
      std::find_if(rungs_.begin(), rungs_.end(), [&](const KernelRow* row) { return row->name == shared.prefer; });
  if (preferred != rungs_.end()) std::rotate(rungs_.begin(), preferred, preferred + 1);
  if (!node.composition.empty()) rungs_.push_back(nullptr);
  if (rungs_.empty() && last != nullptr) rungs_.push_back(last);  // nothing else computes this
}

std::string CpuLadder::kernel_name() const {
  if (rung_ >= rungs_.size()) return "none";
  return rungs_[rung_] ? std::string(rungs_[rung_]->name) : "composition";
}

int64_t CpuLadder::constant_bytes() const {
  const Graph& graph = *shared_->graph;
  const KernelRow* row = rung_ < rungs_.size() ? rungs_[rung_] : nullptr;
  // Kernels that read what is stored pack nothing, where it lies in memory already.
  const int64_t packed = packed_ ? static_cast<int64_t>(packed_->size()) : 0;
  int64_t bytes = packed;
  for (size_t i = 0; i < node_->inputs.size(); ++i) {
    const TensorId id = node_->inputs[i];
    if (!graph.IsConstant(id)) continue;
    const bool stored = row != nullptr && (row->packed_inputs >> i & 1);
    if (!stored) bytes += graph.bytes(id);
    if (stored && packed == 0) bytes += static_cast<int64_t>(graph.tensors[id].constant.bytes());
  }
  return bytes;
}

std::string CpuLadder::Describe() const {
  std::string text;
  for (size_t i = 0; i < rungs_.size(); ++i) {
    const std::string name = rungs_[i] ? std::string(rungs_[i]->name) : "composition";
    text += (i == 0 ? "" : " > ") + (i == rung_ ? "[" + name + "]" : name);
  }
  return text;
}

Result<const float*> CpuLadder::ConstantF32(TensorId id) {
  const auto found = shared_->constants.find(id);
  if (found != shared_->constants.end()) return found->second->f32();
  const HostTensor& value = shared_->graph->tensors[id].constant;
  // Faults fall at counted places, wherever a checkpoint's weights happen to lie.
  const float* here = shared_->faults ? nullptr : value.F32InPlace(kAlignment);
  if (here != nullptr) return here;
  if (shared_->faults) TIMBRE_CHECK(shared_->faults->Pass(FaultPoint::kAllocation, shared_->graph->tensors[id].name));
  TIMBRE_TRY(AlignedBytes expanded, AlignedBytes::Allocate(static_cast<size_t>(value.shape.elements()) * 4));
  ReadForKernels(value, expanded.f32());
  value.ReleasePages();
  TIMBRE_CHECK(value.CheckFile());
  return shared_->constants.emplace(id, WeightStore::Get().Share(std::move(expanded))).first->second->f32();
}

void CpuLadder::PackAhead() {
  const NodeRef ref{*shared_->graph, *node_};
  const KernelRow* row = rung_ < rungs_.size() ? rungs_[rung_] : nullptr;
  if (row == nullptr || row->pack == nullptr) return;
  try {
    packed_ahead_ = row->pack(ref, shared_->caps).map([](AlignedBytes&& packed) {
      return WeightStore::Get().Share(std::move(packed));
    });
  } catch (const std::bad_alloc&) {
    packed_ahead_ = Fail(ErrorCode::kOutOfMemory, "there was no memory for reordering weights");
  }
  // What is packed is not read again unless the node steps down.
  for (size_t i = 0; i < node_->inputs.size(); ++i) {
    if (!ref.constant(static_cast<int>(i)) || !(row->packed_inputs >> i & 1)) continue;
    ref.value(static_cast<int>(i)).ReleasePages();
    const Status file = ref.value(static_cast<int>(i)).CheckFile();
    if (!file) packed_ahead_ = tl::unexpected<Error>(file.error());
  }
}

std::string CpuLadder::PackedKey() const {
  const KernelRow* row = rung_ < rungs_.size() ? rungs_[rung_] : nullptr;
  return row == nullptr ? "" : timbre::PackedKey(*row, {*shared_->graph, *node_});
}

Status CpuLadder::PrepareRung() {
  const NodeRef ref{*shared_->graph, *node_};
  if (rung_ >= rungs_.size()) return Fail(ErrorCode::kInternal, node_->name + ": no kernel can run this node");
  const KernelRow* row = rungs_[rung_];
  if (row == nullptr) {
    parts_.clear();
    for (const Node& part : node_->composition) {
      parts_.push_back(std::make_unique<CpuLadder>(*shared_, part));
      TIMBRE_CHECK(parts_.back()->Prepare());
      for (const TensorId id : part.outputs) {
        if (id == node_->outputs[0]) continue;
        TIMBRE_TRY(between_[id], AlignedBytes::Allocate(static_cast<size_t>(shared_->graph->shape(id).elements()) * 4));
      }
    }
    return {};
  }
  if (row->pack != nullptr) {
    if (shared_->faults) TIMBRE_CHECK(shared_->faults->Pass(FaultPoint::kPack, node_->name));
    if (!packed_ahead_) PackAhead();
    auto packed = *std::exchange(packed_ahead_, std::nullopt);
    TIMBRE_TRY(packed_, std::move(packed));
  }
  for (size_t i = 0; i < node_->inputs.size(); ++i) {
    if (ref.constant(static_cast<int>(i)) && !(row->packed_inputs >> i & 1))
      TIMBRE_CHECK(ConstantF32(node_->inputs[i]).map([](auto) {}));
  }
  if (row->scratch_bytes != nullptr) {
    const size_t bytes = row->scratch_bytes(ref, shared_->caps);
    if (bytes > shared_->scratch.size()) {
      if (shared_->faults) TIMBRE_CHECK(shared_->faults->Pass(FaultPoint::kAllocation, node_->name));
      shared_->scratch = AlignedBytes();
      TIMBRE_TRY(shared_->scratch, AlignedBytes::Allocate(bytes));
    }
  }
  return {};
}

Status CpuLadder::StepDown(const Error& error) {
  const Steps steps(shared_->stats, shared_->strict);
  if (!steps.May(Rung::kKernel, error) || rung_ >= rungs_.size()) return tl::unexpected<Error>(error);
  const std::string from = "cpu " + kernel_name();
  std::string to = OnceMore(from);
  if (rung_ + 1 < rungs_.size()) {
    ++rung_;
    prepared_ = false;
    packed_.reset();
    to = "cpu " + kernel_name();
  } else if (again_ || rungs_[rung_] == nullptr) {  // the parts of a composition have had their second try
    return tl::unexpected<Error>(error);
  } else {
    again_ = true;
  }
  return steps.Record(node_->name, from, to, error);
}

Status CpuLadder::Prepare() {
  if (prepared_) return {};
  TIMBRE_CHECK(Descend([&] { return PrepareRung(); }, [&](const Error& error) { return StepDown(error); }));
  prepared_ = true;
  again_ = false;
  return {};
}

void CpuLadder::Choose(Tuner& tuner, std::span<const float* const> in, std::span<float* const> out) {
  size_t fast = 0;
  while (fast < rungs_.size() && rungs_[fast] != nullptr && rungs_[fast]->tier == Tier::kFast) ++fast;
  const auto time = [&](size_t candidate) -> Result<double> {
    if (rung_ != candidate || !prepared_) {
      rung_ = candidate;
      packed_.reset();
      TIMBRE_CHECK(PrepareRung());
      prepared_ = true;
    }
    const auto start = Clock::now();
    TIMBRE_CHECK(RunRung(in, out));
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const size_t winner = tuner.Choose({*shared_->graph, *node_}, std::span(rungs_.data(), fast), time);
  std::rotate(rungs_.begin(), rungs_.begin() + static_cast<ptrdiff_t>(winner),
              rungs_.begin() + static_cast<ptrdiff_t>(winner) + (fast > 0));
  rung_ = 0;
  prepared_ = false;
  packed_.reset();
}

Status CpuLadder::RunRung(std::span<const float* const> in, std::span<float* const> out) {
  const KernelRow* row = rungs_[rung_];
  if (row == nullptr) {
    auto locate = [&](TensorId id) -> const float* {
      for (size_t i = 0; i < node_->inputs.size(); ++i) {
        if (node_->inputs[i] == id) return in[i];
      }
      const auto it = between_.find(id);
      return it == between_.end() ? nullptr : it->second.f32();
    };
    for (const auto& part : parts_) {
      std::vector<const float*> part_in;
      for (const TensorId id : part->node().inputs) part_in.push_back(id == kNoTensor ? nullptr : locate(id));
      const TensorId made = part->node().outputs[0];
      float* const part_out = made == node_->outputs[0] ? out[0] : between_.at(made).f32();
      TIMBRE_CHECK(part->Run(part_in, {&part_out, 1}));
    }
    return {};
  }
  if (shared_->faults) TIMBRE_CHECK(shared_->faults->Pass(FaultPoint::kKernel, node_->name));
  const float* pointers[16];
  std::vector<const float*> many;
  const size_t count = node_->inputs.size();
  const float** inputs = pointers;
  if (count > 16) {  // concatenations alone are this wide
    many.resize(count);
    inputs = many.data();
  }
  for (size_t i = 0; i < count; ++i) {
    inputs[i] = in[i];
    if (in[i] == nullptr && node_->inputs[i] != kNoTensor && !(row->packed_inputs >> i & 1)) {
      TIMBRE_TRY(inputs[i], ConstantF32(node_->inputs[i]));
    }
  }
  TIMBRE_CHECK(std::get<CpuRun>(row->run)(CpuCall{{*shared_->graph, *node_},
                                                  {inputs, count},
                                                  out,
                                                  packed_.get(),
                                                  shared_->scratch.f32(),
                                                  *shared_->pool,
                                                  shared_->scalars}));
  if (shared_->faults && !shared_->faults->Pass(FaultPoint::kResult, node_->name)) {
    // About half of the numbers, here and there: what is done to all alike, or to all of one channel, a norm behind
    // this node would undo.
    const int64_t elements = shared_->graph->shape(node_->outputs[0]).elements();
    for (int64_t i = 0; i < elements; ++i) {
      if (static_cast<uint32_t>(i + 1) * 2654435761u >> 31) out[0][i] = out[0][i] * 2 + 1;
    }
  }
  return {};
}

Status CpuLadder::Run(std::span<const float* const> in, std::span<float* const> out) {
  TIMBRE_CHECK(Prepare());
  const auto run = [&] { return RunRung(in, out); };
  const auto lower = [&](const Error& error) -> Status {
    TIMBRE_CHECK(StepDown(error));
    return Prepare();
  };
  TIMBRE_CHECK(Descend(run, lower));
  again_ = false;
  return {};
}

}  // namespace timbre
