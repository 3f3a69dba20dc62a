// The options of every job that computes: where, and with which optimisations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipelines/job.h"
#include "runtime/session/session.h"

namespace timbre {

// Adds --device, --threads, --precision, --tune, --disable, --strict, --verify, --in-flight and --inject.
class RuntimeOptions {
 public:
  RuntimeOptions();  // --device defaults to the environment's TIMBRE_DEVICE, where it is set
  FieldList Fields();
  // What the fields cannot check by themselves: that the device exists, that the fault is one.
  Status Check();
  // What it points at lives as long as this, and as what `host` lends.
  SessionOptions Session(const JobHost& host = {}) const;
  bool strict() const { return options_.strict; }
  int threads() const { return options_.threads; }
  const std::string& device() const { return options_.device; }

 private:
  SessionOptions options_;
  std::string from_environment_;  // TIMBRE_DEVICE
  std::vector<std::string> disabled_;
  std::string fault_;
  std::unique_ptr<FaultInjector> injector_;
};

// The ladder's steps down: an event each, and "steps_down" of the report.
void ReportSteps(const Stats& stats, Observer& observer, Json& report);

// Peak resident memory of this process so far, in bytes; 0 where the system does not say.
double PeakMemory();

}  // namespace timbre
