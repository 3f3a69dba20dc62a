// Numbers too small to be normal (below 1e-38) take some processors a hundred times as long. Audio that fades to
// silence is full of them.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#include <cstdint>

namespace timbre {

// While it lives, this thread treats such numbers as zero, in operands and results.
class ScopedFlushDenormals {
 public:
  ScopedFlushDenormals() : saved_(Get()) {
#if defined(__x86_64__)
    Set(saved_ | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
    Set(saved_ | (uint64_t{1} << 24));  // FZ
#endif
  }
  ~ScopedFlushDenormals() { Set(saved_); }
  ScopedFlushDenormals(const ScopedFlushDenormals&) = delete;
  ScopedFlushDenormals& operator=(const ScopedFlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static uint64_t Get() { return _mm_getcsr(); }
  static void Set(uint64_t value) { _mm_setcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
  static uint64_t Get() {
    uint64_t value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void Set(uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
  static uint64_t Get() { return 0; }
  static void Set(uint64_t) {}
#endif
  uint64_t saved_;
};

}  // namespace timbre
