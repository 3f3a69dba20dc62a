#include "runtime/session/vulkan_memory.h"

#include <utility>

#include "runtime/session/steps.h"

namespace timbre {

using Placement = VulkanDevice::Placement;

Status VulkanMemory::Spill(const std::string& what, const Error& error) const {
  if (!MayStepDown(Rung::kPlace, error.code, options_->tiles)) return tl::unexpected<Error>(error);
  return TakeStep(stats_, options_->strict, what, "vulkan device memory", "vulkan host memory", error);
}

Result<VulkanMemory::Promise> VulkanMemory::Reserve(uint64_t bytes, const std::string& what) const {
  auto reserved = device_->ledger().Reserve(bytes, options_->faults);
  if (reserved) return Promise{*std::move(reserved), false};
  TIMBRE_CHECK(Spill(what, reserved.error()));
  return Promise{{}, true};
}

Result<VulkanBuffer> VulkanMemory::Take(uint64_t bytes, const std::string& what, Promise& promise) const {
  if (!promise.spilled) {
    auto buffer = device_->Allocate(bytes, Placement::kDevice, options_->faults, promise.reserved.Part(bytes));
    if (buffer) return buffer;
    TIMBRE_CHECK(Spill(what, buffer.error()));
  }
  return device_->Allocate(bytes, Placement::kSpilled, options_->faults);
}

Result<VulkanBuffer> VulkanMemory::Allocate(uint64_t bytes, const std::string& what) const {
  Promise none;
  return Take(bytes, what, none);
}

Result<VulkanBuffer> VulkanMemory::AllocateOnHost(uint64_t bytes) const {
  return device_->Allocate(bytes, Placement::kHost, options_->faults);
}

}  // namespace timbre
