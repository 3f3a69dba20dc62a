#include "runtime/session/vulkan_states.h"

#include <algorithm>
#include <cstring>

namespace timbre {

using Placement = VulkanDevice::Placement;

Result<std::shared_ptr<VulkanStates>> VulkanStates::Of(SessionState& state, const std::shared_ptr<VulkanDevice>& device,
                                                       const VulkanMemory& memory) {
  auto twin = std::static_pointer_cast<VulkanStates>(state.TwinOn(device.get()));
  if (twin == nullptr) twin = std::make_shared<VulkanStates>(device);
  for (int i = 0; i < state.count(); ++i) {
    const auto bytes = static_cast<uint64_t>(state.bytes(i));
    if (static_cast<size_t>(i) == twin->now_.size()) {
      TIMBRE_TRY(VulkanBuffer buffer, memory.Allocate(bytes, "the states"));
      twin->now_.push_back(std::move(buffer));
      twin->next_.emplace_back();
    }
    if (state.replaced(i) && twin->next_[i].bytes() == 0) {
      TIMBRE_TRY(twin->next_[i], memory.Allocate(bytes, "the states"));
    }
  }
  state.SetTwin(device.get(), twin);
  return twin;
}

Status VulkanStates::Copy(std::span<const std::byte> from, const VulkanBuffer& to, int64_t offset,
                          FaultInjector* faults) {
  if (to.mapped() != nullptr) {
    std::memcpy(to.mapped() + offset, from.data(), from.size());
    return {};
  }
  constexpr size_t kMost = size_t{64} << 20;
  TIMBRE_TRY(VulkanBuffer stage, device_->Allocate(std::min(from.size(), kMost), Placement::kHost, faults));
  for (size_t at = 0; at < from.size(); at += kMost) {
    const size_t bytes = std::min(kMost, from.size() - at);
    std::memcpy(stage.mapped(), from.data() + at, bytes);
    TIMBRE_TRY(const auto copy, device_->Record(faults));
    copy->Copy(stage, 0, to, static_cast<uint64_t>(offset) + at, bytes);
    TIMBRE_CHECK(copy->End());
    TIMBRE_CHECK(device_->Run(*copy));
  }
  return {};
}

Status VulkanStates::BringUp(const SessionState& state, FaultInjector* faults) {
  const auto known = static_cast<int>(stale.size());
  for (int i = known; i < static_cast<int>(now_.size()); ++i) stale.push_back(state.all(i));
  for (int i = 0; i < static_cast<int>(now_.size()); ++i) {
    if (stale[i].to == 0) continue;
    for (const auto& [offset, bytes] : state.RunsOf(i, stale[i])) {
      TIMBRE_CHECK(Copy(bytes, now_[i], offset, faults));
      brought_ += static_cast<int64_t>(bytes.size());
    }
    stale[i] = {};
  }
  return {};
}

void VulkanStates::Doubt(std::span<const SessionState::Write> writes, const Scalars& scalars) {
  for (const SessionState::Write& write : writes) {
    if (static_cast<size_t>(write.state) >= stale.size()) continue;
    const int64_t at = write.whole ? 0 : scalars.I32(write.at), end = write.whole ? 1 : at + write.places;
    Range& range = stale[write.state];
    range = range.to == 0 ? Range{at, end} : Range{std::min(range.from, at), std::max(range.to, end)};
  }
}

}  // namespace timbre
