#include "runtime/device/ledger.h"

#include <algorithm>
#include <utility>

#include "base/control_group.h"
#include "runtime/weights/store.h"

namespace timbre {

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  std::swap(ledger_, other.ledger_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Reservation::~Reservation() {
  if (ledger_ == nullptr) return;
  std::lock_guard lock(ledger_->mutex_);
  ledger_->reserved_ -= bytes_;
}

Reservation Reservation::Part(uint64_t bytes) {
  Reservation part;
  part.ledger_ = ledger_;
  part.bytes_ = std::min(bytes, bytes_);
  bytes_ -= part.bytes_;
  return part;
}

void Reservation::Join(Reservation other) {
  if (ledger_ == nullptr) ledger_ = other.ledger_;
  bytes_ += std::exchange(other.bytes_, 0);
}

uint64_t MemoryLedger::Capacity() const {
  const uint64_t capacity = capacity_(), limit = limit_;
  return limit == 0 ? capacity : capacity == 0 ? limit : std::min(capacity, limit);
}

Result<Reservation> MemoryLedger::Reserve(uint64_t bytes, FaultInjector* faults) {
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kReserve, device_));
  const uint64_t capacity = Capacity();  // asks the system: not under the lock
  {
    std::lock_guard lock(mutex_);
    if (capacity == 0 || (reserved_ <= capacity && bytes <= capacity - reserved_)) {
      Reservation made;
      made.ledger_ = this;
      made.bytes_ = bytes;
      reserved_ += bytes;
      most_ = std::max(most_, reserved_);
      return made;
    }
    ++refused_;
  }
  return Fail(ErrorCode::kOutOfMemory, device_ + " has no " + std::to_string(bytes >> 20) + " MiB free (" + Summary() +
                                           " are taken); use a smaller batch or a smaller tile");
}

Reservation MemoryLedger::Note(uint64_t bytes) {
  Reservation made;
  made.ledger_ = this;
  made.bytes_ = bytes;
  std::lock_guard lock(mutex_);
  reserved_ += bytes;
  most_ = std::max(most_, reserved_);
  return made;
}

MemoryLedger::Account MemoryLedger::account() const {
  const uint64_t capacity = Capacity();
  std::lock_guard lock(mutex_);
  return {capacity, reserved_, most_, refused_};
}

std::string MemoryLedger::Summary() const {
  const Account now = account();
  return std::to_string(now.reserved >> 20) + (now.capacity > 0 ? " of " + std::to_string(now.capacity >> 20) : "") +
         " MiB";
}

MemoryLedger& CpuLedger() {
  static MemoryLedger ledger("the CPU", [quota = MemoryQuota()]() -> uint64_t {
    const auto weights = static_cast<uint64_t>(WeightStore::Get().bytes());
    return quota == 0 ? 0 : quota - std::min(quota - 1, weights);
  });
  return ledger;
}

}  // namespace timbre
