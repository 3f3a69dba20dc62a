// Faults on purpose: fail point 0, 1, 2 … in turn, and see that the run still ends well.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

// What goes wrong there is in the name: a kernel fails, memory is short, a device is lost. `memory`: a device runs
// short of it as it takes work; `hang`: it never answers; `result`: a CPU kernel succeeds with wrong numbers, which is
// nothing that the ladder can see: --verify does; `reserve`: a device's ledger has no room.
enum class FaultPoint : uint8_t {
  kKernel,
  kPack,
  kAllocation,
  kPipeline,
  kSubmit,
  kWait,
  kDevice,
  kMemory,
  kHang,
  kResult,
  kReserve
};
inline constexpr int kFaultPoints = 11;
std::string_view NameOf(FaultPoint point);

// Fails the nth pass (from 0) through one kind of point, or none; counts the passes through all of them. Several faults
// follow on each other: passes towards the second are counted from when the first one struck. Thread-safe.
class FaultInjector {
 public:
  void FailAt(FaultPoint point, int64_t nth);
  // From that pass on, every pass through the point fails.
  void FailFrom(FaultPoint point, int64_t nth);
  // Called by the runtime at each point: the injected error, or none.
  Status Pass(FaultPoint point, const std::string& where);
  int64_t passes(FaultPoint point) const;
  // How many of the faults have struck.
  size_t struck() const;
  // From "kernel:17", "allocation:3+" (the plus: from there on) or several: "device:1,allocation:0".
  static Status Parse(const std::string& text, FaultInjector& out);

 private:
  struct Fault {
    FaultPoint point;
    int64_t passes_left;
    bool lasting;
  };
  void Add(FaultPoint point, int64_t nth, bool lasting);
  static Status ParseOne(std::string_view text, FaultInjector& out);

  mutable std::mutex mutex_;
  std::map<FaultPoint, int64_t> passes_;
  std::vector<Fault> faults_;
  size_t struck_ = 0;  // faults_[struck_] is the next
};

}  // namespace timbre
