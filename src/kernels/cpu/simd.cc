#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include <cstdlib>
#include <mutex>

#include "base/log.h"
#include "base/text.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
int64_t CurrentTarget() { return HWY_TARGET; }
int VectorBytes() { return static_cast<int>(hwy::HWY_NAMESPACE::Lanes(hwy::HWY_NAMESPACE::ScalableTag<uint8_t>())); }
}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(CurrentTarget);
HWY_EXPORT(VectorBytes);

namespace {

std::vector<int64_t> Available() {
  std::vector<int64_t> targets;
  hwy::SetSupportedTargetsForTest(0);
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
    targets.push_back(left & -left);
  // The baseline always runs, whether or not the processor detection lists it.
  if (targets.empty() || targets.back() != HWY_STATIC_TARGET) targets.push_back(HWY_STATIC_TARGET);
  return targets;
}

Status Use(std::string_view name) {
  const std::vector<int64_t> targets = Available();
  int64_t chosen = name.empty() ? targets[0] : 0;
  std::string names;
  for (const int64_t target : targets) {
    if (name == hwy::TargetName(target)) chosen = target;
    names += (names.empty() ? "" : ", ") + std::string(hwy::TargetName(target));
  }
  if (chosen == 0) {
    // Undo what Available() may have reset.
    hwy::GetChosenTarget().DeInit();
    return Fail(ErrorCode::kInvalidArgument,
                "this machine has no SIMD target '" + Printable(name) + "'; it has " + names);
  }
  hwy::SetSupportedTargetsForTest(chosen);
  hwy::GetChosenTarget().DeInit();
  return {};
}

// What the environment asks for, before anything is dispatched. An unknown name leaves the best target in use: a
// library's host must not fail for it, and the program has looked at it before.
void ReadEnvironmentOnce() {
  static std::once_flag flag;
  std::call_once(flag, [] {
    const char* name = std::getenv("TIMBRE_SIMD");
    const Status used = Use(name == nullptr ? "" : name);
    if (used) return;
    Log(LogLevel::kWarning, "TIMBRE_SIMD is not heeded: " + used.error().message);
    (void)Use("");
  });
}

}  // namespace

std::string SimdTarget() {
  ReadEnvironmentOnce();
  return hwy::TargetName(HWY_DYNAMIC_DISPATCH(CurrentTarget)());
}

std::vector<std::string> SimdTargets() {
  const std::string current = SimdTarget();
  std::vector<std::string> names;
  for (const int64_t target : Available()) names.emplace_back(hwy::TargetName(target));
  (void)Use(current);
  return names;
}

Status SetSimdTarget(std::string_view name) {
  const std::string current = SimdTarget();
  Status status = Use(name);
  if (!status) (void)Use(current);
  return status;
}

int SimdVectorBytes() {
  ReadEnvironmentOnce();
  return HWY_DYNAMIC_DISPATCH(VectorBytes)();
}
}  // namespace timbre
#endif
