#include "runtime/session/session.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/suggest.h"
#include "base/text.h"
#include "runtime/check/verdicts.h"
#include "runtime/device/gpu_presence.h"
#include "runtime/session/cpu_session.h"
#include "runtime/session/steps.h"
#include "runtime/session/vulkan_session.h"

namespace timbre {
namespace {

// The first usable device of a kind, or -1.
int FirstOf(std::span<const VulkanDeviceInfo> devices, VkPhysicalDeviceType type) {
  for (const VulkanDeviceInfo& d : devices) {
    if (d.type == type && d.unusable.empty()) return d.index;
  }
  return -1;
}

// How many times as fast as the CPU doctor found a device, over the networks that it timed on both; 0: not known.
double MeasuredSpeed(const VulkanDeviceInfo& device) {
  const auto cpu = ReadVerdict(CpuVerdictKey()).seconds;
  double logs = 0;
  int count = 0;
  for (const auto& [network, seconds] :
       ReadVerdict(VerdictKey(device.name, device.driver, device.driver_version)).seconds) {
    const auto other = cpu.find(network);
    if (other == cpu.end() || !(seconds > 0) || !(other->second > 0)) continue;
    logs += std::log(other->second / seconds);
    ++count;
  }
  return count > 0 ? std::exp(logs / count) : 0;
}

std::string Rounded(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2g", value);
  return text.data();
}

// The GPUs of this machine besides one, then the CPU.
std::string OtherGpus(std::span<const VulkanDeviceInfo> devices, int but) {
  std::string others;
  for (const auto type : {VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU}) {
    for (const VulkanDeviceInfo& d : devices) {
      if (d.type == type && d.unusable.empty() && d.index != but) others += "vulkan:" + std::to_string(d.index) + ",";
    }
  }
  return others + "cpu";
}

Result<DeviceChoice> ChooseOne(const std::string& wish) {
  if (wish == "cpu") return DeviceChoice{-1, "asked for"};
  const char* const none = "there is no GPU with a Vulkan driver";
  if (wish == "auto" && !MayHaveGpu()) return DeviceChoice{-1, none};
  auto listed = ListVulkanDevices();
  const std::vector<VulkanDeviceInfo> devices = listed ? *listed : std::vector<VulkanDeviceInfo>();
  if (wish == "auto") {
    // A software driver computes on the same processor that the CPU kernels use better.
    for (const auto& [type, name] :
         {std::pair{VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "a discrete GPU comes first"},
          std::pair{VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, "an integrated GPU comes before the CPU"}}) {
      const int index = FirstOf(devices, type);
      if (index < 0) continue;
      const VulkanDeviceInfo& d =
          *std::find_if(devices.begin(), devices.end(), [&](const auto& e) { return e.index == index; });
      const double speed = MeasuredSpeed(d);
      if (speed == 0) return DeviceChoice{index, name, OtherGpus(devices, index)};
      const std::string measured =
          "timbre doctor measured " + d.name + " at " + Rounded(speed) + " times the CPU's speed";
      return DeviceChoice{speed >= 1 ? index : -1, measured, OtherGpus(devices, index)};
    }
    return DeviceChoice{-1, listed ? none : listed.error().message};
  }
  std::vector<std::string> names{"auto", "cpu", "vulkan"};
  for (const VulkanDeviceInfo& d : devices) {
    names.push_back("vulkan:" + std::to_string(d.index));
    names.push_back(d.name);
  }
  if (wish == "vulkan") {
    if (!listed) return tl::unexpected<Error>(listed.error());
    for (const auto type :
         {VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
          VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, VK_PHYSICAL_DEVICE_TYPE_OTHER, VK_PHYSICAL_DEVICE_TYPE_CPU}) {
      if (const int index = FirstOf(devices, type); index >= 0) return DeviceChoice{index, "asked for"};
    }
    return Fail(ErrorCode::kNotFound, "no device with a usable Vulkan driver is on this machine");
  }
  for (const VulkanDeviceInfo& d : devices) {
    if (wish == d.name || wish == "vulkan:" + std::to_string(d.index)) return DeviceChoice{d.index, "asked for"};
  }
  if (wish.starts_with("vulkan:") && !listed) return tl::unexpected<Error>(listed.error());
  return Fail(ErrorCode::kNotFound, "there is no device '" + Printable(wish) + "'." + SuggestionFor(wish, names));
}

}  // namespace

Result<DeviceChoice> ChooseDevice(const std::string& wish) {
  auto whole = ChooseOne(wish);  // a device's name may have commas in it
  const size_t comma = wish.find(',');
  if (whole || comma == std::string::npos) return whole;
  TIMBRE_TRY(DeviceChoice first, ChooseOne(wish.substr(0, comma)));
  first.next = wish.substr(comma + 1);
  TIMBRE_CHECK(ChooseDevice(first.next).map([](const auto&) {}));
  return first;
}

Status Session::Start(int, std::span<const float* const> inputs) {
  started_.assign(inputs.begin(), inputs.end());
  return {};
}

Status Session::Finish(int, std::span<float* const> outputs) { return Run(started_, outputs); }

Status Session::SetBits(ScalarId id, DType dtype, uint32_t bits) {
  const std::vector<ScalarInfo>& all = graph().scalars;
  if (id < 0 || id >= static_cast<ScalarId>(all.size()))
    return Fail(ErrorCode::kInvalidArgument, graph().name + ": it has no such scalar");
  const ScalarInfo& scalar = all[static_cast<size_t>(id)];
  if (scalar.dtype != dtype) {
    return Fail(ErrorCode::kInvalidArgument, graph().name + ": the scalar '" + scalar.name + "' is of type " +
                                                 std::string(NameOf(scalar.dtype)) + ", not " +
                                                 std::string(NameOf(dtype)));
  }
  scalars_[static_cast<size_t>(id)] = bits;
  return {};
}

Status Session::SetScalar(ScalarId id, int32_t value) { return SetBits(id, DType::kI32, static_cast<uint32_t>(value)); }
Status Session::SetScalar(ScalarId id, float value) { return SetBits(id, DType::kF32, std::bit_cast<uint32_t>(value)); }

namespace {

Result<ScalarId> Named(const Graph& graph, std::string_view name) {
  const ScalarId id = graph.FindScalar(name);
  if (id == kNoScalar)
    return Fail(ErrorCode::kInvalidArgument, graph.name + ": it has no scalar '" + std::string(name) + "'");
  return id;
}

}  // namespace

Status Session::SetScalar(std::string_view name, int32_t value) {
  TIMBRE_TRY(const ScalarId id, Named(graph(), name));
  return SetScalar(id, value);
}
Status Session::SetScalar(std::string_view name, float value) {
  TIMBRE_TRY(const ScalarId id, Named(graph(), name));
  return SetScalar(id, value);
}

Status Session::SetScalars(std::span<const uint32_t> values) {
  if (values.size() != scalars_.size())
    return Fail(ErrorCode::kInvalidArgument, graph().name + ": it has " + std::to_string(scalars_.size()) + " scalars");
  scalars_.assign(values.begin(), values.end());
  return {};
}

int LargestBatch(uint64_t free, uint64_t weights, uint64_t tile, int most) {
  // The driver, other programs and the staging of copies want some too.
  const uint64_t usable = free / 10 * 8;
  int batch = 1;
  while (batch * 2 <= most && weights + tile * static_cast<uint64_t>(batch) * 2 <= usable) batch *= 2;
  return batch;
}

Result<int> BatchThatFits(const Graph& graph, const SessionOptions& options, int most) {
  if (most <= 1) return 1;
  TIMBRE_TRY(const DeviceChoice choice, ChooseDevice(options.device));
  if (choice.vulkan_index < 0) return 1;
  auto device = VulkanDevice::Open(choice.vulkan_index);
  if (!device) return 1;  // what it says, the session will say
  if ((*device)->info().type != VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU && options.memory_limit == 0) return 1;
  const uint64_t free = options.memory_limit > 0 ? options.memory_limit : (*device)->MemoryFree();
  const MemoryNeeds needs = VulkanMemoryNeeds(graph, options, **device);
  // A batch must not grow tensors beyond what a binding spans: only some kernels cut them into parts.
  uint64_t largest = 4;
  for (const TensorInfo& tensor : graph.tensors) {
    if (tensor.kind != TensorKind::kConstant)
      largest = std::max(largest, static_cast<uint64_t>(tensor.shape.elements()) * 4);
  }
  most = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(most), (*device)->caps().max_range / largest));
  if (most <= 1) return 1;
  return LargestBatch(free, needs.weights, needs.tile, most);
}

KernelCounts CountKernels(const Session& session) {
  KernelCounts counts;
  for (const NodeTiming& row : session.Profile()) {
    if (row.kernel != "none") ++counts[row.kernel];
  }
  return counts;
}

Result<std::unique_ptr<Session>> MakeSession(Graph graph, const SessionOptions& options, ThreadPool& pool,
                                             Stats* stats) {
  TIMBRE_TRY(DeviceChoice choice, ChooseDevice(options.device));
  const Steps steps(stats, options.strict);
  // The device, or null where the CPU computes.
  const auto open = [&]() -> Result<std::shared_ptr<VulkanDevice>> {
    if (choice.vulkan_index < 0) return nullptr;
    return VulkanDevice::Open(choice.vulkan_index);
  };
  // A device that fails as it is opened is as good as retired; asking for one that can't be used is the caller's
  // mistake.
  bool asked = options.device != "auto";
  const auto next = [&](const Error& error) -> Status {
    if (std::exchange(asked, false) && !steps.May(Rung::kOpen, error)) return tl::unexpected<Error>(error);
    TIMBRE_CHECK(steps.Record("device", "vulkan:" + std::to_string(choice.vulkan_index),
                              choice.next.substr(0, choice.next.find(',')), error));
    TIMBRE_TRY(choice, ChooseDevice(choice.next));
    choice.reason = error.message;
    return {};
  };
  TIMBRE_TRY(std::shared_ptr<VulkanDevice> device, Descend(open, next));
  if (device != nullptr) {
    return MakeVulkanSession(std::move(graph), options, std::move(device), pool, stats, choice.reason, choice.next);
  }
  return MakeCpuSession(std::move(graph), options, pool, stats, choice.reason);
}

}  // namespace timbre
