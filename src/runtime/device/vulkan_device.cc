#include "runtime/device/vulkan_device.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/text.h"

namespace timbre {

// NOLINTBEGIN(bugprone-macro-parentheses): names, not expressions
#define TIMBRE_VK_INSTANCE(X)           \
  X(DestroyInstance)                    \
  X(EnumeratePhysicalDevices)           \
  X(GetPhysicalDeviceProperties2)       \
  X(GetPhysicalDeviceFeatures2)         \
  X(GetPhysicalDeviceMemoryProperties2) \
  X(GetPhysicalDeviceQueueFamilyProperties) X(EnumerateDeviceExtensionProperties) X(CreateDevice) X(GetDeviceProcAddr)
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

namespace {

std::atomic<int64_t> validation_messages{0};

VKAPI_ATTR VkBool32 VKAPI_CALL OnValidationMessage(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                                   VkDebugUtilsMessageTypeFlagsEXT,
                                                   const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  validation_messages.fetch_add(1);
  constexpr size_t kLongest = 2000;
  Log(LogLevel::kWarning, "Vulkan validation: " + Printable(data->pMessage, kLongest));
  return VK_FALSE;
}

bool HasEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && std::string_view(value) == "1";
}

// The loader and one instance, opened at first use and kept: drivers don't like to be unloaded.
struct Instance {
  VkInstance handle = VK_NULL_HANDLE;
  PFN_vkGetInstanceProcAddr get = nullptr;
#define TIMBRE_DECLARE(name) PFN_vk##name name = nullptr;
  TIMBRE_VK_INSTANCE(TIMBRE_DECLARE)
#undef TIMBRE_DECLARE
  std::string problem;

  Instance() { problem = Open(); }

  std::string Open() {
    void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return "there is no Vulkan loader (libvulkan.so.1) on this machine";
    get = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    if (get == nullptr) return "the Vulkan loader lacks vkGetInstanceProcAddr";
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(nullptr, "vkCreateInstance"));
    const auto layers =
        reinterpret_cast<PFN_vkEnumerateInstanceLayerProperties>(get(nullptr, "vkEnumerateInstanceLayerProperties"));
    if (create == nullptr || layers == nullptr) return "the Vulkan loader is incomplete";

    VkApplicationInfo app{VK_STRUCTURE_TYPE_APPLICATION_INFO};
    app.pApplicationName = "timbre";
    app.apiVersion = VK_API_VERSION_1_2;
    VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    info.pApplicationInfo = &app;
    const char* layer = "VK_LAYER_KHRONOS_validation";
    const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkDebugUtilsMessengerCreateInfoEXT messenger{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
    bool validate = false;
    if (HasEnvironment("TIMBRE_VULKAN_VALIDATION")) {
      uint32_t count = 0;
      layers(&count, nullptr);
      std::vector<VkLayerProperties> list(count);
      layers(&count, list.data());
      for (const VkLayerProperties& l : list) validate |= std::string_view(l.layerName) == layer;
      if (!validate) Log(LogLevel::kWarning, "the Vulkan validation layers are asked for but not installed");
    }
    if (validate) {
      messenger.messageSeverity =
          VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
      messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
      messenger.pfnUserCallback = OnValidationMessage;
      info.pNext = &messenger;
      info.enabledLayerCount = 1;
      info.ppEnabledLayerNames = &layer;
      info.enabledExtensionCount = 1;
      info.ppEnabledExtensionNames = &extension;
    }
    if (const VkResult result = create(&info, nullptr, &handle); result != VK_SUCCESS) {
      handle = VK_NULL_HANDLE;
      return "Vulkan could not be started (error " + std::to_string(result) + "); is a driver installed?";
    }
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TIMBRE_LOAD(name)                                         \
  name = reinterpret_cast<PFN_vk##name>(get(handle, "vk" #name)); \
  if (name == nullptr) return "the Vulkan loader lacks vk" #name;
    TIMBRE_VK_INSTANCE(TIMBRE_LOAD)
#undef TIMBRE_LOAD
    // NOLINTEND(bugprone-macro-parentheses)
    if (validate) {
      const auto make =
          reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(get(handle, "vkCreateDebugUtilsMessengerEXT"));
      VkDebugUtilsMessengerEXT kept;
      if (make != nullptr) make(handle, &messenger, nullptr, &kept);
    }
    return "";
  }

  Result<std::vector<VkPhysicalDevice>> Devices() const {
    if (!problem.empty()) return Fail(ErrorCode::kNotFound, problem);
    uint32_t count = 0;
    if (EnumeratePhysicalDevices(handle, &count, nullptr) != VK_SUCCESS) {
      return Fail(ErrorCode::kNotFound, "no Vulkan driver answers on this machine");
    }
    std::vector<VkPhysicalDevice> devices(count);
    EnumeratePhysicalDevices(handle, &count, devices.data());
    devices.resize(count);
    return devices;
  }
};

// Handles that a device which does not answer may still be using: destroying them would wait for it, or worse. They
// stay until the process ends, and can be found here by whoever looks for leaks.
void LeaveBehind(void* handle) {
  static std::mutex mutex;
  static auto* const left = new std::vector<void*>;
  std::lock_guard lock(mutex);
  left->push_back(handle);
}

const Instance& TheInstance() {
  static const Instance instance;
  return instance;
}

std::string VersionText(uint32_t v) {
  return std::to_string(VK_API_VERSION_MAJOR(v)) + "." + std::to_string(VK_API_VERSION_MINOR(v)) + "." +
         std::to_string(VK_API_VERSION_PATCH(v));
}

bool HasExtension(VkPhysicalDevice device, const char* name) {
  const Instance& vk = TheInstance();
  uint32_t count = 0;
  vk.EnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> list(count);
  vk.EnumerateDeviceExtensionProperties(device, nullptr, &count, list.data());
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& e) { return std::string_view(e.extensionName) == name; });
}

int ComputeFamily(VkPhysicalDevice device) {
  const Instance& vk = TheInstance();
  uint32_t count = 0;
  vk.GetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vk.GetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  for (uint32_t i = 0; i < count; ++i) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) return static_cast<int>(i);
  }
  return -1;
}

// The shape that kernels take, or why_not where there is none: halves summed up in float32 by full subgroups of a size
// that the pipeline asks for. That is the smallest there is, for which AMD's and Intel's matrix instructions are made.
CooperativeMatrix FindCooperativeMatrix(VkPhysicalDevice device, [[maybe_unused]] bool float16,
                                        [[maybe_unused]] bool memory_model, std::string& why_not) {
  why_not = "its driver has none";
  if (!HasExtension(device, "VK_KHR_cooperative_matrix")) return {};
  why_not = "not built in, for want of a newer glslc or newer Vulkan headers";
#ifndef VK_KHR_cooperative_matrix
  return {};
#else
  const std::span<const Shader> shaders = AllShaders();
  if (std::none_of(shaders.begin(), shaders.end(), [](const Shader& s) { return s.cooperative; })) return {};
  const Instance& vk = TheInstance();
  why_not = "its driver lacks what goes with them";
  const auto shapes_of = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
      vk.get(vk.handle, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  if (shapes_of == nullptr || !float16 || !memory_model ||
      !HasExtension(device, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME))
    return {};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR, &sizes};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &matrices};
  vk.GetPhysicalDeviceFeatures2(device, &features);
  VkPhysicalDeviceSubgroupSizeControlPropertiesEXT subgroup{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
  VkPhysicalDeviceCooperativeMatrixPropertiesKHR stages{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR, &subgroup};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &stages};
  vk.GetPhysicalDeviceProperties2(device, &properties);
  constexpr uint32_t kThreads = 256;  // of a workgroup
  if (!matrices.cooperativeMatrix || !sizes.subgroupSizeControl || !sizes.computeFullSubgroups ||
      !(stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) ||
      !(subgroup.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) || subgroup.minSubgroupSize > kThreads ||
      kThreads / subgroup.minSubgroupSize > subgroup.maxComputeWorkgroupSubgroups)
    return {};

  uint32_t count = 0;
  shapes_of(device, &count, nullptr);
  std::vector<VkCooperativeMatrixPropertiesKHR> shapes(count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR});
  shapes_of(device, &count, shapes.data());
  CooperativeMatrix best;
  for (const VkCooperativeMatrixPropertiesKHR& s : shapes) {
    // Smaller ones' lines are shorter than memory is read at once; of larger ones a tile holds too few for all of a
    // workgroup's subgroups.
    const auto fits = [](uint32_t size) { return size == 8 || size == 16; };
    if (s.scope != VK_SCOPE_SUBGROUP_KHR || s.AType != VK_COMPONENT_TYPE_FLOAT16_KHR ||
        s.BType != VK_COMPONENT_TYPE_FLOAT16_KHR || s.CType != VK_COMPONENT_TYPE_FLOAT32_KHR ||
        s.ResultType != VK_COMPONENT_TYPE_FLOAT32_KHR || !fits(s.MSize) || !fits(s.NSize) || !fits(s.KSize) ||
        s.MSize * s.NSize * s.KSize <= best.rows * best.columns * best.depth)
      continue;
    best = {s.MSize, s.NSize, s.KSize, subgroup.minSubgroupSize};
  }
  why_not = best ? "" : "its driver has none of halves summed up in float32, 8 or 16 a side";
  return best;
#endif
}

// The largest device-local heap.
struct HeapMemory {
  uint64_t bytes = 0;
  uint64_t budget = 0;  // what this process may have of it, as far as the driver says; else all
  uint64_t used = 0;    // by this process, as far as the driver says; else 0
};
HeapMemory LargestHeap(VkPhysicalDevice device) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  const bool has_budget = HasExtension(device, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (has_budget) memory.pNext = &budget;
  TheInstance().GetPhysicalDeviceMemoryProperties2(device, &memory);
  HeapMemory largest;
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    if (!(heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap.size <= largest.bytes) continue;
    largest = {heap.size, has_budget ? budget.heapBudget[i] : heap.size, has_budget ? budget.heapUsage[i] : 0};
  }
  return largest;
}

VulkanDeviceInfo Describe(VkPhysicalDevice device, int index) {
  const Instance& vk = TheInstance();
  VkPhysicalDeviceSubgroupProperties subgroup{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, &subgroup};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
  vk.GetPhysicalDeviceProperties2(device, &properties);
  const VkPhysicalDeviceProperties& p = properties.properties;
  VulkanDeviceInfo info;
  info.index = index;
  info.name = p.deviceName;
  info.type = p.deviceType;
  info.api_version = VersionText(p.apiVersion);
  if (p.apiVersion < VK_API_VERSION_1_2) {
    info.unusable = "its driver offers Vulkan " + info.api_version + " where 1.2 is needed";
    return info;
  }
  info.driver = driver.driverName;
  info.driver_version = driver.driverInfo;
  info.subgroups = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                   (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  vk.GetPhysicalDeviceFeatures2(device, &features);
  info.float16 = features12.shaderFloat16;
  info.cooperative_matrix =
      FindCooperativeMatrix(device, info.float16, features12.vulkanMemoryModel, info.no_cooperative_matrix);

  const HeapMemory heap = LargestHeap(device);
  info.memory_total = heap.bytes;
  info.memory_free = heap.budget - std::min(heap.budget, heap.used);
  if (!features12.timelineSemaphore) info.unusable = "its driver has no timeline semaphores";
  if (ComputeFamily(device) < 0) info.unusable = "it has no queue for compute";
  if (p.limits.maxPerStageDescriptorStorageBuffers < kMaxBindings) info.unusable = "its shaders see too few buffers";
  if (p.limits.maxComputeWorkGroupInvocations < 256) info.unusable = "its workgroups are smaller than 256 threads";
  return info;
}

}  // namespace

std::string_view VulkanDeviceInfo::kind() const {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "software driver";
    default: return "other device";
  }
}

int VulkanDeviceInfo::patience_seconds() const {
  const char* text = std::getenv("TIMBRE_VULKAN_TIMEOUT");
  const long seconds = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  if (seconds > 0) return static_cast<int>(std::min<long>(seconds, kLongestPatience));
  return software() ? 600 : 60;
}

Result<std::vector<VulkanDeviceInfo>> ListVulkanDevices() {
  TIMBRE_TRY(const auto devices, TheInstance().Devices());
  std::vector<VulkanDeviceInfo> list;
  for (size_t i = 0; i < devices.size(); ++i) list.push_back(Describe(devices[i], static_cast<int>(i)));
  return list;
}

int64_t VulkanValidationMessages() { return validation_messages.load(); }

struct VulkanDevice::Functions {
#define TIMBRE_DECLARE(name) PFN_vk##name name = nullptr;
  TIMBRE_VK_DEVICE(TIMBRE_DECLARE)
#undef TIMBRE_DECLARE
};

// ---- buffers

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

// ---- commands

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

// ---- the device

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

}  // namespace

Result<std::shared_ptr<VulkanDevice>> VulkanDevice::Open(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<VulkanDevice>> open;
  std::lock_guard lock(mutex);
  if (HungDevices().Holds(index)) {
    return Fail(ErrorCode::kDeviceLost,
                "Vulkan device " + std::to_string(index) + " did not answer before and is left alone");
  }
  if (auto device = open[index].lock()) return device;
  std::shared_ptr<VulkanDevice> device(new VulkanDevice);
  TIMBRE_CHECK(device->Create(index));
  open[index] = device;
  return device;
}

Status VulkanDevice::Create(int index) {
  const Instance& instance = TheInstance();
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

namespace {

// Drivers check the cache's own header (vendor, device, build) and start afresh where it does not fit.
std::string CachePath(const VulkanDeviceInfo& info) {
  const auto folder = CacheDir();
  if (!folder) return "";
  std::string name = info.name + "-" + info.driver + "-" + info.driver_version;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  }
  return *folder + "/pipelines/" + name.substr(0, 150) + ".bin";
}

}  // namespace

void VulkanDevice::LoadPipelineCache() {
  constexpr uintmax_t kLargest = 256 << 20;
  std::vector<char> bytes;
  const std::string path = CachePath(info_);
  std::error_code error;
  if (!path.empty() && std::filesystem::is_regular_file(path, error) &&
      std::filesystem::file_size(path, error) <= kLargest) {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  cached_bytes_ = bytes.size();
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = bytes.size();
  info.pInitialData = bytes.data();
  if (vk_->CreatePipelineCache(device_, &info, nullptr, &cache_) == VK_SUCCESS) return;
  info.initialDataSize = 0;
  if (vk_->CreatePipelineCache(device_, &info, nullptr, &cache_) != VK_SUCCESS)
    cache_ = VK_NULL_HANDLE;  // slower, nothing else
}

void VulkanDevice::SavePipelineCache() {
  size_t size = 0;
  if (cache_ == VK_NULL_HANDLE || vk_->GetPipelineCacheData(device_, cache_, &size, nullptr) != VK_SUCCESS) return;
  const std::string path = CachePath(info_);
  if (size == 0 || size == cached_bytes_ || path.empty()) return;
  std::vector<char> bytes(size);
  if (vk_->GetPipelineCacheData(device_, cache_, &size, bytes.data()) != VK_SUCCESS) return;
  // A cache that can't be kept costs the next start some time: no error.
  if (!MakeFolders(std::filesystem::path(path).parent_path().string())) return;
  auto file = AtomicFile::Create(path);
  if (file && file->Write(std::as_bytes(std::span(bytes.data(), size)))) (void)file->Commit();
}

Result<VkPipeline> VulkanDevice::Pipeline(const Shader& shader, std::span<const uint32_t> specialization,
                                          FaultInjector* faults) {
  std::lock_guard lock(pipelines_mutex_);
  std::string key(shader.name);
  for (const uint32_t word : specialization) key += "," + std::to_string(word);
  if (const auto found = pipelines_.find(key); found != pipelines_.end()) return found->second;
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kPipeline, key));
  VkShaderModuleCreateInfo code{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  code.codeSize = shader.spirv.size_bytes();
  code.pCode = shader.spirv.data();
  VkShaderModule module;
  if (vk_->CreateShaderModule(device_, &code, nullptr, &module) != VK_SUCCESS) {
    return Fail(ErrorCode::kKernelFailed, info_.name + " does not take the shader '" + key + "'");
  }
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < specialization.size(); ++i) entries.push_back({i, i * 4, 4});
  const VkSpecializationInfo constants{static_cast<uint32_t>(entries.size()), entries.data(),
                                       specialization.size_bytes(), specialization.data()};
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                nullptr,
                0,
                VK_SHADER_STAGE_COMPUTE_BIT,
                module,
                "main",
                &constants};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup{
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT};
  if (shader.cooperative) {
    subgroup.requiredSubgroupSize = static_cast<uint32_t>(caps_.cooperative_matrix.subgroup);
    info.stage.pNext = &subgroup;
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
  }
  info.layout = layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  const VkResult result = vk_->CreateComputePipelines(device_, cache_, 1, &info, nullptr, &pipeline);
  vk_->DestroyShaderModule(device_, module, nullptr);
  if (result == VK_ERROR_DEVICE_LOST) return tl::unexpected<Error>(Check(result, "compile a shader").error());
  if (result != VK_SUCCESS) {
    return Fail(ErrorCode::kKernelFailed, info_.name + " could not compile the shader '" + key + "' (Vulkan error " +
                                              std::to_string(result) + ")");
  }
  pipelines_[key] = pipeline;
  return pipeline;
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

Status VulkanDevice::Wait(uint64_t submission, FaultInjector* faults) {
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
    const VkResult waited = vk_->WaitSemaphores(device_, &wait, patience_);
    if (waited == VK_TIMEOUT) {
      hung_ = true;
      HungDevices().Add(info_.index);
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
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kWait, info_.name));
  return {};
}

Status VulkanDevice::Run(const VulkanCommands& commands) {
  TIMBRE_TRY(const uint64_t submission, Submit(commands));
  return Wait(submission, commands.faults_);
}

Result<double> VulkanDevice::RunTimed(const VulkanCommands& commands) {
  const auto start = std::chrono::steady_clock::now();
  TIMBRE_CHECK(Run(commands));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::array<uint64_t, 2> ticks{};
  if (commands.clock_ == VK_NULL_HANDLE ||
      vk_->GetQueryPoolResults(device_, commands.clock_, 0, 2, sizeof(ticks), ticks.data(), sizeof(uint64_t),
                               VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT) != VK_SUCCESS)
    return seconds;
  return static_cast<double>((ticks[1] - ticks[0]) & clock_mask_) * clock_seconds_;
}

void VulkanDevice::Settle() {
  if (!hung_ && submitted_ > 0) (void)Wait(submitted_);
}

uint64_t VulkanDevice::MemoryFree() const {
  const MemoryLedger::Account account = ledger_->account();
  return account.capacity - std::min(account.capacity, account.reserved);
}

}  // namespace timbre
