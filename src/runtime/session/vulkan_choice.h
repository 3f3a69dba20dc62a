// Which kernel each node gets on a Vulkan device, and the graph that follows from it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/check/verdicts.h"
#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"

namespace timbre {

// Kernels that must not be taken.
struct BannedKernels {
  std::set<std::pair<std::string, std::string_view>> failed;  // for one node: the plan is made again without it
  std::set<std::string> wrong;                                // for any node: what doctor found, as "name@version"

  bool Holds(const std::string& node, const KernelRow& row) const {
    return failed.contains({node, row.name}) || (!wrong.empty() && wrong.contains(DeviceVerdict::IdOf(row)));
  }
};

// Which kernel a node gets.
struct VulkanChooser {
  DeviceCaps caps;
  const Toggles& toggles;
  std::string prefer;

  VulkanChooser(const VulkanDevice& on, const SessionOptions& options);

  bool Usable(const KernelRow& row, const NodeRef& ref, const BannedKernels& banned) const;

  const KernelRow* Best(const NodeRef& ref, const BannedKernels& banned) const;
};

// The most that a node wants of the memory that all nodes use in turn.
uint64_t VulkanScratch(const Graph& graph, const VulkanChooser& chooser, const BannedKernels& banned);

struct VulkanPasses {
  int folded = 0, fused = 0;
};
VulkanPasses RunVulkanPasses(Graph& graph, const Toggles& toggles, const VulkanChooser& chooser,
                             const BannedKernels& banned);

}  // namespace timbre
