// timbre devices: what can be computed on here, what is taken, and why not the others.
#include <fmt/format.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "base/quantities.h"
#include "base/thread_pool.h"
#include "kernels/cpu/simd.h"
#include "runtime/device/vulkan_device.h"
#include "runtime/session/session.h"

namespace timbre::cli {
namespace {

// Why `auto` does not take a device that is not `taken`.
std::string WhyNot(const VulkanDeviceInfo& device, bool another_gpu) {
  if (!device.unusable.empty()) return device.unusable;
  if (device.software()) return "a software driver computes on the processor, which the CPU's own kernels use better";
  if (another_gpu) return "another GPU comes first";
  return "auto takes discrete and integrated GPUs only";
}

class DevicesCommand final : public Command {
 public:
  FieldList Fields() override { return {}; }

  std::string Examples() const override {
    return "--device takes auto, cpu, vulkan (the first usable), vulkan:N, or a device's name.\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_TRY(const DeviceChoice choice, ChooseDevice("auto"));
    const bool gpu = choice.vulkan_index >= 0;
    const int threads = AvailableProcessors();
    const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
    const std::string why_not_cpu = gpu ? "a GPU comes first" : "";
    report["devices"] = {{{"device", "cpu"},
                          {"kind", "CPU"},
                          {"simd_target", SimdTarget()},
                          {"simd_targets", SimdTargets()},
                          {"threads", threads},
                          {"memory_mb", memory / 1e6},
                          {"taken", !gpu},
                          {"why_not", gpu ? Report(why_not_cpu) : Report()}}};
    terminal.Print(fmt::format("cpu: {}, {} threads, {} of memory", SimdTarget(), threads, BytesText(memory)));
    if (gpu) terminal.Print("  not taken by auto: " + why_not_cpu);

    const auto listed = ListVulkanDevices();
    if (!listed) {
      report["vulkan"] = listed.error().message;
      terminal.Print("no Vulkan: " + listed.error().message);
    }
    const std::vector<VulkanDeviceInfo> none;
    for (const VulkanDeviceInfo& device : listed ? *listed : none) Show(device, choice, terminal, report["devices"]);

    const std::string taken = gpu ? fmt::format("vulkan:{}", choice.vulkan_index) : "cpu";
    report["auto"] = taken;
    report["reason"] = choice.reason;
    terminal.Print(fmt::format("auto takes {}: {}", taken, choice.reason));
    return {};
  }

 private:
  static void Show(const VulkanDeviceInfo& device, const DeviceChoice& choice, Terminal& terminal, Report& devices) {
    const bool taken = device.index == choice.vulkan_index;
    const std::string why_not = taken ? "" : WhyNot(device, choice.vulkan_index >= 0);
    const std::string name = fmt::format("vulkan:{}", device.index);
    const std::string& no_matrices = device.no_cooperative_matrix;
    devices.push_back({{"device", name},
                       {"kind", device.kind()},
                       {"name", device.name},
                       {"driver", device.driver},
                       {"driver_version", device.driver_version},
                       {"api_version", device.api_version},
                       {"memory_mb", static_cast<double>(device.memory_total) / 1e6},
                       {"memory_free_mb", static_cast<double>(device.memory_free) / 1e6},
                       {"float16", device.float16},
                       {"cooperative_matrix", static_cast<bool>(device.cooperative_matrix)},
                       {"why_no_cooperative_matrix", no_matrices.empty() ? Report() : Report(no_matrices)},
                       {"subgroups", device.subgroups},
                       {"taken", taken},
                       {"why_not", taken ? Report() : Report(why_not)}});
    terminal.Print(fmt::format(
        "{}: {} ({}), {} {}, Vulkan {}, {} of memory, {} free{}{}{}", name, device.name, device.kind(), device.driver,
        device.driver_version, device.api_version, BytesText(static_cast<double>(device.memory_total)),
        BytesText(static_cast<double>(device.memory_free)), device.subgroups ? ", subgroups" : "",
        device.float16 ? ", float16" : "", device.cooperative_matrix ? ", cooperative matrices" : ""));
    if (!no_matrices.empty()) terminal.Print("  no cooperative matrices: " + no_matrices);
    if (!taken) terminal.Print("  not taken by auto: " + why_not);
  }
};

}  // namespace

std::unique_ptr<Command> MakeDevicesCommand() { return std::make_unique<DevicesCommand>(); }

}  // namespace timbre::cli
