// Convolutions and linear layers as products over the input in place.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/gemm.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

ConvGeometry GeometryOf(const NodeRef& ref) {
  const auto& attrs = ref.attrs<ConvAttrs>();
  const Shape& x = ref.in(0);
  const Shape& y = ref.out();
  ConvGeometry g;
  g.batch = x[0];
  g.c = x.back();
  g.kernel = attrs.kernel;
  g.stride = attrs.stride;
  g.dilation = attrs.dilation;
  g.pad = attrs.pad_lo;
  for (int i = 0; i < attrs.dims; ++i) {
    g.in[3 - attrs.dims + i] = x[1 + i];
    g.out[3 - attrs.dims + i] = y[1 + i];
  }
  return g;
}

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

// ---- Convolution ----

// Groups whose outputs all fit the vector that one of them would take are one product, with zeros where a group does
// not look.
int ProductsOf(const NodeRef& ref) {
  const int groups = ref.attrs<ConvAttrs>().groups;
  const int64_t lanes = CurrentMicro().lanes, out = ref.in(1)[0];
  return out <= (out / groups + lanes - 1) / lanes * lanes ? 1 : groups;
}

GemmShape ConvShape(const NodeRef& ref) {
  const ConvGeometry g = GeometryOf(ref);
  const int64_t lines = std::max<int64_t>(1, int64_t{g.kernel[0]} * g.kernel[1]);
  const int products = ProductsOf(ref);
  return {.m = g.rows(),
          .k = g.c / products * g.taps(),
          .n = ref.in(1)[0] / products,
          .glu = HasGlu(ref),
          .row_bytes = lines * g.stride[2] * g.c * 4};
}

bool ConvSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref) &&
         (ref.attrs<ConvAttrs>().groups == 1 || !HasGlu(ref));
}

size_t ConvScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return GemmScratchBytes(ConvShape(ref), caps.threads);
}

// weight [out, in/groups, kernel...] as one block of panels for each product.
Result<AlignedBytes> ConvPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = ConvShape(ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int products = ProductsOf(ref);
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  const int64_t of_group = ref.in(1)[1], of_product = ref.in(0).back() / products, taps = shape.k / of_product;
  const int64_t outputs_of_group = ref.in(1)[0] / ref.attrs<ConvAttrs>().groups;
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(products * layout.floats() * sizeof(float)));
  for (int p = 0; p < products; ++p) {
    const auto at = [&](int64_t i, int64_t j) {
      const int64_t output = p * shape.n + j, channel = p * of_product + i % of_product;
      if (channel / of_group != output / outputs_of_group) return 0.0f;
      return weight[(output * of_group + channel % of_group) * taps + i / of_product];
    };
    PackWeights(layout, at, bias.empty() ? nullptr : bias.data() + p * shape.n, packed.f32() + p * layout.floats());
  }
  return packed;
}

Status ConvRun(const CpuCall& call) {
  const ConvGeometry g = GeometryOf(call.ref);
  const GemmShape shape = ConvShape(call.ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int products = ProductsOf(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t channels = g.c / products;
  for (int p = 0; p < products; ++p) {
    const float* packed = call.packed->f32() + p * layout.floats();
    if (g.pointwise()) {
      const PlainRows rows(call.in[0] + p * channels, g.c, channels);
      Gemm(rows, shape, packed, epilogue, call.out[0], call.ref.out().back(), p * shape.n, call.scratch, call.pool);
    } else {
      const ConvRows rows(g, call.in[0], p * channels, channels);
      Gemm(rows, shape, packed, epilogue, call.out[0], call.ref.out().back(), p * shape.n, call.scratch, call.pool);
    }
  }
  return {};
}

// ---- Linear over the last axis ----

GemmShape LinearShape(const NodeRef& ref) {
  const Shape& weight = ref.in(1);
  const int64_t in = weight.back(), rows = ref.in(0).elements() / ref.in(0).back();
  return {.m = rows, .k = in, .n = weight[-2], .glu = HasGlu(ref), .row_bytes = ref.in(0).back() * 4};
}

bool LinearSupports(const NodeRef& ref, const DeviceCaps&) {
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref) &&
         (attrs.groups == 1 || !HasGlu(ref));
}

size_t LinearScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return GemmScratchBytes(LinearShape(ref), caps.threads);
}

Result<AlignedBytes> LinearPack(const NodeRef& ref, const DeviceCaps&) {
  const GemmShape shape = LinearShape(ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const int groups = ref.attrs<LinearAttrs>().groups;
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(groups * layout.floats() * sizeof(float)));
  for (int g = 0; g < groups; ++g) {
    const float* w = weight.data() + g * shape.n * shape.k;
    PackWeights(
        layout, [&](int64_t i, int64_t j) { return w[j * shape.k + i]; },
        bias.empty() ? nullptr : bias.data() + g * shape.n, packed.f32() + g * layout.floats());
  }
  return packed;
}

Status LinearRun(const CpuCall& call) {
  const GemmShape shape = LinearShape(call.ref);
  const PackedLayout layout(shape.k, shape.n, shape.glu);
  const Epilogue epilogue = BindEpilogue(call);
  for (int g = 0; g < call.ref.attrs<LinearAttrs>().groups; ++g) {
    const PlainRows rows(call.in[0] + g * shape.k, call.ref.in(0).back(), shape.k);
    Gemm(rows, shape, call.packed->f32() + g * layout.floats(), epilogue, call.out[0], call.ref.out().back(),
         g * shape.n, call.scratch, call.pool);
  }
  return {};
}

constexpr uint32_t kWeightAndBias = 0b110;

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_product", 1, ConvSupports, ConvRun, ConvScratch, ConvPack,
     kWeightAndBias},
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_product", 1, LinearSupports, LinearRun, LinearScratch,
     LinearPack, kWeightAndBias},
};

}  // namespace

std::span<const KernelRow> CpuConvKernels() { return kRows; }

}  // namespace timbre
