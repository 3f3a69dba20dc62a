// timbre devices: what can be run on here.
#include <fmt/format.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "base/thread_pool.h"
#include "kernels/cpu/simd.h"

namespace timbre::cli {
namespace {

class DevicesCommand final : public Command {
 public:
  FieldList Fields() override { return {}; }

  Status Run(Terminal& terminal, Report& report) override {
    const int threads = AvailableProcessors();
    const std::string target = SimdTarget();
    const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
    const std::string reason = "the only device there is";
    report["devices"] = {
        {{"device", "cpu"}, {"simd_target", target}, {"threads", threads}, {"memory_mb", memory / 1e6}}};
    report["auto"] = "cpu";
    report["reason"] = reason;
    terminal.Print(fmt::format("cpu   {}, {} threads, {} of memory", target, threads, BytesText(memory)));
    terminal.Print(fmt::format("auto takes cpu: {}.", reason));
    return {};
  }
};

}  // namespace

std::unique_ptr<Command> MakeDevicesCommand() { return std::make_unique<DevicesCommand>(); }

}  // namespace timbre::cli
