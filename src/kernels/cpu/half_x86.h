// For the files of half arithmetic: Highway has no target for it, so they use the compiler's own functions for one
// processor family, where the compiler is known to have them, and CurrentHalf() asks the processor. (Clang 14 has them
// only where every function may use them; it builds without.)
#pragma once

#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#define TIMBRE_HALF_X86 1
#include <immintrin.h>

#define TIMBRE_HALF __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512fp16")))
// On a lambda, whose caller it belongs to.
#define TIMBRE_HALF_INLINE __attribute__((always_inline)) TIMBRE_HALF

// GCC 12's own headers leave operands that do not matter uninitialised.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
