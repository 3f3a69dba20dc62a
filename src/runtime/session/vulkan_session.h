#pragma once

#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"

namespace timbre {

// A session on a Vulkan device. Nodes that no Vulkan kernel takes, or whose kernels failed there, run on the CPU in
// between; a device that fails as a whole is retired, and every later run, the failed one first, is one on
// `next_device`: a wish as SessionOptions::device.
Result<std::unique_ptr<Session>> MakeVulkanSession(Graph graph, const SessionOptions& options,
                                                   std::shared_ptr<VulkanDevice> device, ThreadPool& pool, Stats* stats,
                                                   std::string reason, std::string next_device = "cpu");

// Bytes of device memory that a session would take, without taking any.
struct MemoryNeeds {
  uint64_t weights = 0;  // as they are in the graph; packing pads them a little
  uint64_t tile = 0;     // activations and scratch
};
MemoryNeeds VulkanMemoryNeeds(Graph graph, const SessionOptions& options, const VulkanDevice& device);

}  // namespace timbre
