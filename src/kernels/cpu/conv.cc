// Convolutions and linear layers as products over the input in place.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/packed_numbers.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

bool HasGlu(const NodeRef& ref) {
  return std::any_of(ref.node.epilogue.begin(), ref.node.epilogue.end(),
                     [](const EpilogueStep& step) { return step.kind == EpilogueStep::Kind::kGlu; });
}

// ---- Convolution ----

// `positions` neighbours along the width as one position, whose kernel spans all of theirs.
ConvGeometry Joined(ConvGeometry g, int64_t positions) {
  if (positions == 1) return g;
  g.kernel[2] = static_cast<int32_t>((positions - 1) * g.stride[2] + (g.kernel[2] - 1) * g.dilation[2] + 1);
  g.dilation[2] = 1;
  g.stride[2] = static_cast<int32_t>(g.stride[2] * positions);
  g.out[2] /= positions;
  return g;
}

// What every run of the rows' terms is a multiple of, if they are `channels` of each position.
int64_t RunOf(const ConvGeometry& g, int64_t channels) {
  return g.dilation[2] == 1 && channels == g.c ? g.kernel[2] * channels : channels;
}

// Groups whose outputs all fit the vector that one of them would take are one product, with zeros where a group does
// not look.
int ProductsOf(const NodeRef& ref) {
  const int groups = ref.attrs<ConvAttrs>().groups;
  const int64_t lanes = CurrentMicro().lanes, out = ref.in(1)[0];
  return out <= (out / groups + lanes - 1) / lanes * lanes ? 1 : groups;
}

// Neighbouring positions along the width that are one row of the product. With few channels and few outputs a position
// alone is many short runs for a fraction of a vector: several share their runs, each with zeros where another looks.
// Costs are in multiply-adds of vectors a position: those of the sums, and what a run and a row cost besides.
int64_t JoinedPositions(const NodeRef& ref, const ConvGeometry& g) {
  constexpr int64_t kRunCost = 6, kRowCost = 12;
  const MicroKernels micro = CurrentMicro();
  const int64_t out = ref.in(1)[0];
  if (ref.attrs<ConvAttrs>().groups > 1) return 1;
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind != EpilogueStep::Kind::kUnary && step.kind != EpilogueStep::Kind::kAdd) return 1;
  }
  int64_t best = 1;
  double least = 0;
  for (int64_t p = 1; p * out <= micro.lanes; p *= 2) {
    if (p > 1 && (g.out[2] % p != 0 || g.out[2] / p < 4 * micro.block_rows)) break;
    const ConvGeometry joined = Joined(g, p);
    const int64_t lines = int64_t{g.kernel[0]} * g.kernel[1];
    const bool merged = joined.dilation[2] == 1;
    const int64_t runs = lines * (merged ? 1 : g.kernel[2]);
    const PackedLayout layout(g.c * joined.taps(), p * out, false, RunOf(joined, g.c));
    const int64_t row_cost = layout.k / layout.fold + kRunCost * runs + kRowCost;
    const double cost = static_cast<double>(row_cost) / static_cast<double>(p);
    if (p == 1 || cost < least) least = cost, best = p;
  }
  return best;
}

// A convolution as a product: of the geometry whose rows hold `positions` each.
struct ConvPlan {
  ConvGeometry geometry, joined;
  int64_t positions = 1;
  int products = 1;
  GemmShape shape;

  explicit ConvPlan(const NodeRef& ref)
      : geometry(ConvGeometryOf(ref)), positions(JoinedPositions(ref, geometry)), products(ProductsOf(ref)) {
    joined = Joined(geometry, positions);
    const int64_t channels = geometry.c / products;
    const int64_t lines = std::max<int64_t>(1, int64_t{joined.kernel[0]} * joined.kernel[1]);
    shape = {.m = joined.rows(),
             .k = channels * joined.taps(),
             .n = positions * ref.in(1)[0] / products,
             .glu = HasGlu(ref),
             .row_bytes = lines * joined.stride[2] * geometry.c * 4,
             .run = RunOf(joined, channels),
             .type = PackedType(ref.value(1))};
  }
};

bool ConvSupports(const NodeRef& ref, const DeviceCaps&) {
  return ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref) &&
         (ref.attrs<ConvAttrs>().groups == 1 || !HasGlu(ref));
}

size_t ConvScratch(const NodeRef& ref, const DeviceCaps& caps) {
  return GemmScratchBytes(ConvPlan(ref).shape, caps.threads);
}

// weight [out, in/groups, kernel...] as one block of panels for each product.
Result<AlignedBytes> ConvPack(const NodeRef& ref, const DeviceCaps&) {
  const ConvPlan plan(ref);
  const GemmShape& shape = plan.shape;
  const PackedLayout layout = shape.layout();
  std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  const int64_t outputs = ref.in(1)[0] / plan.products, of_group = ref.in(1)[1],
                of_product = plan.geometry.c / plan.products;
  const int64_t outputs_of_group = ref.in(1)[0] / ref.attrs<ConvAttrs>().groups;
  const int64_t taps = plan.geometry.taps(), width = plan.geometry.kernel[2], span = plan.joined.kernel[2];
  if (!bias.empty()) {
    for (int64_t j = outputs; j < shape.n; ++j) bias.push_back(bias[j - outputs]);
  }
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(plan.products * layout.floats() * sizeof(float)));
  TIMBRE_CHECK(WithNumbers(ref.value(1), shape.type, [&]<typename Number>(const Number* weight) {
    for (int p = 0; p < plan.products; ++p) {
      const auto at = [&](int64_t i, int64_t j) {
        const int64_t output = p * outputs + j % outputs, channel = p * of_product + i % of_product;
        if (channel / of_group != output / outputs_of_group) return Number{};
        int64_t tap = i / of_product;
        if (plan.positions > 1) {
          const int64_t along = tap % span - j / outputs * plan.geometry.stride[2];
          if (along < 0 || along % plan.geometry.dilation[2] != 0 || along / plan.geometry.dilation[2] >= width)
            return Number{};
          tap = tap / span * width + along / plan.geometry.dilation[2];
        }
        return weight[(output * of_group + channel % of_group) * taps + tap];
      };
      PackWeights(layout, at, bias.empty() ? nullptr : bias.data() + p * shape.n, packed.f32() + p * layout.floats());
    }
  }));
  return packed;
}

Status ConvRun(const CpuCall& call) {
  const ConvPlan plan(call.ref);
  const PackedLayout layout = plan.shape.layout();
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t channels = plan.geometry.c / plan.products, ldc = plan.positions * call.ref.out().back();
  for (int p = 0; p < plan.products; ++p) {
    const float* packed = call.packed->f32() + p * layout.floats();
    const auto run = [&](const GemmRows& rows) {
      Gemm(rows, plan.shape, packed, epilogue, call.out[0], ldc, p * plan.shape.n, call.scratch, call.pool);
    };
    if (plan.joined.pointwise()) {
      run(PlainRows(call.in[0] + p * channels, plan.geometry.c, channels));
    } else {
      run(ConvRows(plan.joined, call.in[0], p * channels, channels));
    }
  }
  return {};
}

// ---- Linear over the last axis ----

GemmShape LinearShape(const NodeRef& ref) {
  const Shape& weight = ref.in(1);
  const int64_t in = weight.back(), rows = ref.in(0).elements() / ref.in(0).back();
  return {.m = rows,
          .k = in,
          .n = weight[-2],
          .glu = HasGlu(ref),
          .row_bytes = ref.in(0).back() * 4,
          .run = in,
          .type = PackedType(ref.value(1))};
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
  const PackedLayout layout = shape.layout();
  const int groups = ref.attrs<LinearAttrs>().groups;
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(groups * layout.floats() * sizeof(float)));
  TIMBRE_CHECK(WithNumbers(ref.value(1), shape.type, [&](const auto* weight) {
    for (int g = 0; g < groups; ++g) {
      const auto* w = weight + g * shape.n * shape.k;
      PackWeights(
          layout, [&](int64_t i, int64_t j) { return w[j * shape.k + i]; },
          bias.empty() ? nullptr : bias.data() + g * shape.n, packed.f32() + g * layout.floats());
    }
  }));
  return packed;
}

Status LinearRun(const CpuCall& call) {
  const GemmShape shape = LinearShape(call.ref);
  const PackedLayout layout = shape.layout();
  const Epilogue epilogue = BindEpilogue(call);
  for (int g = 0; g < call.ref.attrs<LinearAttrs>().groups; ++g) {
    const PlainRows rows(call.in[0] + g * shape.k, call.ref.in(0).back(), shape.k);
    Gemm(rows, shape, call.packed->f32() + g * layout.floats(), epilogue, call.out[0], call.ref.out().back(),
         g * shape.n, call.scratch, call.pool);
  }
  return {};
}

constexpr uint32_t kWeight = 0b010, kWeightAndBias = 0b110;

int64_t PackedBytesOf(const NodeRef& ref) { return PackedBytes(ref, kWeightAndBias, kWeight); }

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_product", 4, ConvSupports, ConvRun, ConvScratch, ConvPack,
     kWeightAndBias, PackedBytesOf},
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_product", 4, LinearSupports, LinearRun, LinearScratch,
     LinearPack, kWeightAndBias, PackedBytesOf},
};

}  // namespace

std::span<const KernelRow> CpuConvKernels() { return kRows; }

}  // namespace timbre
