// Linear layers and convolutions with half-precision weights.
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/half_gemm.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

bool ConstantWeights(const NodeRef& ref) { return ref.constant(1) && (!ref.has(2) || ref.constant(2)); }

HalfLayout LayoutOf(const GemmShape& shape) { return {shape.k, shape.n, shape.glu}; }

// From weight(i, j), i in [0, k), j in [0, n), and the node's bias.
template <typename Weight>
Result<AlignedBytes> Packed(const NodeRef& ref, const GemmShape& shape, const Weight& weight) {
  const HalfLayout layout = LayoutOf(shape);
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(layout.bytes()));
  PackHalfWeights(layout, weight, bias.empty() ? nullptr : bias.data(), packed.data());
  return packed;
}

Status Multiply(const CpuCall& call, const GemmRows& rows, const GemmShape& shape, int64_t run) {
  HalfGemm(rows, shape, call.packed->data(), BindEpilogue(call), call.out[0], call.ref.out().back(), 0, call.scratch,
           call.pool, nullptr, run);
  return {};
}

// ---- Linear over the last axis ----

GemmShape LinearShape(const NodeRef& ref) {
  const int64_t in = ref.in(1).back();
  return {.m = ref.in(0).elements() / in, .k = in, .n = ref.in(1)[-2], .glu = HasGlu(ref), .row_bytes = in * 4};
}

bool LinearSupports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && attrs.groups == 1 && ConstantWeights(ref) && EpilogueServable(ref);
}

size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return HalfGemmScratchBytes(LinearShape(ref), caps.threads);
}

Result<AlignedBytes> LinearPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = LinearShape(ref);
  const FloatView weight(ref.value(1));
  return Packed(ref, shape, [&](int64_t i, int64_t j) { return weight[j * shape.k + i]; });
}

Status LinearRun(const CpuCall& call) {
  const GemmShape shape = LinearShape(call.ref);
  return Multiply(call, PlainRows(call.in[0], shape.k, shape.k), shape, kHalfRun);
}

// ---- Convolution ----

GemmShape ConvShape(const NodeRef& ref) {
  const ConvGeometry g = ConvGeometryOf(ref);
  const int64_t lines = int64_t{g.kernel[0]} * g.kernel[1];
  return {.m = g.rows(),
          .k = g.c * g.taps(),
          .n = ref.in(1)[0],
          .glu = HasGlu(ref),
          .row_bytes = lines * g.stride[2] * g.c * 4};
}

// Fewer than these leave most of a register block empty, or its rows' conversion unpaid: measured against the float32
// kernels on HTDemucs' layers.
constexpr int64_t kLeastTerms = 64, kLeastOutputs = 48;

bool ConvSupports(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = ConvShape(ref);
  return shape.k >= kLeastTerms && shape.n >= kLeastOutputs && ref.attrs<ConvAttrs>().groups == 1 &&
         ConstantWeights(ref) && EpilogueServable(ref);
}

size_t ConvScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return HalfGemmScratchBytes(ConvShape(ref), caps.threads);
}

// weight [out, in, kernel...]
Result<AlignedBytes> ConvPack(const NodeRef& ref, const DeviceCaps&) {
  const FloatView weight(ref.value(1));
  const int64_t channels = ref.in(1)[1], taps = ConvGeometryOf(ref).taps();
  return Packed(ref, ConvShape(ref),
                [&](int64_t i, int64_t j) { return weight[(j * channels + i % channels) * taps + i / channels]; });
}

Status ConvRun(const CpuCall& call) {
  const ConvGeometry g = ConvGeometryOf(call.ref);
  const GemmShape shape = ConvShape(call.ref);
  if (g.pointwise()) return Multiply(call, PlainRows(call.in[0], g.c, g.c), shape, kConvHalfRun);
  return Multiply(call, ConvRows(g, call.in[0], 0, g.c), shape, kConvHalfRun);
}

constexpr uint32_t kWeightAndBias = 0b110;

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_product_f16", 1, LinearSupports, LinearRun, LinearScratch,
     LinearPack, kWeightAndBias, Precision::kF16},
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_product_f16", 1, ConvSupports, ConvRun, ConvScratch, ConvPack,
     kWeightAndBias, Precision::kF16},
};

}  // namespace

std::span<const KernelRow> CpuHalfProductKernels() { return kRows; }

}  // namespace timbre
