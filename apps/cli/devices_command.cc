// timbre devices: what can be computed on here, what is taken, and why not the others; and what sound comes from and
// goes to.
#include <fmt/format.h>

#include "apps/cli/command.h"
#include "apps/cli/live_audio.h"
#include "base/quantities.h"
#include "runtime/device/device_report.h"

namespace timbre::cli {
namespace {

class DevicesCommand final : public Command {
 public:
  FieldList Fields() override { return {}; }

  std::string Examples() const override {
    return "--device takes auto, cpu, vulkan (the first usable), vulkan:N, or a device's name.\n"
           "'timbre denoise --live' takes sound devices, by their numbers or a part of their names: --in, --out.\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    const Result<std::vector<SoundDevice>> sound = SoundDevices();
    TIMBRE_TRY(const Report devices, DevicesReport());
    report.update(devices);
    for (const Report& device : devices["devices"]) {
      const bool cpu = device["device"] == "cpu";
      terminal.Print(cpu ? CpuText(device) : GpuText(device));
      if (!cpu && device["why_no_cooperative_matrix"].is_string()) {
        terminal.Print("  no cooperative matrices: " + TextOf(device, "why_no_cooperative_matrix"));
      }
      if (!device["taken"].get<bool>()) terminal.Print("  not taken by auto: " + TextOf(device, "why_not"));
      if (cpu && devices.contains("vulkan")) terminal.Print("no Vulkan: " + TextOf(devices, "vulkan"));
    }
    terminal.Print(fmt::format("auto takes {}: {}", TextOf(devices, "auto"), TextOf(devices, "reason")));
    PrintSound(sound, terminal, report);
    return {};
  }

 private:
  // A machine without sound is none that is broken.
  static void PrintSound(const Result<std::vector<SoundDevice>>& devices, Terminal& terminal, Report& report) {
    report["sound"] = Report::array();
    if (!devices) return terminal.Print("no sound: " + devices.error().message);
    for (const SoundDevice& device : *devices) {
      report["sound"].push_back({{"index", device.index},
                                 {"name", device.name},
                                 {"system", device.system},
                                 {"inputs", device.inputs},
                                 {"outputs", device.outputs},
                                 {"sample_rate", device.sample_rate},
                                 {"default_input", device.default_input},
                                 {"default_output", device.default_output}});
      terminal.Print(fmt::format("sound {}: {} ({}), {} in, {} out{}{}", device.index, device.name, device.system,
                                 device.inputs, device.outputs, device.default_input ? ", records by default" : "",
                                 device.default_output ? ", plays by default" : ""));
    }
    if (devices->empty()) terminal.Print("sound: no device");
  }

  static std::string TextOf(const Report& of, const char* key) { return of.at(key).get<std::string>(); }
  static std::string Memory(const Report& device, const char* key) {
    return BytesText(device.at(key).get<double>() * 1e6);
  }

  static std::string CpuText(const Report& cpu) {
    const std::string budget =
        cpu["memory_budget_mb"].is_null() ? "" : ", " + Memory(cpu, "memory_budget_mb") + " of them for timbre";
    return fmt::format("cpu: {}, {} threads, {} of memory{}", TextOf(cpu, "simd_target"), cpu["threads"].get<int>(),
                       Memory(cpu, "memory_mb"), budget);
  }

  static std::string GpuText(const Report& gpu) {
    const auto where = [&](const char* key, const char* text) { return gpu[key].get<bool>() ? text : ""; };
    return fmt::format("{}: {} ({}), {} {}, Vulkan {}, {} of memory, {} free{}{}{}", TextOf(gpu, "device"),
                       TextOf(gpu, "name"), TextOf(gpu, "kind"), TextOf(gpu, "driver"), TextOf(gpu, "driver_version"),
                       TextOf(gpu, "api_version"), Memory(gpu, "memory_mb"), Memory(gpu, "memory_free_mb"),
                       where("subgroups", ", subgroups"), where("float16", ", float16"),
                       where("cooperative_matrix", ", cooperative matrices"));
  }
};

}  // namespace

std::unique_ptr<Command> MakeDevicesCommand() { return std::make_unique<DevicesCommand>(); }

}  // namespace timbre::cli
