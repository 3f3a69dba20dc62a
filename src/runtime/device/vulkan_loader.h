// The Vulkan loader, opened at run time, and what it says of the devices that it lists. For the files of this folder.
#pragma once

#include <string>
#include <vector>

#include "runtime/device/vulkan_device.h"

namespace timbre {

// NOLINTBEGIN(bugprone-macro-parentheses): names, not expressions
#define TIMBRE_VK_INSTANCE(X)               \
  X(DestroyInstance)                        \
  X(EnumeratePhysicalDevices)               \
  X(GetPhysicalDeviceProperties2)           \
  X(GetPhysicalDeviceFeatures2)             \
  X(GetPhysicalDeviceMemoryProperties2)     \
  X(GetPhysicalDeviceQueueFamilyProperties) \
  X(EnumerateDeviceExtensionProperties) X(CreateDevice) X(GetDeviceProcAddr)  // NOLINTEND(bugprone-macro-parentheses)

// The loader and one instance, opened at first use and kept: drivers don't like to be unloaded.
struct VulkanInstance {
  VkInstance handle = VK_NULL_HANDLE;
  PFN_vkGetInstanceProcAddr get = nullptr;
#define TIMBRE_DECLARE(name) PFN_vk##name name = nullptr;
  TIMBRE_VK_INSTANCE(TIMBRE_DECLARE)
#undef TIMBRE_DECLARE
  std::string problem;

  VulkanInstance() { problem = Open(); }

  // The devices that the loader lists. Errors: kNotFound.
  Result<std::vector<VkPhysicalDevice>> Devices() const;

 private:
  std::string Open();  // what went wrong, or nothing
};
const VulkanInstance& TheInstance();

bool HasExtension(VkPhysicalDevice device, const char* name);
// Of the first queues that compute, or -1.
int ComputeFamily(VkPhysicalDevice device);
VulkanDeviceInfo Describe(VkPhysicalDevice device, int index);

// The largest device-local heap.
struct HeapMemory {
  uint64_t bytes = 0;
  uint64_t budget = 0;  // what this process may have of it, as far as the driver says; else all
  uint64_t used = 0;    // by this process, as far as the driver says; else 0
};
HeapMemory LargestHeap(VkPhysicalDevice device);

}  // namespace timbre
