// A session's memory on a Vulkan device.
#pragma once

#include <string>

#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"

namespace timbre {

// Memory of the device as long as it has room, else the host's, which is a step down: nothing falls there unsaid. With
// several tiles in the graph it is an error instead, since fewer of them come first.
class VulkanMemory {
 public:
  VulkanMemory(VulkanDevice& device, const SessionOptions& options, Stats* stats)
      : device_(&device), options_(&options), stats_(stats) {}

  // So much of the device will be allocated in a while. Where it has no room, that is said for `what`, and the
  // reservation is empty: what is taken of an empty one is the host's. Errors: kOutOfMemory.
  struct Promise {
    Reservation reserved;
    bool spilled = false;
  };
  Result<Promise> Reserve(uint64_t bytes, const std::string& what) const;
  Result<VulkanBuffer> Take(uint64_t bytes, const std::string& what, Promise& promise) const;
  // The two in one.
  Result<VulkanBuffer> Allocate(uint64_t bytes, const std::string& what) const;
  Result<VulkanBuffer> AllocateOnHost(uint64_t bytes) const;

 private:
  Status Spill(const std::string& what, const Error& error) const;

  VulkanDevice* device_;
  const SessionOptions* options_;
  Stats* stats_;
};

}  // namespace timbre
