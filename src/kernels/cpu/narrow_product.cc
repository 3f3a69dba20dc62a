// Linear layers and convolutions with weights narrower than floats: halves, or bfloat16 for a matrix unit.
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/products.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

bool ConstantWeights(const NodeRef& ref) { return ref.constant(1) && (!ref.has(2) || ref.constant(2)); }

// From weight(i, j), i in [0, k), j in [0, n), and the node's bias.
template <typename Products, typename Weight>
Result<AlignedBytes> Packed(const NodeRef& ref, const GemmShape& shape, const Weight& weight) {
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(Products::Bytes(shape)));
  Products::Pack(shape, weight, bias.empty() ? nullptr : bias.data(), packed.data());
  return packed;
}

template <typename Products>
Status Multiply(const CpuCall& call, const GemmRows& rows, const GemmShape& shape) {
  Products::Multiply(rows, shape, call.packed->data(), BindEpilogue(call), call.out[0], call.ref.out().back(), 0,
                     call.scratch, call.pool);
  return {};
}

// ---- Linear over the last axis ----

GemmShape LinearShape(const NodeRef& ref) {
  const int64_t in = ref.in(1).back();
  return {.m = ref.in(0).elements() / in, .k = in, .n = ref.in(1)[-2], .glu = HasGlu(ref), .row_bytes = in * 4};
}

template <typename Products>
bool LinearSupports(const NodeRef& ref, const DeviceCaps& caps) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && attrs.groups == 1 && ConstantWeights(ref) && EpilogueServable(ref) &&
         Products::Worthwhile(LinearShape(ref), caps);
}

template <typename Products>
size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return Products::ScratchBytes(LinearShape(ref), caps.threads);
}

template <typename Products>
Result<AlignedBytes> LinearPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = LinearShape(ref);
  const FloatView weight(ref.value(1));
  return Packed<Products>(ref, shape, [&](int64_t i, int64_t j) { return weight[j * shape.k + i]; });
}

template <typename Products>
Status LinearRun(const CpuCall& call) {
  const GemmShape shape = LinearShape(call.ref);
  return Multiply<Products>(call, PlainRows(call.in[0], shape.k, shape.k), shape);
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

template <typename Products>
bool ConvSupports(const NodeRef& ref, const DeviceCaps& caps) {
  const GemmShape shape = ConvShape(ref);
  return shape.k >= kLeastTerms && shape.n >= kLeastOutputs && ref.attrs<ConvAttrs>().groups == 1 &&
         ConstantWeights(ref) && EpilogueServable(ref) && Products::Worthwhile(shape, caps);
}

template <typename Products>
size_t ConvScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return Products::ScratchBytes(ConvShape(ref), caps.threads);
}

// weight [out, in, kernel...]
template <typename Products>
Result<AlignedBytes> ConvPack(const NodeRef& ref, const DeviceCaps&) {
  const FloatView weight(ref.value(1));
  const int64_t channels = ref.in(1)[1], taps = ConvGeometryOf(ref).taps();
  return Packed<Products>(ref, ConvShape(ref), [&](int64_t i, int64_t j) {
    return weight[(j * channels + i % channels) * taps + i / channels];
  });
}

template <typename Products>
Status ConvRun(const CpuCall& call) {
  const ConvGeometry g = ConvGeometryOf(call.ref);
  const GemmShape shape = ConvShape(call.ref);
  if (g.pointwise()) return Multiply<Products>(call, PlainRows(call.in[0], g.c, g.c), shape);
  return Multiply<Products>(call, ConvRows(g, call.in[0], 0, g.c), shape);
}

template <typename Products>
constexpr KernelRow LinearRow(std::string_view name) {
  return {.op = Op::kLinear,
          .device = DeviceKind::kCpu,
          .tier = Tier::kFast,
          .name = name,
          .version = 1,
          .supports = LinearSupports<Products>,
          .run = LinearRun<Products>,
          .scratch_bytes = LinearScratch<Products>,
          .pack = LinearPack<Products>,
          .packed_inputs = 0b110,
          .precision = Products::kPrecision};
}

template <typename Products>
constexpr KernelRow ConvRow(std::string_view name) {
  return {.op = Op::kConv,
          .device = DeviceKind::kCpu,
          .tier = Tier::kFast,
          .name = name,
          .version = 1,
          .supports = ConvSupports<Products>,
          .run = ConvRun<Products>,
          .scratch_bytes = ConvScratch<Products>,
          .pack = ConvPack<Products>,
          .packed_inputs = 0b110,
          .precision = Products::kPrecision};
}

const KernelRow kRows[] = {
    LinearRow<MatrixProducts<Precision::kBf16>>("linear_matrix_bf16"),
    LinearRow<MatrixProducts<Precision::kBf16x3>>("linear_matrix_bf16x3"),
    LinearRow<HalfProducts<kHalfRun>>("linear_product_f16"),
    ConvRow<MatrixProducts<Precision::kBf16>>("conv_matrix_bf16"),
    ConvRow<MatrixProducts<Precision::kBf16x3>>("conv_matrix_bf16x3"),
    ConvRow<HalfProducts<kConvHalfRun>>("conv_product_f16"),
};

}  // namespace

std::span<const KernelRow> CpuNarrowProductKernels() { return kRows; }

}  // namespace timbre
