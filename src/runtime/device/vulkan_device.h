// A Vulkan device as the runtime uses it: buffers, pipelines, command buffers, one queue, one timeline. The loader is
// opened at run time: on a machine without Vulkan everything here says so and the program works on.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include "base/result.h"
#include "kernels/vulkan/recorder.h"
#include "runtime/device/ledger.h"
#include "runtime/session/faults.h"
#include "runtime/weights/store.h"

namespace timbre {

// Of VulkanDeviceInfo::patience_seconds: a day.
inline constexpr int kLongestPatience = 24 * 60 * 60;

struct VulkanDeviceInfo {
  int index = 0;  // among all that the loader lists: "vulkan:0"
  std::string name, driver, driver_version, api_version;
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  uint64_t memory_total = 0, memory_free = 0;  // of the largest device-local heap; free as far as the driver says
  bool float16 = false, subgroups = false;
  CooperativeMatrix cooperative_matrix;
  std::string no_cooperative_matrix;  // why kernels can have none; empty where they can
  std::string unusable;               // why it can't be used; empty where it can

  bool software() const { return type == VK_PHYSICAL_DEVICE_TYPE_CPU; }
  // How long the device may take over one submission before it counts as hung: TIMBRE_VULKAN_TIMEOUT, else 60; for a
  // software driver 600, since it does not hang as a GPU does, but may be slow and compiles shaders as it runs them.
  int patience_seconds() const;
  std::string_view kind() const;  // "discrete GPU", "integrated GPU", "software driver", …
};

// Every device that the loader lists, usable or not. An error where there is no loader.
Result<std::vector<VulkanDeviceInfo>> ListVulkanDevices();

// How many messages the validation layers gave so far. They are on where TIMBRE_VULKAN_VALIDATION is set to 1.
int64_t VulkanValidationMessages();

class VulkanDevice;

// Memory that the device sees. Movable; returns its memory when it goes.
class VulkanBuffer {
 public:
  VulkanBuffer() = default;
  VulkanBuffer(VulkanBuffer&& other) noexcept { *this = std::move(other); }
  VulkanBuffer& operator=(VulkanBuffer&& other) noexcept;
  ~VulkanBuffer();

  VkBuffer handle() const { return buffer_; }
  uint64_t bytes() const { return bytes_; }
  std::byte* mapped() const { return mapped_; }  // null where the host can't see it
  BufferRange Range(uint64_t offset, uint64_t bytes) const {
    return {reinterpret_cast<uint64_t>(buffer_), offset, bytes};
  }

 private:
  friend class VulkanDevice;
  VulkanDevice* device_ = nullptr;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  std::byte* mapped_ = nullptr;
  uint64_t bytes_ = 0;
  uint64_t allocated_ = 0;  // of the device's memory
  Reservation reserved_;
};

// Commands recorded once and submitted many times. Every command waits for those before it. They belong to one session:
// its faults are theirs.
class VulkanCommands : public VulkanRecorder {
 public:
  ~VulkanCommands() override;
  Status Dispatch(const Shader& shader, std::span<const BufferRange> bindings, std::span<const uint32_t> specialization,
                  std::span<const uint32_t> push, std::array<uint32_t, 3> groups) override;
  void Copy(const VulkanBuffer& from, uint64_t from_offset, const VulkanBuffer& to, uint64_t to_offset, uint64_t bytes);
  void BeginTiming();
  void EndTiming();
  Status End();

 private:
  friend class VulkanDevice;
  VulkanCommands() = default;
  Status NewPool();

  VulkanDevice* device_ = nullptr;
  FaultInjector* faults_ = nullptr;
  // Of their own: pools may not be used by several threads at a time.
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkQueryPool clock_ = VK_NULL_HANDLE;  // null until they are timed, and where the queue has no timestamps
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  std::vector<VkDescriptorPool> pools_;
  int sets_left_ = 0;
};

// Shared by all sessions that use the device, from whatever threads. Faults are those of the session that calls:
// `faults` may be null.
class VulkanDevice {
 public:
  // One device object per index and process, as long as somebody holds it. Errors: kDeviceLost, also for the rest of
  // the process where the device did not answer in time once.
  static Result<std::shared_ptr<VulkanDevice>> Open(int index);
  // That object, where somebody holds it now; else null.
  static std::shared_ptr<VulkanDevice> IfOpen(int index);
  ~VulkanDevice();

  const VulkanDeviceInfo& info() const { return info_; }
  const DeviceCaps& caps() const { return caps_; }
  uint64_t alignment() const { return alignment_; }  // of a binding's offset

  // kDevice: the device's own memory. kHost: the host's, mapped and coherent. kSpilled: what belongs on the device and
  // has no room there; the host's, where the two have memory of their own.
  enum class Placement { kDevice, kHost, kSpilled };
  // `reserved`: what the ledger has promised for kDevice memory; it is asked where that is nothing. Errors:
  // kOutOfMemory.
  Result<VulkanBuffer> Allocate(uint64_t bytes, Placement placement, FaultInjector* faults = nullptr,
                                Reservation reserved = {});
  // Of the largest device-local heap: kDevice buffers, and what plans will allocate.
  MemoryLedger& ledger() { return *ledger_; }
  // A buffer that holds these bytes already, or null; and one that does from here on, for as long as somebody has it.
  std::shared_ptr<const VulkanBuffer> Holding(const ContentId& content);
  std::shared_ptr<const VulkanBuffer> Hold(const ContentId& content, VulkanBuffer buffer);
  void Hold(const ContentId& content, const std::shared_ptr<const VulkanBuffer>& buffer);
  int64_t held_bytes();  // of all that is held so
  // Locked while a plan's weights are brought here: of two sessions of one model at once, the second then finds those
  // of the first, where else both would find none and bring their own.
  std::mutex& bringing() { return bringing_mutex_; }
  // Whether kDevice memory can be mapped too: the host then reads and writes it in place.
  bool unified() const { return unified_; }

  Result<std::unique_ptr<VulkanCommands>> Record(FaultInjector* faults = nullptr);
  // Submits; commands run in the order of their submission. What Wait takes. The same commands may be submitted again
  // before they are done.
  Result<uint64_t> Submit(const VulkanCommands& commands);
  // Waits for a submission, and with it for all before. Errors: kOutOfMemory; kDeviceLost, also where the device does
  // not answer in time (VulkanDeviceInfo::patience_seconds). `cancelled` (optional) ends a wait: kCancelled, at once
  // where that is done soon, else after kGraceSeconds with the device given up as one that does not answer.
  Status Wait(uint64_t submission, FaultInjector* faults = nullptr, const std::atomic<bool>* cancelled = nullptr);
  static constexpr int kGraceSeconds = 5;
  // Submits, and waits.
  Status Run(const VulkanCommands& commands, const std::atomic<bool>* cancelled = nullptr);
  // The same, and the seconds that the device took from BeginTiming to EndTiming; by the host's clock where the device
  // has none.
  Result<double> RunTimed(const VulkanCommands& commands, const std::atomic<bool>* cancelled = nullptr);
  // Waits for what was submitted so far, unless the device is known not to answer: before what may be in use is
  // destroyed. `cancelled`: as Wait has it.
  void Settle(const std::atomic<bool>* cancelled = nullptr);

  // Bytes of the largest device-local heap that this process may have, as far as the driver says, now, and are
  // promised to nobody.
  uint64_t MemoryFree() const;

  // As if bindings spanned no more: for tests of what is cut into parts. Sessions made before are not to run any more.
  void set_max_range(uint64_t bytes) { caps_.max_range = bytes; }

 private:
  friend class VulkanBuffer;
  friend class VulkanCommands;
  struct Functions;

  VulkanDevice() = default;
  Status Create(int index);
  Result<VkPipeline> Pipeline(const Shader& shader, std::span<const uint32_t> specialization, FaultInjector* faults);
  Status Check(VkResult result, const char* what) const;
  void LoadPipelineCache();
  void SavePipelineCache();

  VulkanDeviceInfo info_;
  DeviceCaps caps_;
  uint64_t alignment_ = 1;
  bool unified_ = false;
  VkPhysicalDevice physical_ = VK_NULL_HANDLE;
  VkDevice device_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  uint32_t family_ = 0;
  VkPhysicalDeviceMemoryProperties memory_{};
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  VkSemaphore timeline_ = VK_NULL_HANDLE;
  uint64_t clock_mask_ = 0;   // 0 where the queue has no timestamps
  double clock_seconds_ = 0;  // of a tick
  std::atomic<uint64_t> submitted_ = 0, done_ = 0;
  uint64_t patience_ = 0;                // nanoseconds
  std::atomic<bool> hung_ = false;       // it may be at work still: what it was given must stay
  std::atomic<uint64_t> allocated_ = 0;  // bytes of kDevice buffers
  std::unique_ptr<MemoryLedger> ledger_;
  VulkanBuffer dummy_;  // bound where a shader's input is absent
  std::map<std::string, VkPipeline> pipelines_;
  size_t cached_bytes_ = 0;
  std::unique_ptr<Functions> vk_;
  std::map<ContentId, std::weak_ptr<const VulkanBuffer>> weights_;
  std::mutex queue_mutex_, pipelines_mutex_, weights_mutex_, bringing_mutex_;
};

}  // namespace timbre
