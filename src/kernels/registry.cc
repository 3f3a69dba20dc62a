#include <algorithm>
#include <array>

#include "kernels/kernel.h"

namespace timbre {

#define TIMBRE_KERNELS(function) std::span<const KernelRow> function();
#include "kernels/kernels.inc"
#undef TIMBRE_KERNELS

namespace {

constexpr size_t kOps = static_cast<size_t>(Op::kCount), kDevices = 2;

struct Registry {
  std::array<std::array<std::vector<const KernelRow*>, kDevices>, kOps> rows;

  Registry() {
    using Rows = std::span<const KernelRow> (*)();
    static constexpr Rows kFiles[] = {
#define TIMBRE_KERNELS(function) &(function),
#include "kernels/kernels.inc"
#undef TIMBRE_KERNELS
    };
    for (const Rows file : kFiles) {
      for (const KernelRow& row : file())
        rows[static_cast<size_t>(row.op)][static_cast<size_t>(row.device)].push_back(&row);
    }
    for (auto& devices : rows) {
      for (auto& list : devices) {
        std::stable_sort(list.begin(), list.end(),
                         [](const KernelRow* a, const KernelRow* b) { return a->tier < b->tier; });
      }
    }
  }
};

const Registry& TheRegistry() {
  static const Registry registry;
  return registry;
}

}  // namespace

std::span<const KernelRow* const> KernelsFor(Op op, DeviceKind device) {
  return TheRegistry().rows[static_cast<size_t>(op)][static_cast<size_t>(device)];
}

std::vector<const KernelRow*> AllKernels() {
  std::vector<const KernelRow*> all;
  for (const auto& devices : TheRegistry().rows) {
    for (const auto& list : devices) all.insert(all.end(), list.begin(), list.end());
  }
  return all;
}

std::string_view NameOf(DeviceKind kind) { return kind == DeviceKind::kCpu ? "cpu" : "vulkan"; }
std::string_view NameOf(Precision precision) {
  switch (precision) {
    case Precision::kF32: break;
    case Precision::kF16: return "f16";
    case Precision::kBf16x3: return "bf16x3";
    case Precision::kBf16: return "bf16";
  }
  return "f32";
}
std::string_view NameOf(Tier tier) { return tier == Tier::kFast ? "fast" : "reference"; }

}  // namespace timbre
