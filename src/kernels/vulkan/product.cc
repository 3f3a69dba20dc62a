// Convolutions, their transposes and linear layers as one product, in tiles, with epilogues.
#include "kernels/vulkan/product.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace timbre {

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

namespace {

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

// ---- tensors larger than what a binding spans: slabs of rows along the first axis that has any

struct Slab {
  Product p;
  int64_t images;                              // of the batch
  int64_t x_first, x_count, y_first, y_count;  // elements of the tensors that it binds
};
int SlabAxis(const Product& p) {
  int axis = 0;
  while (axis < 2 && p.in_size[axis] == 1 && p.out_size[axis] == 1) ++axis;
  return axis;
}
// Elements of the input, and of a result of `out_c` channels, for each place along `axis`.
std::pair<int64_t, int64_t> PlaneSizes(const Product& p, int axis, int64_t in_c, int64_t out_c) {
  for (int i = axis + 1; i < 3; ++i) {
    in_c *= p.in_size[i];
    out_c *= p.out_size[i];
  }
  return {in_c, out_c};
}
// How many rows of each phase a slab may have, so that it binds `room` bytes of a tensor at most; 0: not even one.
int64_t SlabHeight(const ProductPlan& plan, int axis, int64_t out_c, uint64_t room) {
  const auto most = static_cast<int64_t>(std::min(room, uint64_t{1} << 40) / 4) - 64;  // a binding begins earlier
  int64_t height = most;
  for (const Product& p : plan.phases) {
    const auto [in_plane, out_plane] = PlaneSizes(p, axis, plan.in_c, out_c);
    const int64_t reach = std::abs((p.taps[axis] - 1) * p.dilation[axis]);
    const int64_t in_places = most / in_plane - reach, out_places = most / out_plane;
    if (in_places < 1 || out_places < 1) return 0;
    height = std::min({height, (in_places - 1) / p.stride[axis] + 1, (out_places - 1) / p.out_step[axis] + 1});
  }
  return height;
}
// Rows [begin, begin + count) along `axis` of the image `n`.
Slab SlabOf(const ProductPlan& plan, const Product& whole, int axis, int64_t out_c, int64_t n, int64_t begin,
            int64_t count) {
  const auto [in_plane, out_plane] = PlaneSizes(whole, axis, plan.in_c, out_c);
  const int64_t reach = (whole.taps[axis] - 1) * whole.dilation[axis], size = whole.in_size[axis];
  // What it reads and writes along the axis; it may want places beyond the tensor, which are zeros.
  const int64_t wanted = begin * whole.stride[axis] + whole.start[axis];
  const int64_t lo = std::clamp<int64_t>(wanted + std::min<int64_t>(0, reach), 0, size - 1);
  const int64_t hi =
      std::clamp<int64_t>(wanted + (count - 1) * whole.stride[axis] + std::max<int64_t>(0, reach) + 1, lo + 1, size);
  const int64_t top = begin * whole.out_step[axis] + whole.offset[axis];
  const int64_t height = (count - 1) * whole.out_step[axis] + 1;
  Slab slab{whole,
            1,
            (n * size + lo) * in_plane,
            (hi - lo) * in_plane,
            (n * whole.out_size[axis] + top) * out_plane,
            height * out_plane};
  slab.p.in_size[axis] = hi - lo;
  slab.p.start[axis] = wanted - lo;
  slab.p.row_size[axis] = count;
  slab.p.out_size[axis] = height;
  slab.p.offset[axis] = 0;
  return slab;
}
// A phase's slabs of so many rows along `axis`; kWhole: one, of the whole batch.
constexpr int64_t kWhole = -1;
std::vector<Slab> SlabsOf(const ProductPlan& plan, const Product& whole, int axis, int64_t out_c, int64_t height) {
  if (height == kWhole) {
    const auto [in_plane, out_plane] = PlaneSizes(whole, -1, plan.in_c, out_c);
    return {{whole, plan.batch, 0, plan.batch * in_plane, 0, plan.batch * out_plane}};
  }
  std::vector<Slab> slabs;
  for (int64_t n = 0; n < plan.batch; ++n) {
    for (int64_t begin = 0; begin < whole.row_size[axis]; begin += height) {
      slabs.push_back(SlabOf(plan, whole, axis, out_c, n, begin, std::min(height, whole.row_size[axis] - begin)));
    }
  }
  return slabs;
}
bool FitsInOne(const NodeRef& ref, const DeviceCaps& caps) {
  return std::max(BytesOf(ref.in(0)), BytesOf(ref.out())) <= caps.max_range;
}
// Dispatches of all slabs of a node; more than kMostDispatches where it can't be cut so.
constexpr int64_t kMostDispatches = 4096;
int64_t SlabDispatches(const ProductPlan& plan, int axis, int64_t height) {
  if (height < 1) return kMostDispatches + 1;
  int64_t count = 0;
  for (const Product& p : plan.phases) count += plan.batch * ((p.row_size[axis] + height - 1) / height);
  return count;
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
  const bool in_one = FitsInOne(ref, caps);
  if (static_cast<uint64_t>(plan.weights(columns)) * 4 > caps.max_range) return false;
  if (!in_one) {
    const int axis = SlabAxis(plan.phases.front());
    const int64_t height = SlabHeight(plan, axis, ref.out().back(), caps.max_range);
    if (SlabDispatches(plan, axis, height) > kMostDispatches) return false;
  }
  for (const Product& p : plan.phases) {
    if (plan.tile.Down((in_one ? plan.batch : 1) * p.row_size[0] * p.row_size[1] * p.row_size[2]) > kWidestGrid ||
        plan.tile.Turns(p.all_taps() * plan.width()) + p.all_taps() > kMostTurns)
      return false;
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
  const std::vector<float> values = weight.ToF32();
  return std::all_of(values.begin(), values.end(), [](float v) { return v == 0 || !(std::abs(v) < 0x1p-14f); });
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

// Every phase's slabs, one dispatch each. `sums`: each phase but the first adds to what those before it stored.
template <Variant kVariant>
Status RecordPhases(const VulkanCall& call, const ProductPlan& plan, const Finish& finish, int axis, int64_t height,
                    bool sums) {
  const int64_t columns = plan.columns(finish.gated), out_c = call.ref.out().back();
  const auto input = [&](int i) { return i < 0 ? BufferRange{} : call.in[i]; };
  int64_t flags = finish.Flags(Has(call, 2) && call.ref.node.inputs[2] != kNoTensor);
  int64_t steps = finish.steps, first_weight = 0;
  BufferRange residual = input(finish.residual);
  const std::vector<uint32_t> constants = Constants<kVariant>(call.ref, plan, columns);
  const Shader& shader = FindShader(kVariant.cooperative ? "cooperative/product"
                                    : kVariant.halves    ? "fast/product_f16"
                                                         : "fast/product");
  for (const Product& phase : plan.phases) {
    const int64_t depth = phase.all_taps() * plan.width();
    for (const Slab& slab : SlabsOf(plan, phase, axis, out_c, height)) {
      const Product& p = slab.p;
      const int64_t rows = slab.images * p.row_size[0] * p.row_size[1] * p.row_size[2];
      if (rows == 0) continue;
      const auto [x, x_first] = PartOf(call.in[0], slab.x_first, slab.x_count);
      const auto [y, y_first] = PartOf(call.out[0], slab.y_first, slab.y_count);
      const Push push = PushOf(p, {rows, depth, columns, first_weight, plan.in_c, out_c, flags, steps,
                                   finish.unary.alpha, finish.unary.beta, x_first, y_first});
      const BufferRange bindings[] = {
          x,
          call.packed,
          Input(call, 2),
          input(finish.scale),
          residual.bytes > 0 ? PartOf(residual, slab.y_first, slab.y_count).first : residual,
          input(finish.slope),
          y};
      TIMBRE_CHECK(call.recorder.Dispatch(
          shader, bindings, constants, push,
          {static_cast<uint32_t>(plan.tile.Down(rows)), static_cast<uint32_t>(plan.tile.Across(columns)),
           static_cast<uint32_t>(plan.groups)}));
    }
    first_weight += plan.groups * depth * columns;
    if (sums) {
      constexpr int64_t kAddResidual = 3;
      flags = 0;  // the bias is there
      steps = kAddResidual;
      residual = call.out[0];
    }
  }
  return {};
}

template <Variant kVariant>
Status RecordProduct(const VulkanCall& call) {
  Finish finish;
  ReadFinish(call.ref, finish);
  const ProductPlan plan = PlanOf<kVariant>(call.ref, call.caps);
  const int axis = SlabAxis(plan.phases.front());
  const int64_t height =
      FitsInOne(call.ref, call.caps) ? kWhole : SlabHeight(plan, axis, call.ref.out().back(), call.caps.max_range);
  return RecordPhases<kVariant>(call, plan, finish, axis, height, false);
}

// ---- convolutions over volumes as sums of convolutions over planes

// For each tap along the depth one product, a slab of output planes at a time, that adds to what is there.
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
    p.start[0] += tap * p.dilation[0];
    planes.product.phases.push_back(p);
  }
  planes.slab =
      SlabHeight(planes.product, 0, planes.product.out_c, std::min({kLeastRange, caps.max_range, caps.memory_free}));
  planes.slab = std::min(planes.slab, whole.out_size[0]);
  return planes;
}

bool PlanesFit(const NodeRef& ref, const DeviceCaps& caps) {
  if (ref.in(0).rank() != 5 || !ref.node.epilogue.empty() || !ref.constant(1)) return false;
  const PlanesPlan planes = PlanesOf(ref, caps);
  const ProductPlan& plan = planes.product;
  const int64_t columns = plan.columns(false);
  if (plan.groups > kWidestGrid || plan.tile.Across(columns) > kWidestGrid ||
      static_cast<uint64_t>(plan.weights(columns)) * 4 > caps.max_range ||
      SlabDispatches(plan, 0, planes.slab) > kMostDispatches)
    return false;
  const Product& p = plan.phases.front();
  if (plan.tile.Turns(p.all_taps() * plan.width()) + p.all_taps() > kMostTurns) return false;
  for (int i = 0; i < 3; ++i) {
    if (p.taps[i] > 255 || p.stride[i] > 255 || p.dilation[i] > 127) return false;
  }
  return plan.tile.Down(planes.slab * p.out_size[1] * p.out_size[2]) <= kWidestGrid;
}

Result<AlignedBytes> PackPlanes(const NodeRef& ref, const DeviceCaps& caps) {
  return PackPlan<kPlainTiles>(ref, PlanesOf(ref, caps).product, {});
}

Status RecordPlanes(const VulkanCall& call) {
  const PlanesPlan planes = PlanesOf(call.ref, call.caps);
  return RecordPhases<kPlainTiles>(call, planes.product, {}, 0, planes.slab, true);
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
          0b10,
          nullptr,
          kVariant.halves ? Precision::kF16 : Precision::kF32,
          kVariant.cooperative,
          true};
}
const KernelRow kRows[] = {
    Row<kCooperativeTiles>(Op::kConv, "vulkan.conv_cooperative"),
    Row<kHalfTiles>(Op::kConv, "vulkan.conv_f16"),
    Row<kWideTiles>(Op::kConv, "vulkan.conv_wide"),
    Row<kPlainTiles>(Op::kConv, "vulkan.conv"),
    {Op::kConv, DeviceKind::kVulkan, Tier::kFast, "vulkan.conv_planes", 1, PlanesFit, VulkanRecord(RecordPlanes),
     nullptr, PackPlanes, 0b10, nullptr, Precision::kF32, false, true},
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

std::span<const KernelRow> VulkanProductKernels() { return kRows; }

}  // namespace timbre
