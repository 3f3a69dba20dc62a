// For the files of matrix units: Highway has no target for them, so they use the compiler's own functions for one
// processor family, where the compiler has them, and ask the processor.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define TIMBRE_MATRIX_X86 1
#include <cpuid.h>
#include <immintrin.h>

#include <cstdint>

#define TIMBRE_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

// GCC 12's own headers leave operands that do not matter uninitialised.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
