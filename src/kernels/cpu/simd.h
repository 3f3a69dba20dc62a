// Which of Highway's targets the CPU kernels are compiled for, and which of those is in use.
#pragma once

#include <hwy/base.h>

// Set before Highway's other headers. Dropped: SSSE3 and AVX3's successors, of which newer versions know more, which
// bring nothing to float32 arithmetic and double the time to compile, and SVE, whose vectors have no fixed size. What
// is left on x86-64: AVX3, AVX2, SSE4 and the plain baseline.
#ifdef HWY_VERSION_GE
#define TIMBRE_NEWER_AVX3 (HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
#else
#define TIMBRE_NEWER_AVX3 0
#endif
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | TIMBRE_NEWER_AVX3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

// The target that kernels run with: the best this machine has, unless SetSimdTarget named a lower one. AMX and
// AVX3_BF16 are AVX3 with a matrix unit, which `--precision bf16` and `bf16x3` multiply on; without one they are named
// after Highway's target.
std::string SimdTarget();

// Every target that was compiled and that this machine can run, best first.
std::vector<std::string> SimdTargets();

// The vectors of the target in use, as Highway calls them.
std::string SimdVectorTarget();

// The matrix unit of the target in use, as far as is known before the system is asked for it: see matrix_unit.h.
enum class SimdMatrix : uint8_t { kNone, kAvx512Bf16, kAmx };
SimdMatrix SimdMatrixInUse();
// Whether `target` is another one with a matrix unit, so that what does not multiply on it is the same code on both.
bool IsMatrixTarget(std::string_view target);

// Makes every later call use `name` ("" = the best again): Highway's in the whole process, so for programs alone.
// Packed weights belong to their target: sessions made before must not run after. Not safe while kernels run. Fails
// where the machine lacks the target.
Status SetSimdTarget(std::string_view name);

// Bytes in a vector of the target in use.
int SimdVectorBytes();

}  // namespace timbre
