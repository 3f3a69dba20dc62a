// Packed weights, held once for all the sessions of this process that need the same.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "base/aligned.h"

namespace timbre {

// What bytes are known by: their number and two hashes of 64 bits.
struct ContentId {
  uint64_t bytes = 0;
  std::array<uint64_t, 2> hash{};
  auto operator<=>(const ContentId&) const = default;
};
ContentId IdOf(std::span<const std::byte> bytes);

// Kernels pack as they like, for the shapes, the processor and the precision that they see: what comes out alike is the
// same, whoever made it, so two sessions of a model (for a prompt and a step, for one tile and two, of two jobs) share
// it, and nothing has to be said about what packing depends on. Packing takes its time in each of them all the same.
// Held as long as somebody uses it. Thread-safe.
class WeightStore {
 public:
  // The process's.
  static WeightStore& Get();

  // `bytes`, or what is held of the same content already.
  std::shared_ptr<const AlignedBytes> Share(AlignedBytes bytes);
  // Of all that is in use now.
  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<ContentId, std::weak_ptr<const AlignedBytes>> held_;
};

}  // namespace timbre
