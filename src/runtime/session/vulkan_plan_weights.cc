#include <cstring>

#include "runtime/session/packed_key.h"
#include "runtime/session/vulkan_plan.h"

namespace timbre {

Result<std::shared_ptr<const VulkanBuffer>> VulkanPlan::MakeFilled(const void* data, uint64_t bytes) {
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

Status VulkanPlan::FlushUploads() {
  if (!uploads_) return {};
  TIMBRE_CHECK(uploads_->End());
  Status status = device_.Run(*uploads_, options_.cancelled);
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

Status VulkanPlan::Upload(const Node& node, Step& step) {
  const NodeRef ref{graph_, node};
  if (step.row->pack) {
    if (options_.faults) TIMBRE_CHECK(options_.faults->Pass(FaultPoint::kPack, node.name));
    const std::string key = PackedKey(*step.row, ref);
    const auto alike = packed_.find(key);
    if (alike != packed_.end()) {
      step.packed = alike->second;
    } else {
      TIMBRE_TRY(const AlignedBytes packed, step.row->pack(ref, chooser_.caps));
      TIMBRE_TRY(step.packed, MakeFilled(packed.data(), packed.size()));
      if (!key.empty()) packed_.emplace(key, step.packed);
    }
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
    if (!ref.constant(static_cast<int>(i))) continue;
    ref.value(static_cast<int>(i)).ReleasePages();
    TIMBRE_CHECK(ref.value(static_cast<int>(i)).CheckFile());
  }
  return {};
}

Result<const KernelRow*> VulkanPlan::Fastest(Tuner& tuner, const Node& node, const KernelRow* usual,
                                             const BannedKernels& banned) {
  const NodeRef ref{graph_, node};
  VulkanChooser eager = chooser_;
  eager.caps.any_size = true;
  std::vector<const KernelRow*> candidates{usual};
  for (const KernelRow* row : KernelsFor(node.op, DeviceKind::kVulkan)) {
    if (row != usual && row->tier == Tier::kFast && eager.Usable(*row, ref, banned)) candidates.push_back(row);
  }
  const auto time = [&](size_t candidate) -> Result<double> {
    const int64_t weights = weight_bytes_;
    const auto packed = packed_;  // what is only tried is not kept
    Step step{candidates[candidate], {}, nullptr};
    TIMBRE_CHECK(Upload(node, step));
    TIMBRE_CHECK(FlushUploads());
    weight_bytes_ = weights;
    packed_ = packed;
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
    return device_.RunTimed(*commands, options_.cancelled);
  };
  return candidates[tuner.Choose(ref, candidates, time)];
}

}  // namespace timbre
