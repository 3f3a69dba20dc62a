// The functions of an opened Vulkan device. For the files of this folder.
#pragma once

#include "runtime/device/vulkan_device.h"

namespace timbre {

// NOLINTBEGIN(bugprone-macro-parentheses): names, not expressions
#define TIMBRE_VK_DEVICE(X)      \
  X(DestroyDevice)               \
  X(GetDeviceQueue)              \
  X(CreateBuffer)                \
  X(DestroyBuffer)               \
  X(GetBufferMemoryRequirements) \
  X(AllocateMemory)              \
  X(FreeMemory)                  \
  X(BindBufferMemory)            \
  X(MapMemory)                   \
  X(CreateCommandPool)           \
  X(DestroyCommandPool)          \
  X(AllocateCommandBuffers)      \
  X(FreeCommandBuffers)          \
  X(BeginCommandBuffer)          \
  X(EndCommandBuffer)            \
  X(CmdBindPipeline)             \
  X(CmdBindDescriptorSets)       \
  X(CmdPushConstants)            \
  X(CmdDispatch)                 \
  X(CmdPipelineBarrier)          \
  X(CmdCopyBuffer)               \
  X(CreateDescriptorSetLayout)   \
  X(DestroyDescriptorSetLayout)  \
  X(CreatePipelineLayout)        \
  X(DestroyPipelineLayout)       \
  X(CreatePipelineCache)         \
  X(DestroyPipelineCache)        \
  X(GetPipelineCacheData)        \
  X(CreateShaderModule)          \
  X(DestroyShaderModule)         \
  X(CreateComputePipelines)      \
  X(DestroyPipeline)             \
  X(CreateDescriptorPool)        \
  X(DestroyDescriptorPool)       \
  X(AllocateDescriptorSets)      \
  X(UpdateDescriptorSets)        \
  X(CreateQueryPool)             \
  X(DestroyQueryPool)            \
  X(CmdResetQueryPool)           \
  X(CmdWriteTimestamp)           \
  X(GetQueryPoolResults) X(CreateSemaphore) X(DestroySemaphore) X(QueueSubmit) X(WaitSemaphores) X(DeviceWaitIdle)
// NOLINTEND(bugprone-macro-parentheses)

struct VulkanDevice::Functions {
#define TIMBRE_DECLARE(name) PFN_vk##name name = nullptr;
  TIMBRE_VK_DEVICE(TIMBRE_DECLARE)
#undef TIMBRE_DECLARE
};

// Handles that a device which does not answer may still be using: destroying them would wait for it, or worse. They
// stay until the process ends, and can be found here by whoever looks for leaks.
void LeaveBehind(void* handle);

}  // namespace timbre
