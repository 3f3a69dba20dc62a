// Which of several fast kernels serves a node best on this machine: timed, and remembered on disk.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "kernels/kernel.h"

namespace timbre {

enum class Tune : uint8_t {
  kOff,   // the registry's order decides: the same kernels, and so the same bits, everywhere
  kFast,  // what was remembered, else the faster of one run each
  kFull,  // always measured, the best of several runs each
};

class Tuner {
 public:
  // Winners are kept in `path` (a JSON file; missing, damaged or unwritable: nothing is remembered), per kernels with
  // their versions, shapes, instruction set and number of threads.
  Tuner(Tune mode, const DeviceCaps& caps, std::string path);

  bool on() const { return mode_ != Tune::kOff; }
  // The index of the candidate to use. `time` gives one run's seconds of a candidate, or an error where it can't run.
  size_t Choose(const NodeRef& ref, std::span<const KernelRow* const> candidates,
                const std::function<Result<double>(size_t candidate)>& time);
  // Writes what was learnt, if anything was.
  void Save() const;
  int measured() const { return measured_; }

 private:
  std::string KeyOf(const NodeRef& ref, std::span<const KernelRow* const> candidates) const;

  Tune mode_;
  std::string place_;  // instruction set and threads
  std::string path_;
  std::map<std::string, std::string> winners_;
  int measured_ = 0;
};

}  // namespace timbre
