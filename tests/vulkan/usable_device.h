// The Vulkan device that tests take: the first usable one, a software driver too. The validation layers are on where
// they are installed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "runtime/device/vulkan_device.h"

namespace timbre {

// Before the loader is opened.
inline const bool validation_on = setenv("TIMBRE_VULKAN_VALIDATION", "1", 1) == 0;

inline int UsableDevice() {
  const auto devices = ListVulkanDevices();
  if (!devices) return -1;
  for (const VulkanDeviceInfo& d : *devices) {
    if (d.unusable.empty()) return d.index;
  }
  return -1;
}
inline std::string UsableDeviceName() { return "vulkan:" + std::to_string(UsableDevice()); }

#define TIMBRE_NEED_VULKAN()                                                                      \
  if (UsableDevice() < 0) {                                                                       \
    std::cerr << "SKIPPED for want of a Vulkan driver: the Vulkan device was not checked here\n"; \
    GTEST_SKIP() << "no Vulkan driver that can be used; Debian's is mesa-vulkan-drivers";         \
  }                                                                                               \
  static_assert(true)

}  // namespace timbre
