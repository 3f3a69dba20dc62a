#include "runtime/device/vulkan_device.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace timbre {
namespace {

// A software driver is slow but does not hang; what the user says is heeded for both.
TEST(VulkanDeviceInfo, SoftwareDriversAreGivenMoreTime) {
  const char* before = std::getenv("TIMBRE_VULKAN_TIMEOUT");
  const std::string kept = before == nullptr ? "" : before;
  VulkanDeviceInfo gpu, software;
  gpu.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  software.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
  for (const char* nothing : {"", "0", "-3", "soon"}) {
    setenv("TIMBRE_VULKAN_TIMEOUT", nothing, 1);
    EXPECT_EQ(gpu.patience_seconds(), 60) << nothing;
    EXPECT_EQ(software.patience_seconds(), 600) << nothing;
  }
  setenv("TIMBRE_VULKAN_TIMEOUT", "7", 1);
  EXPECT_EQ(gpu.patience_seconds(), 7);
  EXPECT_EQ(software.patience_seconds(), 7);
  setenv("TIMBRE_VULKAN_TIMEOUT", "99999999999999999999", 1);
  EXPECT_EQ(gpu.patience_seconds(), 24 * 60 * 60);
  before == nullptr ? unsetenv("TIMBRE_VULKAN_TIMEOUT") : setenv("TIMBRE_VULKAN_TIMEOUT", kept.c_str(), 1);
}

}  // namespace
}  // namespace timbre
