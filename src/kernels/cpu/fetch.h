// Asking for memory before it is wanted.
#pragma once

#include <cstdint>

namespace timbre {

inline constexpr int64_t kLineFloats = 16;  // of a cache line

// Asks for the cache lines of `rows` runs of `width` floats, `ld` apart. Inline, because GCC drops calls of functions
// that do nothing but this.
[[gnu::always_inline]] inline void Fetch(const float* p, int64_t rows, int64_t width, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r, p += ld) {
    for (int64_t i = 0; i < width; i += kLineFloats) __builtin_prefetch(p + i);
    __builtin_prefetch(p + width - 1);
  }
}

}  // namespace timbre
