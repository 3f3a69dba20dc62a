#include "base/aligned.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace timbre {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// From here on blocks come from the system and go back to it whole: in the heap, what was freed between them would stay
// in memory.
constexpr size_t kOwnPages = size_t{1} << 20;

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool kHeapOnly = true;  // the sanitizer watches the heap alone
#else
constexpr bool kHeapOnly = false;
#endif

// `bytes`, a multiple of a page, at a multiple of `alignment`; null where the system has no more.
void* MapAligned(size_t bytes, size_t alignment) {
  void* p = mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  auto* const first = static_cast<std::byte*>(p);
  const size_t before = (alignment - reinterpret_cast<uintptr_t>(first) % alignment) % alignment;
  if (before > 0) munmap(first, before);
  if (alignment > before) munmap(first + before + bytes, alignment - before);
  return first + before;
}

}  // namespace

void FreeAligned::operator()(std::byte* p) const {
  if (mapped > 0) {
    munmap(p, mapped);
  } else {
    std::free(p);
  }
}

Result<AlignedBytes> AlignedBytes::Allocate(size_t bytes, bool zeroed) {
  AlignedBytes block;
  block.size_ = bytes;
  if (bytes == 0) return block;
  void* p = nullptr;
  size_t mapped = 0;
  if (bytes < kOwnPages || kHeapOnly) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (rounded >= bytes) p = std::aligned_alloc(kAlignment, rounded);
    if (p != nullptr && zeroed) std::memset(p, 0, bytes);
  } else if (bytes < SIZE_MAX - 2 * kHugePage) {
    static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped = (bytes + page - 1) / page * page;
    p = MapAligned(mapped, bytes >= kHugePage ? kHugePage : page);
#ifdef MADV_HUGEPAGE
    // The rest, which does not fill a huge page, would take a whole one. Advice only: a refusal costs speed, nothing
    // else.
    if (p != nullptr && bytes >= kHugePage) madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  }
  if (p == nullptr) {
    return Fail(ErrorCode::kOutOfMemory, "could not allocate " + std::to_string(bytes >> 20) +
                                             " MiB; close other programs or use a smaller batch");
  }
  block.data_ = std::unique_ptr<std::byte, FreeAligned>(static_cast<std::byte*>(p), FreeAligned{mapped});
  return block;
}

}  // namespace timbre
