#include "runtime/device/device_report.h"

#include <unistd.h>

#include "base/thread_pool.h"
#include "kernels/cpu/simd.h"
#include "runtime/check/verdicts.h"
#include "runtime/device/ledger.h"
#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

// Why `auto` does not take a device that is not `taken`.
std::string WhyNot(const VulkanDeviceInfo& device, bool another_gpu) {
  if (!device.unusable.empty()) return device.unusable;
  if (device.software()) return "a software driver computes on the processor, which the CPU's own kernels use better";
  if (another_gpu) return "another GPU comes first";
  return "auto takes discrete and integrated GPUs only";
}

double Megabytes(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// What the sessions of this process have been promised of the device's memory.
void AddAccount(const MemoryLedger::Account& account, Json& device) {
  device["memory_budget_mb"] = account.capacity > 0 ? Json(Megabytes(account.capacity)) : Json();
  device["memory_promised_mb"] = Megabytes(account.reserved);
  device["memory_most_promised_mb"] = Megabytes(account.most_reserved);
  device["memory_refusals"] = account.refused;
}

// What doctor found out about it: kernels that are left out there, and the seconds of a tile by network; null where it
// has not looked.
Json VerdictReport(const std::string& key) {
  const DeviceVerdict verdict = ReadVerdict(key);
  if (verdict.wrong.empty() && verdict.seconds.empty()) return nullptr;
  return {{"wrong_kernels", verdict.wrong}, {"tile_seconds", verdict.seconds}};
}

Json VulkanReport(const VulkanDeviceInfo& device, int taken_index) {
  const bool taken = device.index == taken_index;
  const std::string& no_matrices = device.no_cooperative_matrix;
  Json report = {{"device", "vulkan:" + std::to_string(device.index)},
                 {"kind", device.kind()},
                 {"name", device.name},
                 {"driver", device.driver},
                 {"driver_version", device.driver_version},
                 {"api_version", device.api_version},
                 {"memory_mb", static_cast<double>(device.memory_total) / 1e6},
                 {"memory_free_mb", static_cast<double>(device.memory_free) / 1e6},
                 {"float16", device.float16},
                 {"cooperative_matrix", static_cast<bool>(device.cooperative_matrix)},
                 {"why_no_cooperative_matrix", no_matrices.empty() ? Json() : Json(no_matrices)},
                 {"subgroups", device.subgroups},
                 {"doctor", VerdictReport(VerdictKey(device.name, device.driver, device.driver_version))},
                 {"taken", taken},
                 {"why_not", taken ? Json() : Json(WhyNot(device, taken_index >= 0))}};
  const std::shared_ptr<VulkanDevice> open = VulkanDevice::IfOpen(device.index);
  AddAccount(open ? open->ledger().account() : MemoryLedger::Account{.capacity = device.memory_free}, report);
  return report;
}

}  // namespace

Result<Json> DevicesReport() {
  TIMBRE_TRY(const DeviceChoice choice, ChooseDevice("auto"));
  const bool gpu = choice.vulkan_index >= 0;
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  Json report;
  report["devices"] = {{{"device", "cpu"},
                        {"kind", "CPU"},
                        {"simd_target", SimdTarget()},
                        {"simd_targets", SimdTargets()},
                        {"threads", AvailableProcessors()},
                        {"memory_mb", memory / 1e6},
                        {"doctor", VerdictReport(CpuVerdictKey())},
                        {"taken", !gpu},
                        {"why_not", gpu ? Json("a GPU comes first") : Json()}}};
  AddAccount(CpuLedger().account(), report["devices"][0]);
  if (const auto listed = ListVulkanDevices()) {
    for (const VulkanDeviceInfo& device : *listed) {
      report["devices"].push_back(VulkanReport(device, choice.vulkan_index));
    }
  } else {
    report["vulkan"] = listed.error().message;
  }
  report["auto"] = gpu ? "vulkan:" + std::to_string(choice.vulkan_index) : "cpu";
  report["reason"] = choice.reason;
  return report;
}

}  // namespace timbre
