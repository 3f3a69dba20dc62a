#include "runtime/session/vulkan_memory.h"

#include <utility>

#include "runtime/session/steps.h"

namespace timbre {

using Placement = VulkanDevice::Placement;

Status VulkanMemory::Spill(const std::string& what, const Error& error) const {
  return Steps(stats_, options_->strict, options_->tiles)
      .Take(Rung::kPlace, what, "vulkan device memory", "vulkan host memory", error);
}

Result<VulkanMemory::Promise> VulkanMemory::Reserve(uint64_t bytes, const std::string& what) const {
  auto reserved = device_->ledger().Reserve(bytes, options_->faults);
  if (reserved) return Promise{*std::move(reserved), false};
  TIMBRE_CHECK(Spill(what, reserved.error()));
  return Promise{{}, true};
}

Result<VulkanBuffer> VulkanMemory::Take(uint64_t bytes, const std::string& what, Promise& promise) const {
  bool spilled = promise.spilled;
  const auto allocate = [&] {
    return spilled ? device_->Allocate(bytes, Placement::kSpilled, options_->faults)
                   : device_->Allocate(bytes, Placement::kDevice, options_->faults, promise.reserved.Part(bytes));
  };
  return Descend(allocate, [&](const Error& error) -> Status {
    if (std::exchange(spilled, true)) return tl::unexpected<Error>(error);
    return Spill(what, error);
  });
}

Result<VulkanBuffer> VulkanMemory::Allocate(uint64_t bytes, const std::string& what) const {
  Promise none;
  return Take(bytes, what, none);
}

Result<VulkanBuffer> VulkanMemory::AllocateOnHost(uint64_t bytes) const {
  return device_->Allocate(bytes, Placement::kHost, options_->faults);
}

}  // namespace timbre
