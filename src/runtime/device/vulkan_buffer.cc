#include <algorithm>
#include <utility>

#include "runtime/device/vulkan_functions.h"

namespace timbre {

VulkanBuffer& VulkanBuffer::operator=(VulkanBuffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(buffer_, other.buffer_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_, other.mapped_);
  std::swap(bytes_, other.bytes_);
  std::swap(allocated_, other.allocated_);
  std::swap(reserved_, other.reserved_);
  return *this;
}

VulkanBuffer::~VulkanBuffer() {
  if (device_ == nullptr) return;
  if (device_->hung_) {
    LeaveBehind(buffer_);
    LeaveBehind(memory_);
    return;
  }
  device_->vk_->DestroyBuffer(device_->device_, buffer_, nullptr);
  device_->vk_->FreeMemory(device_->device_, memory_, nullptr);
  device_->allocated_ -= allocated_;
}

Result<VulkanBuffer> VulkanDevice::Allocate(uint64_t bytes, Placement placement, FaultInjector* faults,
                                            Reservation reserved) {
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kAllocation, info_.name));
  VulkanBuffer buffer;
  VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  info.size = std::max<uint64_t>(bytes, 256);
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  TIMBRE_CHECK(Check(vk_->CreateBuffer(device_, &info, nullptr, &buffer.buffer_), "make a buffer"));
  buffer.device_ = this;
  buffer.bytes_ = info.size;
  VkMemoryRequirements needs;
  vk_->GetBufferMemoryRequirements(device_, buffer.buffer_, &needs);
  if (placement == Placement::kDevice) {
    if (reserved.bytes() == 0) {
      TIMBRE_TRY(reserved, ledger_->Reserve(needs.size, faults));
    } else if (reserved.bytes() < needs.size) {  // rounded up
      reserved.Join(ledger_->Note(needs.size - reserved.bytes()));
    }
    buffer.reserved_ = std::move(reserved);
  }

  constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  constexpr VkMemoryPropertyFlags kMapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags kCached = kMapped | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  struct Wish {
    VkMemoryPropertyFlags with = 0, without = 0;
  };
  std::vector<Wish> wishes;
  switch (placement) {
    case Placement::kDevice: wishes = {{kLocal | (unified_ ? kCached : 0u)}}; break;
    case Placement::kHost: wishes = {{kCached}, {kMapped}}; break;
    case Placement::kSpilled: wishes = {{0, kLocal}, {unified_ ? kCached : 0u}}; break;
  }
  for (const Wish& wish : wishes) {
    for (uint32_t i = 0; i < memory_.memoryTypeCount && buffer.memory_ == VK_NULL_HANDLE; ++i) {
      const VkMemoryPropertyFlags has = memory_.memoryTypes[i].propertyFlags;
      if (!(needs.memoryTypeBits >> i & 1) || (has & wish.with) != wish.with || (has & wish.without) != 0) continue;
      VkMemoryAllocateInfo allocate{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
      allocate.allocationSize = needs.size;
      allocate.memoryTypeIndex = i;
      if (vk_->AllocateMemory(device_, &allocate, nullptr, &buffer.memory_) != VK_SUCCESS) {
        buffer.memory_ = VK_NULL_HANDLE;
        continue;
      }
      TIMBRE_CHECK(Check(vk_->BindBufferMemory(device_, buffer.buffer_, buffer.memory_, 0), "bind memory"));
      if ((has & kMapped) == kMapped && (placement == Placement::kHost || unified_)) {
        void* mapped = nullptr;
        TIMBRE_CHECK(Check(vk_->MapMemory(device_, buffer.memory_, 0, VK_WHOLE_SIZE, 0, &mapped), "map memory"));
        buffer.mapped_ = static_cast<std::byte*>(mapped);
      }
    }
    if (buffer.memory_ == VK_NULL_HANDLE) continue;
    if (placement == Placement::kDevice) {
      buffer.allocated_ = needs.size;
      allocated_ += needs.size;
    }
    return buffer;
  }
  return Fail(ErrorCode::kOutOfMemory,
              info_.name + " has no " + std::to_string(bytes >> 20) + " MiB free; use a smaller batch or --device cpu");
}

std::shared_ptr<const VulkanBuffer> VulkanDevice::Holding(const ContentId& content) {
  std::lock_guard lock(weights_mutex_);
  std::erase_if(weights_, [](const auto& entry) { return entry.second.expired(); });
  const auto found = weights_.find(content);
  return found == weights_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<const VulkanBuffer> VulkanDevice::Hold(const ContentId& content, VulkanBuffer buffer) {
  auto held = std::make_shared<const VulkanBuffer>(std::move(buffer));
  Hold(content, held);
  return held;
}

void VulkanDevice::Hold(const ContentId& content, const std::shared_ptr<const VulkanBuffer>& buffer) {
  std::lock_guard lock(weights_mutex_);
  weights_[content] = buffer;
}

int64_t VulkanDevice::held_bytes() {
  std::lock_guard lock(weights_mutex_);
  int64_t sum = 0;
  for (const auto& [content, entry] : weights_) {
    if (const auto buffer = entry.lock()) sum += static_cast<int64_t>(buffer->bytes());
  }
  return sum;
}

}  // namespace timbre
