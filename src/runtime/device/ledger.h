// What a device's memory is promised to: plans reserve what they will need before they allocate any of it, so that two
// that are made at a time do not both count on the same bytes, and a device that has no room says so while there is
// still another way.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "base/result.h"
#include "runtime/session/faults.h"

namespace timbre {

class MemoryLedger;

// Bytes of a device that are promised; they are free again when it goes. Its ledger outlives it.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  uint64_t bytes() const { return bytes_; }
  // So many of them, or all that there are, as a reservation of their own: for what is allocated of them.
  Reservation Part(uint64_t bytes);
  // Takes over another of the same ledger.
  void Join(Reservation other);

 private:
  friend class MemoryLedger;
  MemoryLedger* ledger_ = nullptr;
  uint64_t bytes_ = 0;
};

// One for each device of the process. Thread-safe.
class MemoryLedger {
 public:
  // `capacity`: how many bytes this process may have there, now, those that it has included; 0: not known, and nothing
  // is refused.
  MemoryLedger(std::string device, std::function<uint64_t()> capacity)
      : device_(std::move(device)), capacity_(std::move(capacity)) {}

  // Errors: kOutOfMemory where the device has no room for so much; nothing is held then. `faults` may be null.
  Result<Reservation> Reserve(uint64_t bytes, FaultInjector* faults = nullptr);
  // For what is there already, or is allocated all the same: never refused.
  Reservation Note(uint64_t bytes);

  struct Account {
    uint64_t capacity = 0;  // 0: not known
    uint64_t reserved = 0, most_reserved = 0;
    int64_t refused = 0;  // reservations
  };
  Account account() const;
  std::string Summary() const;  // "531 of 24000 MiB"

  // Less than the device has, for everything here together; 0: all.
  void SetLimit(uint64_t bytes) { limit_ = bytes; }

 private:
  friend class Reservation;
  uint64_t Capacity() const;

  const std::string device_;
  const std::function<uint64_t()> capacity_;
  std::atomic<uint64_t> limit_ = 0;
  mutable std::mutex mutex_;
  uint64_t reserved_ = 0, most_ = 0;
  int64_t refused_ = 0;
};

// The CPU's: of the machine's memory, or what the control group has of it, what packed weights do not take.
MemoryLedger& CpuLedger();

}  // namespace timbre
