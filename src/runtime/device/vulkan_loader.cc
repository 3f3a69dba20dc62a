#include "runtime/device/vulkan_loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "base/text.h"

namespace timbre {
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

}  // namespace

std::string VulkanInstance::Open() {
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

Result<std::vector<VkPhysicalDevice>> VulkanInstance::Devices() const {
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

const VulkanInstance& TheInstance() {
  static const VulkanInstance instance;
  return instance;
}

bool HasExtension(VkPhysicalDevice device, const char* name) {
  const VulkanInstance& vk = TheInstance();
  uint32_t count = 0;
  vk.EnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> list(count);
  vk.EnumerateDeviceExtensionProperties(device, nullptr, &count, list.data());
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& e) { return std::string_view(e.extensionName) == name; });
}

int ComputeFamily(VkPhysicalDevice device) {
  const VulkanInstance& vk = TheInstance();
  uint32_t count = 0;
  vk.GetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vk.GetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  for (uint32_t i = 0; i < count; ++i) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) return static_cast<int>(i);
  }
  return -1;
}

namespace {

std::string VersionText(uint32_t v) {
  return std::to_string(VK_API_VERSION_MAJOR(v)) + "." + std::to_string(VK_API_VERSION_MINOR(v)) + "." +
         std::to_string(VK_API_VERSION_PATCH(v));
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
  const VulkanInstance& vk = TheInstance();
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

}  // namespace

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
  const VulkanInstance& vk = TheInstance();
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

}  // namespace timbre
