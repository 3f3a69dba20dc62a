#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

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
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
    targets.push_back(left & -left);
  // The baseline always runs, whether or not the processor detection lists it.
  if (targets.empty() || targets.back() != HWY_STATIC_TARGET) targets.push_back(HWY_STATIC_TARGET);
  return targets;
}

}  // namespace

std::string SimdTarget() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(CurrentTarget)()); }

std::vector<std::string> SimdTargets() {
  std::vector<std::string> names;
  for (const int64_t target : Available()) names.emplace_back(hwy::TargetName(target));
  return names;
}

Status SetSimdTarget(std::string_view name) {
  if (name.empty()) {
    hwy::GetChosenTarget().DeInit();  // Highway's own choice, made anew
    return {};
  }
  std::string names;
  for (const int64_t target : Available()) {
    if (name == hwy::TargetName(target)) {
      hwy::GetChosenTarget().Update(target);
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(hwy::TargetName(target));
  }
  return Fail(ErrorCode::kInvalidArgument,
              "this machine has no SIMD target '" + Printable(name) + "'; it has " + names);
}

int SimdVectorBytes() { return HWY_DYNAMIC_DISPATCH(VectorBytes)(); }
}  // namespace timbre
#endif
