#include <algorithm>
#include <utility>

#include "runtime/device/vulkan_functions.h"

namespace timbre {

VulkanCommands::~VulkanCommands() {
  if (device_ == nullptr) return;
  if (device_->hung_) {
    for (VkDescriptorPool pool : pools_) LeaveBehind(pool);
    for (void* handle : std::initializer_list<void*>{commands_, pool_, clock_}) LeaveBehind(handle);
    return;
  }
  for (VkDescriptorPool pool : pools_) device_->vk_->DestroyDescriptorPool(device_->device_, pool, nullptr);
  if (clock_ != VK_NULL_HANDLE) device_->vk_->DestroyQueryPool(device_->device_, clock_, nullptr);
  if (pool_ != VK_NULL_HANDLE) device_->vk_->DestroyCommandPool(device_->device_, pool_, nullptr);
}

Status VulkanCommands::NewPool() {
  constexpr int kSets = 64;
  VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kSets * kMaxBindings};
  VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
  info.maxSets = kSets;
  info.poolSizeCount = 1;
  info.pPoolSizes = &size;
  VkDescriptorPool pool;
  TIMBRE_CHECK(
      device_->Check(device_->vk_->CreateDescriptorPool(device_->device_, &info, nullptr, &pool), "make descriptors"));
  pools_.push_back(pool);
  sets_left_ = kSets;
  return {};
}

Status VulkanCommands::Dispatch(const Shader& shader, std::span<const BufferRange> bindings,
                                std::span<const uint32_t> specialization, std::span<const uint32_t> push,
                                std::array<uint32_t, 3> groups) {
  if (shader.spirv.empty() || bindings.size() > kMaxBindings || push.size_bytes() > kMaxPushBytes) {
    return Fail(ErrorCode::kKernelFailed, "the shader '" + std::string(shader.name) + "' is missing or called wrongly");
  }
  for (const BufferRange& range : bindings) {
    if (range.bytes > device_->caps_.max_range) {
      return Fail(ErrorCode::kKernelFailed, "a tensor of " + std::to_string(range.bytes >> 20) +
                                                " MiB is more than one binding spans on " + device_->info_.name);
    }
  }
  TIMBRE_TRY(const VkPipeline pipeline, device_->Pipeline(shader, specialization, faults_));
  if (sets_left_ == 0) TIMBRE_CHECK(NewPool());
  const VulkanDevice::Functions& vk = *device_->vk_;
  VkDescriptorSetAllocateInfo allocate{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
  allocate.descriptorPool = pools_.back();
  allocate.descriptorSetCount = 1;
  allocate.pSetLayouts = &device_->set_layout_;
  VkDescriptorSet set;
  TIMBRE_CHECK(device_->Check(vk.AllocateDescriptorSets(device_->device_, &allocate, &set), "make descriptors"));
  --sets_left_;
  std::array<VkDescriptorBufferInfo, kMaxBindings> infos;
  std::array<VkWriteDescriptorSet, kMaxBindings> writes;
  for (int i = 0; i < kMaxBindings; ++i) {
    const bool present = i < static_cast<int>(bindings.size()) && bindings[i].bytes > 0;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the handle came from a VkBuffer
    infos[i] = present ? VkDescriptorBufferInfo{reinterpret_cast<VkBuffer>(bindings[i].buffer), bindings[i].offset,
                                                bindings[i].bytes}
                       : VkDescriptorBufferInfo{device_->dummy_.handle(), 0, VK_WHOLE_SIZE};
    writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                 nullptr,
                 set,
                 static_cast<uint32_t>(i),
                 0,
                 1,
                 VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                 nullptr,
                 &infos[i],
                 nullptr};
  }
  vk.UpdateDescriptorSets(device_->device_, kMaxBindings, writes.data(), 0, nullptr);
  vk.CmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  vk.CmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, device_->layout_, 0, 1, &set, 0, nullptr);
  std::array<uint32_t, kMaxPushBytes / 4> words{};
  std::copy(push.begin(), push.end(), words.begin());
  vk.CmdPushConstants(commands_, device_->layout_, VK_SHADER_STAGE_COMPUTE_BIT, 0, kMaxPushBytes, words.data());
  vk.CmdDispatch(commands_, groups[0], groups[1], groups[2]);
  constexpr VkPipelineStageFlags kStages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr, VK_ACCESS_SHADER_WRITE_BIT,
                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                              VK_ACCESS_TRANSFER_WRITE_BIT};
  vk.CmdPipelineBarrier(commands_, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, kStages, 0, 1, &barrier, 0, nullptr, 0,
                        nullptr);
  return {};
}

void VulkanCommands::Copy(const VulkanBuffer& from, uint64_t from_offset, const VulkanBuffer& to, uint64_t to_offset,
                          uint64_t bytes) {
  const VkBufferCopy region{from_offset, to_offset, bytes};
  const VulkanDevice::Functions& vk = *device_->vk_;
  vk.CmdCopyBuffer(commands_, from.handle(), to.handle(), 1, &region);
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr, VK_ACCESS_TRANSFER_WRITE_BIT,
                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                              VK_ACCESS_TRANSFER_WRITE_BIT};
  vk.CmdPipelineBarrier(commands_, VK_PIPELINE_STAGE_TRANSFER_BIT,
                        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0,
                        nullptr, 0, nullptr);
}

void VulkanCommands::BeginTiming() {
  if (device_->clock_mask_ == 0) return;
  VkQueryPoolCreateInfo clock{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
  clock.queryType = VK_QUERY_TYPE_TIMESTAMP;
  clock.queryCount = 2;
  // Without one the host's clock has to do.
  if (clock_ == VK_NULL_HANDLE &&
      device_->vk_->CreateQueryPool(device_->device_, &clock, nullptr, &clock_) != VK_SUCCESS) {
    clock_ = VK_NULL_HANDLE;
    return;
  }
  device_->vk_->CmdResetQueryPool(commands_, clock_, 0, 2);
  device_->vk_->CmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clock_, 0);
}
void VulkanCommands::EndTiming() {
  if (clock_ == VK_NULL_HANDLE) return;
  device_->vk_->CmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clock_, 1);
}

Status VulkanCommands::End() {
  const VulkanDevice::Functions& vk = *device_->vk_;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr,
                          VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT};
  vk.CmdPipelineBarrier(commands_, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                        VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0, nullptr);
  return device_->Check(vk.EndCommandBuffer(commands_), "record commands");
}

}  // namespace timbre
