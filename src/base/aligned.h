// Owned, aligned, possibly failing memory: allocation returns an error instead of throwing, so that the ladder can act
// on it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"

namespace timbre {

inline constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 vector

struct FreeAligned {
  size_t mapped = 0;  // bytes of the mapping; 0: it lies in the heap
  void operator()(std::byte* p) const;
};

// A fixed block of bytes aligned to kAlignment. Uninitialised unless said otherwise. Movable, not copyable.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  // Fails with kOutOfMemory. `bytes` may be 0. Blocks of 2 MiB and more ask for huge pages.
  static Result<AlignedBytes> Allocate(size_t bytes, bool zeroed = false);

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  float* f32() { return reinterpret_cast<float*>(data_.get()); }
  const float* f32() const { return reinterpret_cast<const float*>(data_.get()); }

 private:
  std::unique_ptr<std::byte, FreeAligned> data_;
  size_t size_ = 0;
};

}  // namespace timbre
