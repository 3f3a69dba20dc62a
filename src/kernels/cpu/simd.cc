#include "kernels/cpu/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include <atomic>

#include "base/text.h"
#include "kernels/cpu/matrix_unit.h"

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

namespace {

constexpr std::string_view kAmx = "AMX", kAvx512Bf16 = "AVX3_BF16";

// The best matrix unit that SetSimdTarget lets kernels have.
std::atomic<SimdMatrix> most_matrix = SimdMatrix::kAmx;

// The matrix units come with AVX3's vectors.
bool Has(SimdMatrix matrix, std::string_view vectors) {
  if (!vectors.starts_with("AVX3")) return false;
  return matrix == SimdMatrix::kAmx ? HasAmx() : HasAvx512Bf16();
}

}  // namespace

std::string SimdVectorTarget() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(CurrentTarget)()); }

SimdMatrix SimdMatrixInUse() {
  const std::string vectors = SimdVectorTarget();
  for (const SimdMatrix matrix : {SimdMatrix::kAmx, SimdMatrix::kAvx512Bf16}) {
    if (most_matrix >= matrix && Has(matrix, vectors)) return matrix;
  }
  return SimdMatrix::kNone;
}

bool IsMatrixTarget(std::string_view target) { return target == kAmx || target == kAvx512Bf16; }

std::string SimdTarget() {
  const SimdMatrix matrix = SimdMatrixInUse();
  if (matrix == SimdMatrix::kNone) return SimdVectorTarget();
  return std::string(matrix == SimdMatrix::kAmx ? kAmx : kAvx512Bf16);
}

std::vector<std::string> SimdTargets() {
  std::vector<std::string> names;
  const std::vector<int64_t> targets = Available();
  const std::string_view best = hwy::TargetName(targets[0]);
  if (Has(SimdMatrix::kAmx, best)) names.emplace_back(kAmx);
  if (Has(SimdMatrix::kAvx512Bf16, best)) names.emplace_back(kAvx512Bf16);
  for (const int64_t target : targets) names.emplace_back(hwy::TargetName(target));
  return names;
}

Status SetSimdTarget(std::string_view name) {
  if (name.empty()) {
    hwy::GetChosenTarget().DeInit();  // Highway's own choice, made anew
    most_matrix = SimdMatrix::kAmx;
    return {};
  }
  const std::vector<int64_t> targets = Available();
  std::string names;
  for (const std::string& target : SimdTargets()) {
    names += (names.empty() ? "" : ", ") + target;
    if (name != target) continue;
    most_matrix = name == kAmx ? SimdMatrix::kAmx : name == kAvx512Bf16 ? SimdMatrix::kAvx512Bf16 : SimdMatrix::kNone;
    for (const int64_t vectors : targets) {
      if (name != hwy::TargetName(vectors) && !IsMatrixTarget(name)) continue;
      hwy::GetChosenTarget().Update(vectors);
      break;
    }
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              "this machine has no SIMD target '" + Printable(name) + "'; it has " + names);
}

int SimdVectorBytes() { return HWY_DYNAMIC_DISPATCH(VectorBytes)(); }
}  // namespace timbre
#endif
