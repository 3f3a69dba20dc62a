// Convolutions, their transposes and linear layers as one product, in tiles, with epilogues.
#include "kernels/vulkan/product.h"

#include <algorithm>
#include <tuple>

namespace timbre {
namespace {

// What product_parts.glsl applies to a result before it is stored.
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

// One dispatch of a shader with product_parts.glsl.
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
  int64_t rows() const {  // of the phase with the most
    const Product& p = phases.front();
    return batch * p.row_size[0] * p.row_size[1] * p.row_size[2];
  }
  int64_t weights(int64_t columns) const {
    int64_t taps = 0;
    for (const Product& p : phases) taps += p.all_taps();
    return groups * taps * width() * columns;
  }
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

// Without a tile where the variant has none that fits.
template <Variant kVariant>
ProductPlan PlanOf(const NodeRef& ref, const DeviceCaps& caps) {
  ProductPlan plan = ShapeOf(ref);
  const int64_t columns = plan.out_c / plan.groups;
  if (kVariant.cooperative) {
    plan.tile = CooperativeTile(plan.rows(), columns, caps).value_or(Tile{});
  } else {
    // Halves are 4 x 4 or 8 x 8, as one or the other is worth it.
    plan.tile = TileFor(columns, caps, kVariant.wide || (kVariant.halves && WorthWide(plan.rows(), columns, caps)));
  }
  return plan;
}

template <Variant kVariant>
bool WorthIt(const ProductPlan& plan, const DeviceCaps& caps) {
  const int64_t columns = plan.out_c / plan.groups;
  if (kVariant.cooperative)
    return WorthCooperative(plan.rows(), plan.phases.front().all_taps() * plan.width(), columns, caps);
  return !kVariant.wide || WorthWide(plan.rows(), columns, caps);
}

template <Variant kVariant>
bool ProductFits(const NodeRef& ref, const DeviceCaps& caps) {
  if (kVariant.halves && !caps.float16) return false;
  Finish finish;
  if (!ref.constant(1) || !ReadFinish(ref, finish)) return false;
  if (ref.node.op == Op::kLinear && ref.attrs<LinearAttrs>().axis != -1) return false;
  const ProductPlan plan = PlanOf<kVariant>(ref, caps);
  if (plan.tile.rows == 0 || (!caps.any_size && !WorthIt<kVariant>(plan, caps))) return false;
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
// A few weights are not worth it, where a shader takes floats too.
template <Variant kVariant>
bool Halved(const NodeRef& ref, int64_t weights) {
  constexpr int64_t kFew = 64;
  if (kVariant.cooperative) return true;
  return weights > kFew && (kVariant.halves || AreHalves(ref.value(1)));
}

// For each phase: [groups, taps, input channels of a group, columns]; floats, or halves, two in a word.
template <Variant kVariant>
Result<AlignedBytes> PackPlan(const NodeRef& ref, const ProductPlan& plan, const Finish& finish) {
  const int64_t columns = plan.columns(finish.gated), width = plan.width(), per_group = plan.out_c / plan.groups;
  const int64_t count = plan.weights(columns);
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
Result<AlignedBytes> PackProduct(const NodeRef& ref, const DeviceCaps& caps) {
  Finish finish;
  ReadFinish(ref, finish);
  return PackPlan<kVariant>(ref, PlanOf<kVariant>(ref, caps), finish);
}

template <Variant kVariant>
std::vector<uint32_t> Constants(const NodeRef& ref, const ProductPlan& plan, int64_t columns) {
  std::vector<uint32_t> constants = plan.tile.constants;
  if (!kVariant.cooperative) constants.push_back(Halved<kVariant>(ref, plan.weights(columns)));
  return constants;
}

// What product_parts.glsl is pushed for one dispatch.
struct Dispatched {
  int64_t rows, depth, columns, first_weight, in_c, out_c, flags, steps;
  float alpha = 0, beta = 0;
  int64_t x_first = 0, y_first = 0;
};
Push PushOf(const Product& p, const Dispatched& d) {
  Push push;
  push.I(d.rows).I(d.depth).I(d.columns).I(d.first_weight).I(d.in_c).I(d.out_c).I(d.flags).I(d.steps);
  push.F(d.alpha).F(d.beta);
  push.All(p.row_size).All(p.in_size).All(p.out_size).All(p.offset).All(p.start);
  for (int i = 0; i < 3; ++i) push.I(p.taps[i] | p.stride[i] << 8 | (p.dilation[i] + 128) << 16 | p.out_step[i] << 24);
  push.I(d.x_first).I(d.y_first);
  return push;
}

template <Variant kVariant>
Status RecordProduct(const VulkanCall& call) {
  Finish finish;
  ReadFinish(call.ref, finish);
  const ProductPlan plan = PlanOf<kVariant>(call.ref, call.caps);
  const int64_t columns = plan.columns(finish.gated);
  const auto input = [&](int i) { return i < 0 ? BufferRange{} : call.in[i]; };
  const int64_t flags = (Has(call, 2) && call.ref.node.inputs[2] != kNoTensor ? 1 : 0) | (finish.gated ? 2 : 0) |
                        (finish.slope_per_channel ? 4 : 0) | static_cast<int64_t>(finish.unary.fn) << 8;
  const std::vector<uint32_t> constants = Constants<kVariant>(call.ref, plan, columns);
  const Shader& shader = FindShader(kVariant.cooperative ? "cooperative/product"
                                    : kVariant.halves    ? "fast/product_f16"
                                                         : "fast/product");
  int64_t first_weight = 0;
  for (const Product& p : plan.phases) {
    const int64_t rows = plan.batch * p.row_size[0] * p.row_size[1] * p.row_size[2];
    const int64_t depth = p.all_taps() * plan.width();
    if (rows > 0) {
      const Push push =
          PushOf(p, {rows, depth, columns, first_weight, plan.in_c, finish.gated ? plan.out_c / 2 : plan.out_c, flags,
                     finish.steps, finish.unary.alpha, finish.unary.beta});
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

// ---- convolutions over volumes as sums of convolutions over planes

// A slab of output planes at a time, and for each tap along the depth one product that adds to what is there.
struct PlanesPlan {
  ProductPlan product;  // a phase for each tap along the depth
  int64_t slab = 0;     // output planes; 0: not even one fits
};

PlanesPlan PlanesOf(const NodeRef& ref, const DeviceCaps& caps) {
  constexpr uint64_t kLeastRange = uint64_t{1} << 27;  // what a binding spans on every device
  PlanesPlan planes{PlanOf<kPlainTiles>(ref, caps)};
  const Product whole = planes.product.phases.front();
  planes.product.phases.clear();
  for (int64_t tap = 0; tap < whole.taps[0]; ++tap) {
    Product p = whole;
    p.taps[0] = 1;
    p.first_tap[0] = tap;
    planes.product.phases.push_back(p);
  }
  const int64_t out_c = planes.product.out_c, in_c = planes.product.in_c;
  // Beside the slab itself up to 255 bytes before it are bound, where offsets are multiples of 256.
  const uint64_t room = std::min(kLeastRange, caps.memory_free);
  const auto fits = [&](int64_t slab) {
    const int64_t in = ((slab - 1) * whole.stride[0] + 1) * whole.in_size[1] * whole.in_size[2] * in_c;
    const int64_t out = slab * whole.out_size[1] * whole.out_size[2] * out_c;
    return static_cast<uint64_t>(std::max(in, out)) * 4 + 256 <= room;
  };
  while (planes.slab < whole.out_size[0] && fits(planes.slab + 1)) ++planes.slab;
  return planes;
}

bool PlanesFit(const NodeRef& ref, const DeviceCaps& caps) {
  if (ref.in(0).rank() != 5 || !ref.node.epilogue.empty() || !ref.constant(1)) return false;
  const PlanesPlan planes = PlanesOf(ref, caps);
  const ProductPlan& plan = planes.product;
  constexpr int64_t kMostDispatches = 4096;
  if (planes.slab == 0 || plan.groups > kWidestGrid || plan.tile.Across(plan.columns(false)) > kWidestGrid)
    return false;
  const Product& p = plan.phases.front();
  for (int i = 0; i < 3; ++i) {
    if (p.taps[i] > 255 || p.stride[i] > 255 || p.dilation[i] > 127) return false;
  }
  const int64_t slabs = (p.out_size[0] + planes.slab - 1) / planes.slab;
  return plan.tile.Down(planes.slab * p.out_size[1] * p.out_size[2]) <= kWidestGrid &&
         plan.batch * slabs * static_cast<int64_t>(plan.phases.size()) <= kMostDispatches;
}

Result<AlignedBytes> PackPlanes(const NodeRef& ref, const DeviceCaps& caps) {
  return PackPlan<kPlainTiles>(ref, PlanesOf(ref, caps).product, {});
}

// Elements [first, first + count) of a tensor as a binding that begins at most 255 bytes earlier, and how many elements
// that is.
std::pair<BufferRange, int64_t> PartOf(const BufferRange& tensor, int64_t first, int64_t count) {
  const uint64_t begin = tensor.offset + static_cast<uint64_t>(first) * 4, aligned = begin / 256 * 256;
  const uint64_t bytes = begin - aligned + static_cast<uint64_t>(count) * 4;
  return {{tensor.buffer, aligned, bytes}, static_cast<int64_t>(begin - aligned) / 4};
}

Status RecordPlanes(const VulkanCall& call) {
  const PlanesPlan planes = PlanesOf(call.ref, call.caps);
  const ProductPlan& plan = planes.product;
  const int64_t columns = plan.columns(false), pad = -plan.phases.front().start[0];
  const bool bias = Has(call, 2) && call.ref.node.inputs[2] != kNoTensor;
  for (int64_t n = 0; n < plan.batch; ++n) {
    for (int64_t begin = 0; begin < plan.phases.front().out_size[0]; begin += planes.slab) {
      int64_t first_weight = 0;
      for (size_t tap = 0; tap < plan.phases.size(); ++tap) {
        Product p = plan.phases[tap];
        const int64_t depth = p.all_taps() * plan.width(), count = std::min(planes.slab, p.out_size[0] - begin);
        // The input planes that this tap of the slab reads; beyond the volume they are zeros.
        const int64_t wanted = begin * p.stride[0] + static_cast<int64_t>(tap) * p.dilation[0] - pad;
        const int64_t lo = std::clamp<int64_t>(wanted, 0, p.in_size[0] - 1);
        const int64_t hi = std::clamp<int64_t>(wanted + (count - 1) * p.stride[0] + 1, lo + 1, p.in_size[0]);
        const int64_t in_plane = p.in_size[1] * p.in_size[2] * plan.in_c;
        const int64_t out_plane = p.out_size[1] * p.out_size[2] * plan.out_c;
        const auto [x, x_first] = PartOf(call.in[0], (n * p.in_size[0] + lo) * in_plane, (hi - lo) * in_plane);
        const auto [y, y_first] = PartOf(call.out[0], (n * p.out_size[0] + begin) * out_plane, count * out_plane);
        p.in_size[0] = hi - lo;
        p.row_size[0] = p.out_size[0] = count;
        p.start[0] = wanted - lo;
        const std::vector<uint32_t> constants = Constants<kPlainTiles>(call.ref, plan, columns);
        const BufferRange bindings[] = {x, call.packed, Input(call, 2), {}, y, {}, y};
        const int64_t rows = count * p.row_size[1] * p.row_size[2];
        constexpr int64_t kAddToResidual = 3;
        const Push push = PushOf(p, {rows, depth, columns, first_weight, plan.in_c, plan.out_c, tap == 0 && bias,
                                     tap == 0 ? 0 : kAddToResidual, 0, 0, x_first, y_first});
        TIMBRE_CHECK(call.recorder.Dispatch(
            FindShader("fast/product"), bindings, constants, push,
            {static_cast<uint32_t>(plan.tile.Down(rows)), static_cast<uint32_t>(plan.tile.Across(columns)),
             static_cast<uint32_t>(plan.groups)}));
        first_weight += plan.groups * depth * columns;
      }
    }
  }
  return {};
}

constexpr std::string_view kPlanes = "vulkan.conv_planes";

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
          0b10,
          kVariant.halves ? Precision::kF16 : Precision::kF32,
          kVariant.cooperative};
}
const KernelRow kRows[] = {
    Row<kCooperativeTiles>(Op::kConv, "vulkan.conv_cooperative"),
    Row<kHalfTiles>(Op::kConv, "vulkan.conv_f16"),
    Row<kWideTiles>(Op::kConv, "vulkan.conv_wide"),
    Row<kPlainTiles>(Op::kConv, "vulkan.conv"),
    {Op::kConv, DeviceKind::kVulkan, Tier::kFast, kPlanes, 1, PlanesFit, VulkanRecord(RecordPlanes), nullptr,
     PackPlanes, 0b10},
    Row<kCooperativeTiles>(Op::kConvTranspose, "vulkan.conv_transpose_cooperative"),
    Row<kHalfTiles>(Op::kConvTranspose, "vulkan.conv_transpose_f16"),
    Row<kWideTiles>(Op::kConvTranspose, "vulkan.conv_transpose_wide"),
    Row<kPlainTiles>(Op::kConvTranspose, "vulkan.conv_transpose"),
    Row<kCooperativeTiles>(Op::kLinear, "vulkan.linear_cooperative"),
    Row<kHalfTiles>(Op::kLinear, "vulkan.linear_f16"),
    Row<kWideTiles>(Op::kLinear, "vulkan.linear_wide"),
    Row<kPlainTiles>(Op::kLinear, "vulkan.linear"),
};

}  // namespace

Status RecordPlainProduct(const VulkanCall& call, const BufferRange& x, const BufferRange& weight,
                          const BufferRange& bias, const BufferRange& y, int64_t rows, int64_t depth, int64_t columns) {
  Product p;
  p.row_size = p.in_size = p.out_size = {1, 1, rows};
  const Push push = PushOf(p, {rows, depth, columns, 0, depth, columns, 1, 0});
  const Tile tile = TileFor(columns, call.caps, WorthWide(rows, columns, call.caps));
  std::vector<uint32_t> constants = tile.constants;
  constants.push_back(0);  // weights are floats
  const BufferRange bindings[] = {x, weight, bias, {}, {}, {}, y};
  return call.recorder.Dispatch(
      FindShader("fast/product"), bindings, constants, push,
      {static_cast<uint32_t>(tile.Down(rows)), static_cast<uint32_t>(tile.Across(columns)), 1});
}

std::optional<Tile> CooperativeTile(int64_t rows, int64_t columns, const DeviceCaps& caps) {
  const CooperativeMatrix& matrix = caps.cooperative_matrix;
  if (!matrix) return std::nullopt;
  const int64_t subgroups = kThreads / matrix.subgroup;
  for (const int64_t height : {128, 64}) {
    const int64_t breadth = columns <= 16 ? 16 : columns <= 32 ? 32 : columns <= 64 || height == 64 ? 64 : 128;
    Tile tile{height, breadth};
    if (height > 64 && tile.Down(rows) * tile.Across(columns) < kFilled) continue;
    if (height % matrix.rows != 0 || breadth % matrix.columns != 0) continue;
    // All of these are powers of two. Each subgroup owns as few matrices as there can be, in a block as square as can
    // be.
    const int64_t below = height / matrix.rows, beside = breadth / matrix.columns;
    int64_t tall = below, broad = beside, down = 1, across = 1;
    for (int64_t a = 1; a <= std::min(beside, subgroups); a *= 2) {
      const int64_t d = std::min(below, subgroups / a), t = below / d, b = beside / a;
      if (std::pair(t * b, t + b) < std::pair(tall * broad, tall + broad))
        std::tie(tall, broad, down, across) = std::tuple(t, b, d, a);
    }
    for (const int64_t slice : {32, 16}) {
      const int64_t factors = height * (slice + 8) + slice * (breadth + 8);
      const int64_t sums = down * across * matrix.rows * matrix.columns, places = height * 5;
      if (slice % matrix.depth != 0 ||
          static_cast<uint64_t>(factors * 2 + (sums + places) * 4) > caps.max_workgroup_memory)
        continue;
      for (const int64_t value : {matrix.rows, matrix.columns, matrix.depth, slice, tall, broad, down, across})
        tile.constants.push_back(static_cast<uint32_t>(value));
      return tile;
    }
  }
  return std::nullopt;
}

bool BindsParts(const KernelRow& row) { return row.name == kPlanes; }

std::span<const KernelRow> VulkanProductKernels() { return kRows; }

}  // namespace timbre
