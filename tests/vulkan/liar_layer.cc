// A Vulkan layer that lies: it stands between the program and a driver that works, and makes it one that does not.
// Tests name it in VK_INSTANCE_LAYERS; the lies stand in TIMBRE_LIES, separated by blanks:
//   vkQueueSubmit:3:-4     the 3rd call (from 0) returns that VkResult and does nothing; 3+: every call from there on.
//                          A wait that returns VK_TIMEOUT (2) takes its time first.
//   most:1000000           no allocation of more bytes than that
//   drop:1234              shaders of so many bytes of SPIR-V are never run, though all calls succeed; drop:0: none is
//   lack:vkQueueSubmit     the driver does not know this function
//   type:2                 the device says that it is of that VkPhysicalDeviceType
//   limit:range:1000000    and that one binding spans no more; limit:threads:64: the threads of a workgroup;
//                          limit:buffers:4: the buffers that a shader sees; limit:api:1: Vulkan 1.1
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

// Functions that may fail on purpose.
#define LIAR_FUNCTIONS(X)      \
  X(AllocateCommandBuffers)    \
  X(AllocateDescriptorSets)    \
  X(AllocateMemory)            \
  X(BeginCommandBuffer)        \
  X(BindBufferMemory)          \
  X(CreateBuffer)              \
  X(CreateCommandPool)         \
  X(CreateComputePipelines)    \
  X(CreateDescriptorPool)      \
  X(CreateDescriptorSetLayout) \
  X(CreatePipelineCache)       \
  X(CreatePipelineLayout)      \
  X(CreateSemaphore)           \
  X(CreateShaderModule)        \
  X(EndCommandBuffer)          \
  X(GetPipelineCacheData)      \
  X(MapMemory)                 \
  X(QueueSubmit)               \
  X(WaitSemaphores)

enum Function : int {
#define LIAR_NAME(name) k##name,
  LIAR_FUNCTIONS(LIAR_NAME)
#undef LIAR_NAME
      kCreateDevice,
  kFunctions
};

constexpr std::array<const char*, kFunctions> kNames = {
#define LIAR_NAME(name) "vk" #name,
    LIAR_FUNCTIONS(LIAR_NAME)
#undef LIAR_NAME
        "vkCreateDevice"};

struct Failure {
  long first = 0;
  bool lasting = false;
  VkResult result = VK_ERROR_UNKNOWN;
};

struct Lies {
  std::multimap<std::string, Failure> failures;
  std::vector<std::string> lacking;
  std::optional<VkDeviceSize> most;
  std::set<size_t> drop;
  std::optional<uint32_t> type, range, threads, buffers, api;

  Lies() {
    const char* text = std::getenv("TIMBRE_LIES");
    std::istringstream words(text == nullptr ? "" : text);
    for (std::string word; words >> word;) {
      std::vector<std::string> parts;
      std::istringstream colons(word);
      for (std::string part; std::getline(colons, part, ':');) parts.push_back(part);
      parts.resize(3);
      const auto number = [&](int i) { return std::strtoul(parts[i].c_str(), nullptr, 10); };
      if (parts[0] == "most")
        most = number(1);
      else if (parts[0] == "drop")
        drop.insert(number(1));
      else if (parts[0] == "lack")
        lacking.push_back(parts[1]);
      else if (parts[0] == "type")
        type = number(1);
      else if (parts[0] == "limit")
        (parts[1] == "range"     ? range
         : parts[1] == "threads" ? threads
         : parts[1] == "buffers" ? buffers
                                 : api) = number(2);
      else
        failures.emplace(parts[0], Failure{std::strtol(parts[1].c_str(), nullptr, 10), parts[1].ends_with('+'),
                                           static_cast<VkResult>(std::strtol(parts[2].c_str(), nullptr, 10))});
    }
  }
};

const Lies& TheLies() {
  static const Lies lies;
  return lies;
}

std::mutex mutex;
std::array<long, kFunctions> calls{};
std::array<PFN_vkVoidFunction, kFunctions> next{};
PFN_vkGetInstanceProcAddr next_instance = nullptr;
PFN_vkGetDeviceProcAddr next_device = nullptr;
VkInstance instance = VK_NULL_HANDLE;
std::map<VkShaderModule, size_t> modules;
std::map<VkPipeline, size_t> pipelines;
std::map<VkCommandBuffer, size_t> bound;

// What this call is to return instead of being made; nothing where it is to be honest.
std::optional<VkResult> Told(int function) {
  std::lock_guard lock(mutex);
  const long call = calls[function]++;
  const auto [begin, end] = TheLies().failures.equal_range(kNames[function]);
  for (auto it = begin; it != end; ++it) {
    if (call == it->second.first || (it->second.lasting && call > it->second.first)) return it->second.result;
  }
  return std::nullopt;
}

template <typename F>
F Next(Function function) {
  return reinterpret_cast<F>(next[function]);
}

template <typename F>
struct Lie;
template <typename... A>
struct Lie<VkResult(VKAPI_PTR*)(A...)> {
  template <Function kFunction>
  static VKAPI_ATTR VkResult VKAPI_CALL Call(A... a) {
    if (const auto lie = Told(kFunction)) return *lie;
    return Next<VkResult(VKAPI_PTR*)(A...)>(kFunction)(a...);
  }
};

VKAPI_ATTR VkResult VKAPI_CALL AllocateMemory(VkDevice device, const VkMemoryAllocateInfo* info,
                                              const VkAllocationCallbacks* allocator, VkDeviceMemory* memory) {
  if (TheLies().most && info->allocationSize > *TheLies().most) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  return Lie<PFN_vkAllocateMemory>::Call<kAllocateMemory>(device, info, allocator, memory);
}

VKAPI_ATTR VkResult VKAPI_CALL WaitSemaphores(VkDevice device, const VkSemaphoreWaitInfo* info, uint64_t timeout) {
  const auto lie = Told(kWaitSemaphores);
  if (!lie) return Next<PFN_vkWaitSemaphores>(kWaitSemaphores)(device, info, timeout);
  if (*lie == VK_TIMEOUT) std::this_thread::sleep_for(std::chrono::nanoseconds(timeout));
  return *lie;
}

VKAPI_ATTR VkResult VKAPI_CALL CreateShaderModule(VkDevice device, const VkShaderModuleCreateInfo* info,
                                                  const VkAllocationCallbacks* allocator, VkShaderModule* module) {
  const VkResult result = Lie<PFN_vkCreateShaderModule>::Call<kCreateShaderModule>(device, info, allocator, module);
  std::lock_guard lock(mutex);
  if (result == VK_SUCCESS) modules[*module] = info->codeSize;
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL CreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                      const VkComputePipelineCreateInfo* infos,
                                                      const VkAllocationCallbacks* allocator, VkPipeline* made) {
  const VkResult result =
      Lie<PFN_vkCreateComputePipelines>::Call<kCreateComputePipelines>(device, cache, count, infos, allocator, made);
  std::lock_guard lock(mutex);
  for (uint32_t i = 0; result == VK_SUCCESS && i < count; ++i) pipelines[made[i]] = modules[infos[i].stage.module];
  return result;
}

PFN_vkCmdBindPipeline next_bind = nullptr;
PFN_vkCmdDispatch next_dispatch = nullptr;

VKAPI_ATTR void VKAPI_CALL CmdBindPipeline(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline) {
  {
    std::lock_guard lock(mutex);
    bound[commands] = pipelines[pipeline];
  }
  next_bind(commands, point, pipeline);
}

VKAPI_ATTR void VKAPI_CALL CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
  if (const std::set<size_t>& drop = TheLies().drop; !drop.empty()) {
    std::lock_guard lock(mutex);
    if (drop.contains(0) || drop.contains(bound[commands])) return;
  }
  next_dispatch(commands, x, y, z);
}

PFN_vkGetPhysicalDeviceProperties2 next_properties = nullptr;

VKAPI_ATTR void VKAPI_CALL GetPhysicalDeviceProperties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2* out) {
  next_properties(device, out);
  const Lies& lies = TheLies();
  VkPhysicalDeviceProperties& p = out->properties;
  if (lies.type) p.deviceType = static_cast<VkPhysicalDeviceType>(*lies.type);
  if (lies.range) p.limits.maxStorageBufferRange = *lies.range;
  if (lies.threads) p.limits.maxComputeWorkGroupInvocations = *lies.threads;
  if (lies.buffers) p.limits.maxPerStageDescriptorStorageBuffers = *lies.buffers;
  if (lies.api) p.apiVersion = VK_MAKE_API_VERSION(0, 1, *lies.api, 0);
}

// The link of the chain of layers that is ours, moved on for the next.
template <typename Info>
Info* LinkOf(const void* list, VkStructureType type) {
  auto* at = static_cast<const VkBaseInStructure*>(list);
  while (at != nullptr && !(at->sType == type && reinterpret_cast<const Info*>(at)->function == VK_LAYER_LINK_INFO))
    at = at->pNext;
  return const_cast<Info*>(reinterpret_cast<const Info*>(at));
}

VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                                              VkInstance* made) {
  auto* link = LinkOf<VkLayerInstanceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create = reinterpret_cast<PFN_vkCreateInstance>(next_instance(VK_NULL_HANDLE, "vkCreateInstance"));
  const VkResult result = create(info, allocator, made);
  if (result != VK_SUCCESS) return result;
  instance = *made;
  // Now: once the loader has put the chain together, it would answer with our own.
  next_properties =
      reinterpret_cast<PFN_vkGetPhysicalDeviceProperties2>(next_instance(instance, "vkGetPhysicalDeviceProperties2"));
  return result;
}

VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                                            const VkAllocationCallbacks* allocator, VkDevice* made) {
  if (const auto lie = Told(kCreateDevice)) return *lie;
  auto* link = LinkOf<VkLayerDeviceCreateInfo>(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (link == nullptr) return VK_ERROR_INITIALIZATION_FAILED;
  const PFN_vkGetInstanceProcAddr get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const auto create = reinterpret_cast<PFN_vkCreateDevice>(get(instance, "vkCreateDevice"));
  const VkResult result = create(physical, info, allocator, made);
  if (result != VK_SUCCESS) return result;
  for (int i = 0; i < kCreateDevice; ++i) next[i] = next_device(*made, kNames[i]);
  next_bind = reinterpret_cast<PFN_vkCmdBindPipeline>(next_device(*made, "vkCmdBindPipeline"));
  next_dispatch = reinterpret_cast<PFN_vkCmdDispatch>(next_device(*made, "vkCmdDispatch"));
  return result;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char* name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance of, const char* name);

// Our own version of a function, or null.
PFN_vkVoidFunction Own(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
#define LIAR_OWN(f) \
  if (is("vk" #f)) return reinterpret_cast<PFN_vkVoidFunction>(&(f));
  LIAR_OWN(AllocateMemory)
  LIAR_OWN(WaitSemaphores)
  LIAR_OWN(CreateShaderModule)
  LIAR_OWN(CreateComputePipelines)
  LIAR_OWN(CmdBindPipeline)
  LIAR_OWN(CmdDispatch)
  LIAR_OWN(GetPhysicalDeviceProperties2)
  LIAR_OWN(CreateInstance)
  LIAR_OWN(CreateDevice)
  LIAR_OWN(GetDeviceProcAddr)
  LIAR_OWN(GetInstanceProcAddr)
#undef LIAR_OWN
#define LIAR_OWN(f) \
  if (is("vk" #f)) return reinterpret_cast<PFN_vkVoidFunction>(&Lie<PFN_vk##f>::Call<k##f>);
  LIAR_FUNCTIONS(LIAR_OWN)
#undef LIAR_OWN
  return nullptr;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char* name) {
  for (const std::string& lacking : TheLies().lacking) {
    if (lacking == name) return nullptr;
  }
  const PFN_vkVoidFunction own = Own(name);
  return own != nullptr ? own : next_device(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance of, const char* name) {
  const PFN_vkVoidFunction own = Own(name);
  return own != nullptr ? own : next_instance(of, name);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* version) {
  version->loaderLayerInterfaceVersion = 2;
  version->pfnGetInstanceProcAddr = GetInstanceProcAddr;
  version->pfnGetDeviceProcAddr = GetDeviceProcAddr;
  version->pfnGetPhysicalDeviceProcAddr = nullptr;
  return VK_SUCCESS;
}
