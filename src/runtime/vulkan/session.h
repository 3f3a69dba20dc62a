#pragma once

#include "runtime/session.h"
#include "runtime/vulkan/device.h"

namespace timbre {

// A session on a Vulkan device. Nodes that no Vulkan kernel takes, or whose kernels failed there, run on the CPU in
// between; a device that fails as a whole is retired, and every later tile, the failed one first, runs on the CPU.
Result<std::unique_ptr<Session>> MakeVulkanSession(Graph graph, const SessionOptions& options,
                                                   std::shared_ptr<VulkanDevice> device, ThreadPool& pool, Stats* stats,
                                                   std::string reason);

}  // namespace timbre
