// Linear layers with half-precision weights.
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/half_gemm.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

GemmShape ShapeOf(const NodeRef& ref) {
  const Shape& weight = ref.in(1);
  const int64_t in = weight.back(), rows = ref.in(0).elements() / ref.in(0).back();
  return {.m = rows, .k = in, .n = weight[-2], .glu = HasGlu(ref), .row_bytes = ref.in(0).back() * 4};
}

HalfLayout LayoutOf(const NodeRef& ref) {
  const GemmShape shape = ShapeOf(ref);
  return {shape.k, shape.n, shape.glu};
}

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && attrs.groups == 1 && ref.constant(1) && (!ref.has(2) || ref.constant(2)) &&
         EpilogueServable(ref);
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) { return HalfGemmScratchBytes(ShapeOf(ref), caps.threads); }

Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const HalfLayout layout = LayoutOf(ref);
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(layout.bytes()));
  PackHalfWeights(
      layout, [&](int64_t i, int64_t j) { return weight[j * layout.k + i]; }, bias.empty() ? nullptr : bias.data(),
      packed.data());
  return packed;
}

Status Run(const CpuCall& call) {
  const GemmShape shape = ShapeOf(call.ref);
  const PlainRows rows(call.in[0], shape.k, shape.k);
  HalfGemm(rows, shape, call.packed->data(), BindEpilogue(call), call.out[0], call.ref.out().back(), 0, call.scratch,
           call.pool);
  return {};
}

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_product_f16", 1, Supports, Run, Scratch, Pack, 0b110,
     Precision::kF16},
};

}  // namespace

std::span<const KernelRow> CpuHalfLinearKernels() { return kRows; }

}  // namespace timbre
