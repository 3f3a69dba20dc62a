#include "pipelines/runtime_options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>

#include "base/quantities.h"
#include "base/text.h"
#include "runtime/session/steps.h"

namespace timbre {

RuntimeOptions::RuntimeOptions() {
  if (const char* device = std::getenv("TIMBRE_DEVICE"); device != nullptr && *device != '\0') {
    options_.device = from_environment_ = device;
  }
}

FieldList RuntimeOptions::Fields() {
  FieldList fields = {
      {.name = "device",
       .value = &options_.device,
       .help = "what computes; 'timbre devices' lists it; several, with commas between: each for when one fails",
       .placeholder = "NAME"},
      {.name = "threads",
       .value = &options_.threads,
       .help = "of the CPU (default: all that this process may use)",
       .min = 1,
       .max = 1024},
      ChoiceField<Precision>(
          "precision", &options_.precision,
          {{"f32", Precision::kF32},
           {"f16", Precision::kF16},
           {"bf16x3", Precision::kBf16x3},
           {"bf16", Precision::kBf16}},
          "f16: weights in half the memory, products faster and less exact; bf16: the same with AMD's "
          "AVX512-BF16, or with AMX (untried for want of such a processor), else f32; bf16x3: close "
          "to f32, for AMX"),
      ChoiceField<Tune>("tune", &options_.tune, {{"off", Tune::kOff}, {"fast", Tune::kFast}, {"full", Tune::kFull}},
                        "time the kernels that could serve a layer, and remember the best"),
      {.name = "disable",
       .value = &disabled_,
       .help = "leave out: fold, fusion, fast-kernels, attention, static-plan",
       .placeholder = "A,B",
       .choices = {"fold", "fusion", "fast-kernels", "attention", "static-plan"}},
      {.name = "strict",
       .value = &options_.strict,
       .help = "fail where a kernel would have to be replaced by a slower one"},
      {.name = "verify", .value = &options_.verify, .help = "check every node against its definition (slow)"},
      {.name = "in-flight",
       .value = &options_.in_flight,
       .help = "segments that a GPU is given before the first is done",
       .min = 1,
       .max = 16},
      {.name = "inject",
       .value = &fault_,
       .help = "fail there on purpose, to see the ladder: kernel:17, pack:3+, device:1,allocation:0",
       .placeholder = "FAULT"},
  };
  return Under("Engine", std::move(fields));
}

Status RuntimeOptions::Check() {
  if (const auto chosen = ChooseDevice(options_.device); !chosen) {
    const bool environment = !from_environment_.empty() && options_.device == from_environment_;
    return Prefix(chosen.error(), (environment ? "TIMBRE_DEVICE=" : "--device ") + Printable(options_.device));
  }
  if (fault_.empty()) return {};
  injector_ = std::make_unique<FaultInjector>();
  TIMBRE_CHECK(FaultInjector::Parse(fault_, *injector_));
  options_.faults = injector_.get();
  return {};
}

SessionOptions RuntimeOptions::Session(const JobHost& host) const {
  SessionOptions session = options_;
  session.cancelled = host.cancelled;
  const auto on = [&](const char* name) {
    return std::find(disabled_.begin(), disabled_.end(), name) == disabled_.end();
  };
  session.toggles = {.fold = on("fold"),
                     .fusion = on("fusion"),
                     .fast_kernels = on("fast-kernels"),
                     .attention = on("attention"),
                     .static_plan = on("static-plan")};
  return session;
}

void ReportSteps(const Stats& stats, Observer& observer, Json& report) {
  report["steps_down"] = Json::array();
  for (const StepDown& step : stats.steps()) {
    const Json facts = {
        {"node", step.node}, {"from", step.from}, {"to", step.to}, {"reason", step.reason}, {"count", step.count}};
    const std::string times = TimesText(step.count);
    const std::string how = step.to != OnceMore(step.from)
                                ? fmt::format("ran on {} instead of {}, {}", step.to, step.from, times)
                            : step.count == 1 ? "had to run on " + step.to
                                              : fmt::format("had to run on {}, {}", step.to, times);
    observer.OnEvent({kStepDownEvent, fmt::format("{} {}: {}", step.node, how, step.reason), facts});
    report["steps_down"].push_back(facts);
  }
}

double PeakMemory() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<double>(usage.ru_maxrss) * 1024 : 0;
}

}  // namespace timbre
