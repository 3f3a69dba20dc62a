#include "base/aligned.h"

#include <sys/mman.h>

#include <cstring>

namespace timbre {

Result<AlignedBytes> AlignedBytes::Allocate(size_t bytes, bool zeroed) {
  constexpr size_t kHugePage = size_t{2} << 20;
  AlignedBytes block;
  block.size_ = bytes;
  if (bytes == 0) return block;
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded);
  if (p == nullptr) {
    return Fail(ErrorCode::kOutOfMemory, "could not allocate " + std::to_string(bytes >> 20) +
                                             " MiB; close other programs or use a smaller batch");
  }
#ifdef MADV_HUGEPAGE
  if (alignment == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);  // advice only: a refusal costs speed, nothing else
#endif
  if (zeroed) std::memset(p, 0, bytes);
  block.data_.reset(static_cast<std::byte*>(p));
  return block;
}

}  // namespace timbre
