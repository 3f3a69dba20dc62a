// Convolutions, their transposes and linear layers as one product, in tiles, with epilogues.
#include "kernels/vulkan/product.h"

#include <algorithm>

namespace timbre {
namespace {

// What product.comp applies to a result before it is stored.
struct Finish {
  bool gated = false, slope_per_channel = false;
  uint32_t steps = 0;
  UnaryAttrs unary{UnaryFn::kIdentity};
  int scale = -1, residual = -1, slope = -1;  // inputs of the node
};

// False where the shader can't apply it: a gate that is not first, or a kind of step twice.
bool ReadFinish(const NodeRef& ref, Finish& finish) {
  int shift = 0;
  for (size_t i = 0; i < ref.node.epilogue.size(); ++i) {
    const EpilogueStep& step = ref.node.epilogue[i];
    uint32_t code = 0;
    switch (step.kind) {
      case EpilogueStep::Kind::kGlu:
        if (i > 0) return false;
        finish.gated = true;
        continue;
      case EpilogueStep::Kind::kUnary:
        code = 1;
        finish.unary = step.unary;
        break;
      case EpilogueStep::Kind::kMulConst:
        code = 2;
        finish.scale = step.input;
        break;
      case EpilogueStep::Kind::kAdd:
        code = 3;
        finish.residual = step.input;
        break;
      case EpilogueStep::Kind::kPRelu:
        code = 4;
        finish.slope = step.input;
        finish.slope_per_channel = ref.in(step.input).elements() > 1;
        break;
      case EpilogueStep::Kind::kNorm: return false;
    }
    for (int s = 0; s < shift; s += 4) {
      if ((finish.steps >> s & 15) == code) return false;
    }
    finish.steps |= code << shift;
    shift += 4;
  }
  return true;
}

// One dispatch of product.comp.
struct Product {
  std::array<int64_t, 3> taps{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, out_step{1, 1, 1};
  std::array<int64_t, 3> row_size{1, 1, 1}, in_size{1, 1, 1}, out_size{1, 1, 1}, offset{}, start{};
  std::array<int64_t, 3> first_tap{};  // in the weight, whose taps are `tap_step` apart
  std::array<int64_t, 3> tap_step{1, 1, 1};
  int64_t all_taps() const { return taps[0] * taps[1] * taps[2]; }
};

struct ProductPlan {
  std::vector<Product> phases;
  int64_t batch = 1, groups = 1, in_c = 0, out_c = 0;  // out_c before a gate
  std::array<int64_t, 3> kernel{1, 1, 1};
  Tile tile;
  bool transposed = false;  // weight [in, out / groups, taps] instead of [out, in / groups, taps]
  int64_t width() const { return in_c / groups; }
  // Packed columns of a group: blocks of values and their gates where gated.
  int64_t columns(bool gated) const {
    const int64_t lanes = tile.lanes;
    return gated ? (out_c / 2 + lanes - 1) / lanes * lanes * 2 : out_c / groups;
  }
};

template <typename T>
std::array<int64_t, 3> Wide(const T& list) {
  return {list[0], list[1], list[2]};
}

ProductPlan ShapeOf(const NodeRef& ref) {
  ProductPlan plan;
  // What the operator itself gives; a gate of the epilogue halves the node's result, whose other sizes are the same.
  const auto sizes = [](const Spatial& s) { return std::array<int64_t, 3>{s.d, s.h, s.w}; };
  Product p;
  if (ref.node.op == Op::kLinear) {
    const Shape& x = ref.in(0);
    plan.groups = ref.attrs<LinearAttrs>().groups;
    plan.in_c = x.back();
    plan.out_c = ref.in(1).elements() / plan.width();
    p.row_size[2] = p.in_size[2] = p.out_size[2] = x.elements() / x.back();
    plan.phases.push_back(p);
    return plan;
  }
  plan.batch = ref.in(0)[0];
  plan.in_c = ref.in(0).back();
  p.in_size = sizes(SpatialOf(ref.in(0)));
  p.out_size = sizes(SpatialOf(ref.out()));
  if (ref.node.op == Op::kConv) {
    const auto& a = ref.attrs<ConvAttrs>();
    plan.groups = a.groups;
    plan.kernel = p.taps = Wide(a.kernel);
    plan.out_c = ref.in(1)[0];
    p.stride = Wide(a.stride);
    p.dilation = Wide(a.dilation);
    p.row_size = p.out_size;
    for (int i = 0; i < 3; ++i) p.start[i] = -a.pad_lo[i];
    plan.phases.push_back(p);
    return plan;
  }
  // Outputs t with (t + crop) mod stride = r see taps r, r + stride, … alone: a convolution for each r.
  const auto& a = ref.attrs<ConvTransposeAttrs>();
  plan.groups = a.groups;
  plan.kernel = Wide(a.kernel);
  plan.transposed = true;
  plan.out_c = ref.in(1)[1] * a.groups;
  const std::array<int64_t, 3> stride = Wide(a.stride);
  for (int64_t phase = 0; phase < stride[0] * stride[1] * stride[2]; ++phase) {
    const std::array<int64_t, 3> r{phase / (stride[1] * stride[2]), phase / stride[2] % stride[1], phase % stride[2]};
    for (int i = 0; i < 3; ++i) {
      p.offset[i] = ((r[i] - a.crop_lo[i]) % stride[i] + stride[i]) % stride[i];
      p.out_step[i] = p.tap_step[i] = stride[i];
      p.row_size[i] = std::max<int64_t>(0, (p.out_size[i] - p.offset[i] + stride[i] - 1) / stride[i]);
      p.first_tap[i] = r[i];
      p.taps[i] = std::max<int64_t>(0, (a.kernel[i] - r[i] + stride[i] - 1) / stride[i]);
      p.start[i] = (p.offset[i] + a.crop_lo[i] - r[i]) / stride[i];
      p.dilation[i] = -1;
    }
    plan.phases.push_back(p);
  }
  return plan;
}

ProductPlan PlanOf(const NodeRef& ref, const DeviceCaps& caps, bool wide) {
  ProductPlan plan = ShapeOf(ref);
  plan.tile = TileFor(plan.out_c / plan.groups, caps, wide);
  return plan;
}

bool NodeWorthWide(const NodeRef& ref, const DeviceCaps& caps) {
  const ProductPlan plan = ShapeOf(ref);
  const Product& p = plan.phases.front();
  return WorthWide(plan.batch * p.row_size[0] * p.row_size[1] * p.row_size[2], plan.out_c / plan.groups, caps);
}

// Halves are 4 x 4 or 8 x 8, as one or the other is worth it.
template <Variant kVariant>
bool Wide(const NodeRef& ref, const DeviceCaps& caps) {
  return kVariant.wide || (kVariant.halves && NodeWorthWide(ref, caps));
}

template <Variant kVariant>
bool ProductFits(const NodeRef& ref, const DeviceCaps& caps) {
  if (kVariant.halves && !(caps.float16 && caps.precision == Precision::kF16)) return false;
  Finish finish;
  if (!ref.constant(1) || !ReadFinish(ref, finish)) return false;
  if (ref.node.op == Op::kLinear && ref.attrs<LinearAttrs>().axis != -1) return false;
  if (kVariant.wide && !caps.any_size && !NodeWorthWide(ref, caps)) return false;
  const ProductPlan plan = PlanOf(ref, caps, Wide<kVariant>(ref, caps));
  if (finish.gated && (plan.groups > 1 || plan.out_c % 2 != 0)) return false;
  const int64_t columns = plan.columns(finish.gated);
  if (columns < kNarrowest || plan.width() * plan.kernel[0] * plan.kernel[1] * plan.kernel[2] < kNarrowest)
    return false;
  if (plan.tile.Across(columns) > kWidestGrid || plan.groups > kWidestGrid || plan.phases.size() > 64) return false;
  for (const Product& p : plan.phases) {
    if (plan.tile.Down(plan.batch * p.row_size[0] * p.row_size[1] * p.row_size[2]) > kWidestGrid) return false;
    for (int i = 0; i < 3; ++i) {
      if (p.taps[i] > 255 || p.stride[i] > 255 || p.dilation[i] > 127 || p.out_step[i] > 255) return false;
    }
  }
  return true;
}

// Whether weights lose nothing as halves: those of checkpoints that hold halves. Not where some are so small that a
// driver may take them for zero.
bool AreHalves(const HostTensor& weight) {
  if (weight.dtype != DType::kF16) return false;
  const auto* bits = reinterpret_cast<const uint16_t*>(weight.data.get());
  return std::all_of(bits, bits + weight.shape.elements(),
                     [](uint16_t h) { return (h & 0x7c00) != 0 || (h & 0x7fff) == 0; });
}
// A few weights are not worth it.
template <Variant kVariant>
bool Halved(const NodeRef& ref, int64_t weights) {
  constexpr int64_t kFew = 64;
  return weights > kFew && (kVariant.halves || AreHalves(ref.value(1)));
}

// For each phase: [groups, taps, input channels of a group, columns]; floats, or halves, two in a word.
template <Variant kVariant>
Result<AlignedBytes> PackProduct(const NodeRef& ref, const DeviceCaps& caps) {
  Finish finish;
  ReadFinish(ref, finish);
  const ProductPlan plan = PlanOf(ref, caps, Wide<kVariant>(ref, caps));
  const int64_t columns = plan.columns(finish.gated), width = plan.width(), per_group = plan.out_c / plan.groups;
  int64_t taps = 0;
  for (const Product& p : plan.phases) taps += p.all_taps();
  const int64_t count = plan.groups * taps * width * columns;
  const bool halves = Halved<kVariant>(ref, count);
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(static_cast<size_t>((count + 1) / 2 * (halves ? 4 : 8)), true));
  const std::vector<float> weight = ref.value(1).ToF32();
  const int64_t kernel = plan.kernel[0] * plan.kernel[1] * plan.kernel[2], lanes = plan.tile.lanes;
  float* to = bytes.f32();
  auto* half = reinterpret_cast<uint16_t*>(bytes.data());
  for (const Product& p : plan.phases) {
    for (int64_t g = 0; g < plan.groups; ++g) {
      for (int64_t tap = 0; tap < p.all_taps(); ++tap) {
        const int64_t d = p.first_tap[0] + tap / (p.taps[1] * p.taps[2]) * p.tap_step[0];
        const int64_t h = p.first_tap[1] + tap / p.taps[2] % p.taps[1] * p.tap_step[1];
        const int64_t w = p.first_tap[2] + tap % p.taps[2] * p.tap_step[2];
        const int64_t at = (d * plan.kernel[1] + h) * plan.kernel[2] + w;
        for (int64_t c = 0; c < width; ++c, to += columns, half += columns) {
          for (int64_t o = 0; o < columns; ++o) {
            int64_t channel = o;
            if (finish.gated) {
              channel = o / (2 * lanes) * lanes + o % lanes;
              if (channel >= plan.out_c / 2) continue;
              if (o % (2 * lanes) >= lanes) channel += plan.out_c / 2;
            }
            const float value = plan.transposed ? weight[((g * width + c) * per_group + channel) * kernel + at]
                                                : weight[((g * per_group + channel) * width + c) * kernel + at];
            if (halves) {
              half[o] = FloatToHalf(value);
            } else {
              to[o] = value;
            }
          }
        }
      }
    }
  }
  return bytes;
}

template <Variant kVariant>
Status RecordProduct(const VulkanCall& call) {
  Finish finish;
  ReadFinish(call.ref, finish);
  const ProductPlan plan = PlanOf(call.ref, call.caps, Wide<kVariant>(call.ref, call.caps));
  const int64_t columns = plan.columns(finish.gated);
  const auto input = [&](int i) { return i < 0 ? BufferRange{} : call.in[i]; };
  const int64_t flags = (Has(call, 2) && call.ref.node.inputs[2] != kNoTensor ? 1 : 0) | (finish.gated ? 2 : 0) |
                        (finish.slope_per_channel ? 4 : 0) | static_cast<int64_t>(finish.unary.fn) << 8;
  int64_t weights = 0;
  for (const Product& p : plan.phases) weights += plan.groups * p.all_taps() * plan.width() * columns;
  std::vector<uint32_t> constants = plan.tile.constants();
  constants.push_back(Halved<kVariant>(call.ref, weights));
  const Shader& shader = FindShader(kVariant.halves ? "fast/product_f16" : "fast/product");
  int64_t first_weight = 0;
  for (const Product& p : plan.phases) {
    const int64_t rows = plan.batch * p.row_size[0] * p.row_size[1] * p.row_size[2];
    const int64_t depth = p.all_taps() * plan.width();
    if (rows > 0) {
      Push push;
      push.I(rows).I(depth).I(columns).I(first_weight).I(plan.in_c).I(finish.gated ? plan.out_c / 2 : plan.out_c);
      push.I(flags).I(finish.steps).F(finish.unary.alpha).F(finish.unary.beta);
      push.All(p.row_size).All(p.in_size).All(p.out_size).All(p.offset).All(p.start);
      for (int i = 0; i < 3; ++i)
        push.I(p.taps[i] | p.stride[i] << 8 | (p.dilation[i] + 128) << 16 | p.out_step[i] << 24);
      const BufferRange bindings[] = {
          call.in[0],          call.packed, Input(call, 2), input(finish.scale), input(finish.residual),
          input(finish.slope), call.out[0]};
      TIMBRE_CHECK(call.recorder.Dispatch(
          shader, bindings, constants, push,
          {static_cast<uint32_t>(plan.tile.Down(rows)), static_cast<uint32_t>(plan.tile.Across(columns)),
           static_cast<uint32_t>(plan.groups)}));
    }
    first_weight += plan.groups * depth * columns;
  }
  return {};
}

template <Variant kVariant>
constexpr KernelRow Row(Op op, std::string_view name) {
  return {op,
          DeviceKind::kVulkan,
          Tier::kFast,
          name,
          2,
          ProductFits<kVariant>,
          VulkanRecord(RecordProduct<kVariant>),
          nullptr,
          PackProduct<kVariant>,
          0b10};
}
const KernelRow kRows[] = {
    Row<kHalfTiles>(Op::kConv, "vulkan.conv_f16"),
    Row<kWideTiles>(Op::kConv, "vulkan.conv_wide"),
    Row<kPlainTiles>(Op::kConv, "vulkan.conv"),
    Row<kHalfTiles>(Op::kConvTranspose, "vulkan.conv_transpose_f16"),
    Row<kWideTiles>(Op::kConvTranspose, "vulkan.conv_transpose_wide"),
    Row<kPlainTiles>(Op::kConvTranspose, "vulkan.conv_transpose"),
    Row<kHalfTiles>(Op::kLinear, "vulkan.linear_f16"),
    Row<kWideTiles>(Op::kLinear, "vulkan.linear_wide"),
    Row<kPlainTiles>(Op::kLinear, "vulkan.linear"),
};

}  // namespace

Status RecordPlainProduct(const VulkanCall& call, const BufferRange& x, const BufferRange& weight,
                          const BufferRange& bias, const BufferRange& y, int64_t rows, int64_t depth, int64_t columns) {
  const std::array<int64_t, 3> size{1, 1, rows}, none{};
  Push push;
  push.I(rows).I(depth).I(columns).I(0).I(depth).I(columns).I(1).I(0).F(0).F(0);
  push.All(size).All(size).All(size).All(none).All(none);
  for (int i = 0; i < 3; ++i) push.I(1 | 1 << 8 | (1 + 128) << 16 | 1 << 24);
  const Tile tile = TileFor(columns, call.caps, WorthWide(rows, columns, call.caps));
  std::vector<uint32_t> constants = tile.constants();
  constants.push_back(0);  // weights are floats
  const BufferRange bindings[] = {x, weight, bias, {}, {}, {}, y};
  return call.recorder.Dispatch(
      FindShader("fast/product"), bindings, constants, push,
      {static_cast<uint32_t>(tile.Down(rows)), static_cast<uint32_t>(tile.Across(columns)), 1});
}

std::span<const KernelRow> VulkanProductKernels() { return kRows; }

}  // namespace timbre
