#include "runtime/device/vulkan_device.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "runtime/device/vulkan_functions.h"
#include "runtime/device/vulkan_loader.h"

namespace timbre {

void LeaveBehind(void* handle) {
  static std::mutex mutex;
  static auto* const left = new std::vector<void*>;
  std::lock_guard lock(mutex);
  left->push_back(handle);
}

Status VulkanDevice::Check(VkResult result, const char* what) const {
  if (result == VK_SUCCESS) return {};
  const std::string text = info_.name + " could not " + what + " (Vulkan error " + std::to_string(result) + ")";
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return Fail(ErrorCode::kOutOfMemory, text + ": out of memory");
    case VK_TIMEOUT: return Fail(ErrorCode::kDeviceLost, info_.name + " did not answer in time and is given up");
    default: return Fail(ErrorCode::kDeviceLost, text);
  }
}

namespace {

// Devices that did not answer in time: waiting for one of them once is enough.
class IndexSet {
 public:
  void Add(int index) {
    std::lock_guard lock(mutex_);
    indices_.insert(index);
  }
  bool Holds(int index) const {
    std::lock_guard lock(mutex_);
    return indices_.contains(index);
  }

 private:
  mutable std::mutex mutex_;
  std::set<int> indices_;
};

IndexSet& HungDevices() {
  static IndexSet devices;
  return devices;
}

// Those that somebody holds, under one lock.
struct OpenDevices {
  std::mutex mutex;
  std::map<int, std::weak_ptr<VulkanDevice>> by_index;
};
OpenDevices& TheOpenDevices() {
  static OpenDevices devices;
  return devices;
}

}  // namespace

std::shared_ptr<VulkanDevice> VulkanDevice::IfOpen(int index) {
  OpenDevices& open = TheOpenDevices();
  std::lock_guard lock(open.mutex);
  const auto found = open.by_index.find(index);
  return found == open.by_index.end() ? nullptr : found->second.lock();
}

Result<std::shared_ptr<VulkanDevice>> VulkanDevice::Open(int index) {
  OpenDevices& open = TheOpenDevices();
  std::lock_guard lock(open.mutex);
  if (HungDevices().Holds(index)) {
    return Fail(ErrorCode::kDeviceLost,
                "Vulkan device " + std::to_string(index) + " did not answer before and is left alone");
  }
  if (auto device = open.by_index[index].lock()) return device;
  std::shared_ptr<VulkanDevice> device(new VulkanDevice);
  TIMBRE_CHECK(device->Create(index));
  open.by_index[index] = device;
  return device;
}

Status VulkanDevice::Create(int index) {
  const VulkanInstance& instance = TheInstance();
  TIMBRE_TRY(const auto devices, instance.Devices());
  if (index < 0 || index >= static_cast<int>(devices.size())) {
    return Fail(ErrorCode::kNotFound,
                "there is no Vulkan device " + std::to_string(index) + "; `timbre devices` lists those there are");
  }
  physical_ = devices[index];
  info_ = Describe(physical_, index);
  if (!info_.unusable.empty()) return Fail(ErrorCode::kUnsupported, info_.name + " can't be used: " + info_.unusable);
  patience_ = static_cast<uint64_t>(info_.patience_seconds()) * 1'000'000'000u;
  ledger_ = std::make_unique<MemoryLedger>(info_.name, [this] {
    // What the driver counts as used and is none of ours is gone.
    const HeapMemory heap = LargestHeap(physical_);
    const uint64_t others = heap.used - std::min<uint64_t>(heap.used, allocated_);
    return std::max<uint64_t>(1, heap.budget - std::min(heap.budget, others));
  });

  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  instance.GetPhysicalDeviceProperties2(physical_, &properties);
  const VkPhysicalDeviceLimits& limits = properties.properties.limits;
  alignment_ = std::max<uint64_t>(limits.minStorageBufferOffsetAlignment, kAlignment);
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  instance.GetPhysicalDeviceMemoryProperties2(physical_, &memory);
  memory_ = memory.memoryProperties;
  if (info_.type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU || info_.type == VK_PHYSICAL_DEVICE_TYPE_CPU) {
    constexpr VkMemoryPropertyFlags kWish = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    for (uint32_t i = 0; i < memory_.memoryTypeCount; ++i)
      unified_ |= (memory_.memoryTypes[i].propertyFlags & kWish) == kWish;
  }
  caps_.kind = DeviceKind::kVulkan;
  caps_.subgroups = info_.subgroups;
  caps_.float16 = info_.float16;
  caps_.cooperative_matrix = info_.cooperative_matrix;
  caps_.max_range = limits.maxStorageBufferRange;
  caps_.max_workgroup_memory = limits.maxComputeSharedMemorySize;
  caps_.max_workgroup_threads = std::min(limits.maxComputeWorkGroupInvocations, limits.maxComputeWorkGroupSize[0]);

  family_ = static_cast<uint32_t>(ComputeFamily(physical_));
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queue.queueFamilyIndex = family_;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkPhysicalDeviceVulkan12Features features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  features.timelineSemaphore = VK_TRUE;
  features.shaderFloat16 = info_.float16 ? VK_TRUE : VK_FALSE;
  VkDeviceCreateInfo create{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features};
  create.queueCreateInfoCount = 1;
  create.pQueueCreateInfos = &queue;
#ifdef VK_KHR_cooperative_matrix
  const char* const extensions[] = {VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
                                    VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT, &matrices};
  if (info_.cooperative_matrix) {
    matrices.cooperativeMatrix = sizes.subgroupSizeControl = sizes.computeFullSubgroups = VK_TRUE;
    features.vulkanMemoryModel = VK_TRUE;
    features.pNext = &sizes;
    create.enabledExtensionCount = static_cast<uint32_t>(std::size(extensions));
    create.ppEnabledExtensionNames = extensions;
  }
#endif
  TIMBRE_CHECK(Check(instance.CreateDevice(physical_, &create, nullptr, &device_), "be opened"));
  vk_ = std::make_unique<Functions>();
#define TIMBRE_LOAD(entry)                                                                        \
  vk_->entry = reinterpret_cast<PFN_vk##entry>(instance.GetDeviceProcAddr(device_, "vk" #entry)); \
  if (vk_->entry == nullptr) return Fail(ErrorCode::kDeviceLost, info_.name + ": its driver lacks vk" #entry);
  TIMBRE_VK_DEVICE(TIMBRE_LOAD)
#undef TIMBRE_LOAD
  vk_->GetDeviceQueue(device_, family_, 0, &queue_);

  std::array<VkDescriptorSetLayoutBinding, kMaxBindings> bindings;
  for (uint32_t i = 0; i < kMaxBindings; ++i) {
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  }
  VkDescriptorSetLayoutCreateInfo set_layout{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
  set_layout.bindingCount = kMaxBindings;
  set_layout.pBindings = bindings.data();
  TIMBRE_CHECK(Check(vk_->CreateDescriptorSetLayout(device_, &set_layout, nullptr, &set_layout_), "make a layout"));
  const VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, kMaxPushBytes};
  VkPipelineLayoutCreateInfo layout{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layout.setLayoutCount = 1;
  layout.pSetLayouts = &set_layout_;
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &range;
  TIMBRE_CHECK(Check(vk_->CreatePipelineLayout(device_, &layout, nullptr, &layout_), "make a layout"));
  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, nullptr, VK_SEMAPHORE_TYPE_TIMELINE, 0};
  VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  TIMBRE_CHECK(Check(vk_->CreateSemaphore(device_, &semaphore, nullptr, &timeline_), "make a semaphore"));
  uint32_t count = 0;
  instance.GetPhysicalDeviceQueueFamilyProperties(physical_, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  instance.GetPhysicalDeviceQueueFamilyProperties(physical_, &count, families.data());
  if (const uint32_t bits = families[family_].timestampValidBits; bits > 0) {
    clock_mask_ = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    clock_seconds_ = static_cast<double>(limits.timestampPeriod) * 1e-9;
  }
  LoadPipelineCache();
  TIMBRE_TRY(dummy_, Allocate(256, Placement::kDevice));
  return {};
}

VulkanDevice::~VulkanDevice() {
  if (device_ == VK_NULL_HANDLE) return;
  if (hung_) {
    dummy_ = VulkanBuffer();
    for (const auto& [key, pipeline] : pipelines_) LeaveBehind(pipeline);
    for (void* handle : std::initializer_list<void*>{cache_, timeline_, layout_, set_layout_, device_})
      LeaveBehind(handle);
    return;
  }
  if (vk_ != nullptr && vk_->DestroyDevice != nullptr) {
    if (vk_->DeviceWaitIdle) vk_->DeviceWaitIdle(device_);
    SavePipelineCache();
    dummy_ = VulkanBuffer();
    for (const auto& [key, pipeline] : pipelines_) vk_->DestroyPipeline(device_, pipeline, nullptr);
    if (cache_) vk_->DestroyPipelineCache(device_, cache_, nullptr);
    if (timeline_) vk_->DestroySemaphore(device_, timeline_, nullptr);
    if (layout_) vk_->DestroyPipelineLayout(device_, layout_, nullptr);
    if (set_layout_) vk_->DestroyDescriptorSetLayout(device_, set_layout_, nullptr);
    vk_->DestroyDevice(device_, nullptr);
  }
}

Result<std::unique_ptr<VulkanCommands>> VulkanDevice::Record(FaultInjector* faults) {
  std::unique_ptr<VulkanCommands> commands(new VulkanCommands);
  commands->device_ = this;
  commands->faults_ = faults;
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.queueFamilyIndex = family_;
  TIMBRE_CHECK(Check(vk_->CreateCommandPool(device_, &pool, nullptr, &commands->pool_), "make a command pool"));
  VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  allocate.commandPool = commands->pool_;
  allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocate.commandBufferCount = 1;
  TIMBRE_CHECK(Check(vk_->AllocateCommandBuffers(device_, &allocate, &commands->commands_), "make a command buffer"));
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  begin.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
  TIMBRE_CHECK(Check(vk_->BeginCommandBuffer(commands->commands_, &begin), "record commands"));
  return commands;
}

Result<uint64_t> VulkanDevice::Submit(const VulkanCommands& commands) {
  if (commands.faults_) {
    TIMBRE_CHECK(commands.faults_->Pass(FaultPoint::kDevice, info_.name));
    TIMBRE_CHECK(commands.faults_->Pass(FaultPoint::kSubmit, info_.name));
    TIMBRE_CHECK(commands.faults_->Pass(FaultPoint::kMemory, info_.name));
  }
  std::lock_guard lock(queue_mutex_);
  const uint64_t value = submitted_ + 1;
  VkTimelineSemaphoreSubmitInfo timeline{VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO};
  timeline.signalSemaphoreValueCount = 1;
  timeline.pSignalSemaphoreValues = &value;
  VkSubmitInfo submit{VK_STRUCTURE_TYPE_SUBMIT_INFO, &timeline};
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &commands.commands_;
  submit.signalSemaphoreCount = 1;
  submit.pSignalSemaphores = &timeline_;
  TIMBRE_CHECK(Check(vk_->QueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE), "take work"));
  submitted_ = value;
  return value;
}

Status VulkanDevice::Wait(uint64_t submission, FaultInjector* faults, const std::atomic<bool>* cancelled) {
  using Clock = std::chrono::steady_clock;
  using std::chrono::nanoseconds;
  constexpr auto kSlice = std::chrono::milliseconds(50);  // how often it is asked whether to go on
  std::optional<Clock::time_point> given_up;
  uint64_t value = 0;
  VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  wait.semaphoreCount = 1;
  wait.pSemaphores = &timeline_;
  wait.pValues = &value;
  // A value that nobody will ever signal is what a hung device looks like.
  const bool hang = faults && !faults->Pass(FaultPoint::kHang, info_.name);
  if (hang) submission += uint64_t{1} << 20;
  // One after the other, those of other sessions too: the time-out is a single submission's.
  for (value = hang ? submission : std::min(done_ + 1, submission); value <= submission; ++value) {
    Clock::time_point until = Clock::now() + nanoseconds(patience_);
    VkResult waited = VK_TIMEOUT;
    do {
      if (!given_up && cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) {
        given_up = Clock::now() + std::chrono::seconds(kGraceSeconds);
      }
      if (given_up) until = std::min(until, *given_up);
      nanoseconds left = std::max<nanoseconds>(until - Clock::now(), nanoseconds(0));
      if (cancelled != nullptr) left = std::min<nanoseconds>(left, kSlice);
      waited = vk_->WaitSemaphores(device_, &wait, static_cast<uint64_t>(left.count()));
    } while (waited == VK_TIMEOUT && Clock::now() < until);
    if (waited == VK_TIMEOUT) {
      hung_ = true;
      HungDevices().Add(info_.index);
      if (given_up) return Fail(ErrorCode::kCancelled, "cancelled");
    } else if (waited != VK_SUCCESS) {
      // What was submitted may be at work all the same. On a device that is lost this returns at once, as Vulkan
      // promises.
      std::lock_guard lock(queue_mutex_);
      (void)vk_->DeviceWaitIdle(device_);
    }
    TIMBRE_CHECK(Check(waited, "finish its work"));
    uint64_t done = done_;
    while (done < value && !done_.compare_exchange_weak(done, value)) {
    }
  }
  if (given_up) return Fail(ErrorCode::kCancelled, "cancelled");
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kWait, info_.name));
  return {};
}

Status VulkanDevice::Run(const VulkanCommands& commands, const std::atomic<bool>* cancelled) {
  TIMBRE_TRY(const uint64_t submission, Submit(commands));
  return Wait(submission, commands.faults_, cancelled);
}

Result<double> VulkanDevice::RunTimed(const VulkanCommands& commands, const std::atomic<bool>* cancelled) {
  const auto start = std::chrono::steady_clock::now();
  TIMBRE_CHECK(Run(commands, cancelled));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::array<uint64_t, 2> ticks{};
  if (commands.clock_ == VK_NULL_HANDLE ||
      vk_->GetQueryPoolResults(device_, commands.clock_, 0, 2, sizeof(ticks), ticks.data(), sizeof(uint64_t),
                               VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT) != VK_SUCCESS)
    return seconds;
  return static_cast<double>((ticks[1] - ticks[0]) & clock_mask_) * clock_seconds_;
}

void VulkanDevice::Settle(const std::atomic<bool>* cancelled) {
  if (!hung_ && submitted_ > 0) (void)Wait(submitted_, nullptr, cancelled);
}

uint64_t VulkanDevice::MemoryFree() const {
  const MemoryLedger::Account account = ledger_->account();
  return account.capacity - std::min(account.capacity, account.reserved);
}

}  // namespace timbre
