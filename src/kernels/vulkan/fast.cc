// Fast Vulkan kernels: tiled products with epilogues, transforms in shared memory, attention whose scores stay on chip,
// norms with reads side by side. No optional feature of a device is needed.
#include <algorithm>
#include <bit>

#include "kernels/vulkan/record_helpers.h"

namespace timbre {
namespace {

constexpr int64_t kWidestGrid = 65535;  // workgroups along a dimension that every device has
constexpr int64_t kNarrowest = 4;       // columns or depth under which a tile is mostly padding

// The tiles of tile.glsl: 64 x 64, 128 x 32 or 256 x 16, whichever pads the columns least.
struct Tile {
  int64_t lanes = 16;
  int64_t rows() const { return 1024 / lanes; }
  int64_t columns() const { return 4 * lanes; }
  int64_t Down(int64_t count) const { return (count + rows() - 1) / rows(); }
  int64_t Across(int64_t count) const { return (count + columns() - 1) / columns(); }
};
Tile TileFor(int64_t columns) { return {columns <= 16 ? 4 : columns <= 32 ? 8 : 16}; }

// ---- convolutions, their transposes and linear layers as one product

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
  bool transposed = false;  // weight [in, out / groups, taps] instead of [out, in / groups, taps]
  int64_t width() const { return in_c / groups; }
  Tile tile() const { return TileFor(out_c / groups); }
  // Packed columns of a group: blocks of values and their gates where gated.
  int64_t columns(bool gated) const {
    const int64_t lanes = tile().lanes;
    return gated ? (out_c / 2 + lanes - 1) / lanes * lanes * 2 : out_c / groups;
  }
};

template <typename T>
std::array<int64_t, 3> Wide(const T& list) {
  return {list[0], list[1], list[2]};
}

ProductPlan PlanOf(const NodeRef& ref) {
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

bool ProductFits(const NodeRef& ref, const DeviceCaps&) {
  Finish finish;
  if (!ref.constant(1) || !ReadFinish(ref, finish)) return false;
  if (ref.node.op == Op::kLinear && ref.attrs<LinearAttrs>().axis != -1) return false;
  const ProductPlan plan = PlanOf(ref);
  if (finish.gated && (plan.groups > 1 || plan.out_c % 2 != 0)) return false;
  const int64_t columns = plan.columns(finish.gated);
  if (columns < kNarrowest || plan.width() * plan.kernel[0] * plan.kernel[1] * plan.kernel[2] < kNarrowest)
    return false;
  if (plan.tile().Across(columns) > kWidestGrid || plan.groups > kWidestGrid || plan.phases.size() > 64) return false;
  for (const Product& p : plan.phases) {
    if (plan.tile().Down(plan.batch * p.row_size[0] * p.row_size[1] * p.row_size[2]) > kWidestGrid) return false;
    for (int i = 0; i < 3; ++i) {
      if (p.taps[i] > 255 || p.stride[i] > 255 || p.dilation[i] > 127 || p.out_step[i] > 255) return false;
    }
  }
  return true;
}

// For each phase: [groups, taps, input channels of a group, columns].
Result<AlignedBytes> PackProduct(const NodeRef& ref, const DeviceCaps&) {
  Finish finish;
  ReadFinish(ref, finish);
  const ProductPlan plan = PlanOf(ref);
  const int64_t columns = plan.columns(finish.gated), width = plan.width(), per_group = plan.out_c / plan.groups;
  int64_t taps = 0;
  for (const Product& p : plan.phases) taps += p.all_taps();
  TIMBRE_TRY(AlignedBytes bytes,
             AlignedBytes::Allocate(static_cast<size_t>(plan.groups * taps * width * columns) * 4, true));
  const std::vector<float> weight = ref.value(1).ToF32();
  const int64_t kernel = plan.kernel[0] * plan.kernel[1] * plan.kernel[2], lanes = plan.tile().lanes;
  float* to = bytes.f32();
  for (const Product& p : plan.phases) {
    for (int64_t g = 0; g < plan.groups; ++g) {
      for (int64_t tap = 0; tap < p.all_taps(); ++tap) {
        const int64_t d = p.first_tap[0] + tap / (p.taps[1] * p.taps[2]) * p.tap_step[0];
        const int64_t h = p.first_tap[1] + tap / p.taps[2] % p.taps[1] * p.tap_step[1];
        const int64_t w = p.first_tap[2] + tap % p.taps[2] * p.tap_step[2];
        const int64_t at = (d * plan.kernel[1] + h) * plan.kernel[2] + w;
        for (int64_t c = 0; c < width; ++c, to += columns) {
          for (int64_t o = 0; o < columns; ++o) {
            int64_t channel = o;
            if (finish.gated) {
              channel = o / (2 * lanes) * lanes + o % lanes;
              if (channel >= plan.out_c / 2) continue;
              if (o % (2 * lanes) >= lanes) channel += plan.out_c / 2;
            }
            to[o] = plan.transposed ? weight[((g * width + c) * per_group + channel) * kernel + at]
                                    : weight[((g * per_group + channel) * width + c) * kernel + at];
          }
        }
      }
    }
  }
  return bytes;
}

Status RecordProduct(const VulkanCall& call) {
  Finish finish;
  ReadFinish(call.ref, finish);
  const ProductPlan plan = PlanOf(call.ref);
  const int64_t columns = plan.columns(finish.gated);
  const auto input = [&](int i) { return i < 0 ? BufferRange{} : call.in[i]; };
  const int64_t flags = (Has(call, 2) && call.ref.node.inputs[2] != kNoTensor ? 1 : 0) | (finish.gated ? 2 : 0) |
                        (finish.slope_per_channel ? 4 : 0) | static_cast<int64_t>(finish.unary.fn) << 8;
  const uint32_t lanes[] = {static_cast<uint32_t>(plan.tile().lanes)};
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
          FindShader("fast/product"), bindings, lanes, push,
          {static_cast<uint32_t>(plan.tile().Down(rows)), static_cast<uint32_t>(plan.tile().Across(columns)),
           static_cast<uint32_t>(plan.groups)}));
    }
    first_weight += plan.groups * depth * columns;
  }
  return {};
}

// ---- matrix products, and linear layers over the axis before the last

struct MatMulSizes {
  int64_t batch, rows, depth, columns;
};
MatMulSizes SizesOf(const NodeRef& ref) {
  const Shape& y = ref.out();
  const int64_t depth = ref.node.op == Op::kLinear ? ref.in(0)[-2] : ref.in(0).back();
  return {y.elements() / (y[-2] * y[-1]), y[-2], depth, y[-1]};
}
bool MatMulFits(const NodeRef& ref, const DeviceCaps&) {
  if (!ref.node.epilogue.empty()) return false;
  if (ref.node.op == Op::kLinear && (ref.attrs<LinearAttrs>().axis != -2 || ref.attrs<LinearAttrs>().groups != 1))
    return false;
  const MatMulSizes s = SizesOf(ref);
  const Tile tile = TileFor(s.columns);
  return s.depth >= kNarrowest && s.batch <= kWidestGrid && tile.Down(s.rows) <= kWidestGrid &&
         tile.Across(s.columns) <= kWidestGrid;
}
Status RecordMatMul(const VulkanCall& call) {
  const MatMulSizes s = SizesOf(call.ref);
  const bool linear = call.ref.node.op == Op::kLinear;
  const MatMulAttrs a = linear ? MatMulAttrs{} : call.ref.attrs<MatMulAttrs>();
  Push push;
  push.I(s.rows).I(s.depth).I(s.columns).I(linear ? 0 : s.rows * s.depth);
  push.I(a.transpose_b).I(linear && Has(call, 2)).F(a.scale);
  const Tile tile = TileFor(s.columns);
  const uint32_t lanes[] = {static_cast<uint32_t>(tile.lanes)};
  const BufferRange bindings[] = {call.in[linear ? 1 : 0], call.in[linear ? 0 : 1],
                                  linear ? Input(call, 2) : BufferRange{}, call.out[0]};
  return call.recorder.Dispatch(FindShader("fast/matmul"), bindings, lanes, push,
                                {static_cast<uint32_t>(tile.Across(s.columns)),
                                 static_cast<uint32_t>(tile.Down(s.rows)), static_cast<uint32_t>(s.batch)});
}

// ---- attention

constexpr int64_t kQueries = 32;  // of a workgroup
int64_t HeadWidth(const NodeRef& ref) { return (ref.in(0)[2] / ref.attrs<AttentionAttrs>().heads + 7) / 8 * 8; }
bool AttentionFits(const NodeRef& ref, const DeviceCaps& caps) {
  const int64_t width = HeadWidth(ref);
  return ref.node.epilogue.empty() && width <= 128 && ref.in(0)[0] <= kWidestGrid &&
         static_cast<uint64_t>(3 * 32 * (width + 1) + 32 * 33) * 4 <= caps.max_workgroup_memory;
}
Status RecordAttention(const VulkanCall& call) {
  const auto& a = call.ref.attrs<AttentionAttrs>();
  const Shape &q = call.ref.in(0), &k = call.ref.in(1);
  const uint32_t width[] = {static_cast<uint32_t>(HeadWidth(call.ref))};
  const BufferRange bindings[] = {call.in[0], call.in[1], call.in[2], call.out[0]};
  return call.recorder.Dispatch(FindShader("fast/attention"), bindings, width,
                                Push().I(q[1]).I(k[1]).I(q[2]).I(a.heads).I(a.causal).F(a.scale),
                                {static_cast<uint32_t>((q[1] + kQueries - 1) / kQueries),
                                 static_cast<uint32_t>(a.heads), static_cast<uint32_t>(q[0])});
}

// ---- Fourier transforms of powers of two

bool TransformFits(const NodeRef& ref, const DeviceCaps& caps) {
  const int n_fft = ref.node.op == Op::kStft ? ref.attrs<StftAttrs>().n_fft : ref.attrs<IstftAttrs>().n_fft;
  return ref.node.epilogue.empty() && ref.constant(1) && n_fft >= 4 &&
         std::has_single_bit(static_cast<uint32_t>(n_fft)) &&
         static_cast<uint64_t>(n_fft) * 4 <= caps.max_workgroup_memory;
}
Status RecordStft(const VulkanCall& call) {
  const auto& a = call.ref.attrs<StftAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  const int64_t transforms = y[0] * y[1] * x[2];
  const uint32_t half[] = {static_cast<uint32_t>(a.n_fft / 2)};
  const BufferRange bindings[] = {call.in[0], call.packed, call.out[0]};
  return call.recorder.Dispatch(FindShader("fast/stft"), bindings, half,
                                Push().I(transforms).I(x[1]).I(x[2]).I(y[1]).I(a.hop).F(a.scale), Groups(transforms));
}

size_t FrameBytes(const NodeRef& ref, const DeviceCaps&) {
  const Shape& x = ref.in(0);
  return static_cast<size_t>(x[0] * x[1] * x[3] / 2) * ref.attrs<IstftAttrs>().n_fft * 4;
}
Status RecordIstft(const VulkanCall& call) {
  const auto& a = call.ref.attrs<IstftAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  const int64_t transforms = x[0] * x[1] * y[2];
  const uint32_t half[] = {static_cast<uint32_t>(a.n_fft / 2)};
  const BufferRange bindings[] = {call.in[0], call.packed, call.scratch};
  TIMBRE_CHECK(call.recorder.Dispatch(FindShader("fast/istft_frames"), bindings, half,
                                      Push().I(transforms).I(y[2]).I(x[1]).F(a.scale / static_cast<float>(a.n_fft)),
                                      Groups(transforms)));
  return Dispatch(call, "fast/istft_sum", {call.scratch, call.packed, call.out[0]},
                  Push().I(y.elements()).I(y[1]).I(y[2]).I(x[1]).I(a.n_fft).I(a.hop).I(a.crop).I(a.normalize),
                  Threads(y.elements()));
}

// ---- norms over many rows

struct NormSizes {
  int64_t buckets = 1, rows = 1, chunks = 1, lanes = 1;
  int kept = 0;
  std::array<int64_t, 5> dims{1, 1, 1, 1, 1}, stride{};
};
NormSizes NormSizesOf(const NodeRef& ref) {
  const auto& a = ref.attrs<NormAttrs>();
  const Shape& s = ref.in(0);
  NormSizes sizes;
  int slot = 0;
  for (const bool reduced : {false, true}) {
    for (int i = 0; i < s.rank() - 1; ++i) {
      const bool keeps = i == 0 || (a.keep >> i & 1) != 0;
      if (keeps == reduced) continue;
      (keeps ? sizes.buckets : sizes.rows) *= s[i];
      const int64_t stride = s.stride(i) / s.back();
      if (slot > (reduced ? sizes.kept : 0) && sizes.stride[slot - 1] == s[i] * stride) {
        sizes.dims[slot - 1] *= s[i];
        sizes.stride[slot - 1] = stride;
      } else {
        sizes.dims[slot] = s[i];
        sizes.stride[slot++] = stride;
      }
    }
    if (!reduced) sizes.kept = slot;
  }
  constexpr int64_t kChunkElements = 4096;
  sizes.lanes = std::min<int64_t>(64, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(s.back()))));
  sizes.chunks = std::clamp<int64_t>(sizes.rows * sizes.lanes / kChunkElements, 1, 256);
  return sizes;
}
// Few rows are the reference kernel's: one workgroup a bucket sees them side by side too.
bool NormFits(const NodeRef& ref, const DeviceCaps&) {
  const NormSizes s = NormSizesOf(ref);
  return ref.node.epilogue.empty() && s.rows >= 32 && s.buckets <= kWidestGrid;
}
size_t NormBytes(const NodeRef& ref, const DeviceCaps&) {
  const NormSizes s = NormSizesOf(ref);
  return static_cast<size_t>(s.buckets * (s.chunks * ref.in(0).back() + ref.attrs<NormAttrs>().groups)) * 8;
}
Status RecordNorm(const VulkanCall& call) {
  const auto& a = call.ref.attrs<NormAttrs>();
  const NormSizes s = NormSizesOf(call.ref);
  const int64_t features = call.ref.in(0).back();
  Push push;
  push.I(s.buckets).I(s.rows).I(features).I(a.groups).I(s.kept).I(s.chunks).I(s.lanes);
  push.I((Has(call, 1) ? 1 : 0) | (Has(call, 2) ? 2 : 0) | (a.subtract_mean ? 4 : 0)).F(a.eps);
  push.All(s.dims).All(s.stride);
  TIMBRE_CHECK(Dispatch(call, "fast/norm_channels", {call.in[0], call.scratch}, push,
                        {static_cast<uint32_t>(s.chunks), static_cast<uint32_t>((features + s.lanes - 1) / s.lanes),
                         static_cast<uint32_t>(s.buckets)}));
  TIMBRE_CHECK(Dispatch(call, "fast/norm_merge", {call.scratch}, push, Groups(s.buckets * a.groups)));
  return Dispatch(call, "fast/norm_apply", {call.in[0], call.scratch, Input(call, 1), Input(call, 2), call.out[0]},
                  push, Threads(call.ref.out().elements()));
}

// ---- arithmetic where one operand is a run of the other's axes

struct Part {
  bool swapped = false;
  int64_t inner = 1, period = 1;  // element i meets i / inner % period
};
// False where neither operand has the result's shape, or the other one's axes are not next to each other.
bool ReadPart(const NodeRef& ref, Part& part) {
  const Shape& out = ref.out();
  part.swapped = ref.in(0).elements() != out.elements();
  if (part.swapped && ref.in(1).elements() != out.elements()) return false;
  const Shape& other = ref.in(part.swapped ? 0 : 1);
  int state = 0;  // inside, among and outside of the other's axes, from the last axis on
  for (int i = 1; i <= out.rank(); ++i) {
    const bool there = i <= other.rank() && other[-i] != 1;
    if (out[-i] == 1) continue;
    if (there && state == 2) return false;
    if (there) state = 1;
    if (!there && state == 1) state = 2;
    if (there) part.period *= out[-i];
    if (!there && state == 0) part.inner *= out[-i];
  }
  if (part.period == 1) part.inner = 1;
  return true;
}
bool BinaryFits(const NodeRef& ref, const DeviceCaps&) {
  const BinaryFn fn = ref.attrs<BinaryAttrs>().fn;
  Part part;
  return ref.node.epilogue.empty() && fn != BinaryFn::kComplexMul && fn != BinaryFn::kAtan2 && ReadPart(ref, part);
}
Status RecordBinary(const VulkanCall& call) {
  Part part;
  ReadPart(call.ref, part);
  const int64_t n = call.ref.out().elements();
  return Dispatch(call, "fast/binary", {call.in[part.swapped ? 1 : 0], call.in[part.swapped ? 0 : 1], call.out[0]},
                  Push()
                      .I(n)
                      .I(static_cast<int64_t>(call.ref.attrs<BinaryAttrs>().fn))
                      .I(part.inner)
                      .I(part.period)
                      .I(part.swapped),
                  Threads(n));
}

constexpr KernelRow Fast(Op op, std::string_view name, bool (*supports)(const NodeRef&, const DeviceCaps&),
                         VulkanRecord record, size_t (*scratch)(const NodeRef&, const DeviceCaps&) = nullptr,
                         Result<AlignedBytes> (*pack)(const NodeRef&, const DeviceCaps&) = nullptr) {
  return {op, DeviceKind::kVulkan, Tier::kFast, name, 1, supports, record, scratch, pack, pack ? 0b10u : 0u};
}

const KernelRow kRows[] = {
    Fast(Op::kConv, "vulkan.conv", ProductFits, RecordProduct, nullptr, PackProduct),
    Fast(Op::kConvTranspose, "vulkan.conv_transpose", ProductFits, RecordProduct, nullptr, PackProduct),
    Fast(Op::kLinear, "vulkan.linear", ProductFits, RecordProduct, nullptr, PackProduct),
    Fast(Op::kLinear, "vulkan.linear_axis2", MatMulFits, RecordMatMul),
    Fast(Op::kMatMul, "vulkan.matmul", MatMulFits, RecordMatMul),
    Fast(Op::kAttention, "vulkan.attention", AttentionFits, RecordAttention),
    Fast(Op::kStft, "vulkan.stft", TransformFits, RecordStft, nullptr, PackRoots),
    Fast(Op::kIstft, "vulkan.istft", TransformFits, RecordIstft, FrameBytes, PackRoots),
    Fast(Op::kBinary, "vulkan.binary", BinaryFits, RecordBinary),
    Fast(Op::kNorm, "vulkan.norm", NormFits, RecordNorm, NormBytes),
};

}  // namespace

std::span<const KernelRow> VulkanFastKernels() { return kRows; }

}  // namespace timbre
