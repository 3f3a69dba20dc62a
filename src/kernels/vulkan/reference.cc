// The reference Vulkan kernel of every operator: one plain shader each, no optional features, no epilogue.
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/vulkan/record_helpers.h"

namespace timbre {

const Shader& FindShader(std::string_view name) {
  static const Shader none{};
  for (const Shader& shader : AllShaders()) {
    if (shader.name == name) return shader;
  }
  return none;
}

namespace {
struct Axes {
  std::array<int64_t, 6> dims{1, 1, 1, 1, 1, 1}, stride{};
};
}  // namespace

Status RecordReduce(const VulkanCall& call, std::string_view shader, std::array<uint32_t, 3> (*grid)(int64_t)) {
  const auto& a = call.ref.attrs<ReduceAttrs>();
  const Shape& s = call.ref.in(0);
  Axes axes;
  int slot = 0, kept = 0;
  for (const bool reduced : {false, true}) {
    for (int i = 0; i < s.rank(); ++i) {
      if (static_cast<bool>(a.axes >> i & 1) != reduced) continue;
      axes.dims[slot] = s[i];
      axes.stride[slot++] = s.stride(i);
    }
    if (!reduced) kept = slot;
  }
  const int64_t outputs = call.ref.out().elements();
  return Dispatch(call, shader, {call.in[0], call.out[0]},
                  Push()
                      .I(outputs)
                      .I(s.elements() / outputs)
                      .I(static_cast<int64_t>(a.fn))
                      .I(a.ddof)
                      .I(kept)
                      .All(axes.dims)
                      .All(axes.stride),
                  grid(outputs));
}

namespace {

// The six-axis view of `shape` as it lies under `out`: axes that broadcast have stride 0.
Axes Broadcast(const Shape& shape, const Shape& out) {
  Axes axes;
  for (int i = 1; i <= out.rank(); ++i) {
    axes.dims[6 - i] = out[-i];
    if (i <= shape.rank() && shape[-i] != 1) axes.stride[6 - i] = shape.stride(-i);
  }
  return axes;
}

// Whether a kernel that works row by row can bind enough of them; `widest`: of a row of input 0 or the output.
bool RowsFit(const NodeRef& ref, const DeviceCaps& caps, int64_t width, int64_t widest) {
  return ref.node.epilogue.empty() && RowsAtOnce(caps, ref.out().elements() / width, widest) > 0;
}
bool ElementsFit(const NodeRef& ref, const DeviceCaps& caps) { return RowsFit(ref, caps, 1, 1); }
bool FeaturesFit(const NodeRef& ref, const DeviceCaps& caps) {
  const int64_t c = ref.out().back();
  return RowsFit(ref, caps, c, c);
}
bool GluFits(const NodeRef& ref, const DeviceCaps& caps) {
  return RowsFit(ref, caps, ref.out().back(), 2 * ref.out().back());
}

Status RecordUnary(const VulkanCall& call, const UnaryAttrs& a) {
  return InParts(call.caps, call.ref.out().elements(), 1, [&](int64_t first, int64_t n) {
    return Dispatch(call, "reference/unary", {RowsOf(call.in[0], first, n, 1), RowsOf(call.out[0], first, n, 1)},
                    Push().I(n).I(static_cast<int64_t>(a.fn)).F(a.alpha).F(a.beta), Threads(n));
  });
}
Status RecordUnary(const VulkanCall& call) { return RecordUnary(call, call.ref.attrs<UnaryAttrs>()); }

Status RecordBinary(const VulkanCall& call) {
  const Shape& out = call.ref.out();
  const Axes a = Broadcast(call.ref.in(0), out), b = Broadcast(call.ref.in(1), out);
  return Dispatch(call, "reference/binary", {call.in[0], call.in[1], call.out[0]},
                  Push()
                      .I(out.elements())
                      .I(static_cast<int64_t>(call.ref.attrs<BinaryAttrs>().fn))
                      .All(a.dims)
                      .All(a.stride)
                      .All(b.stride),
                  Threads(out.elements()));
}

Status RecordPRelu(const VulkanCall& call) {
  const int64_t c = call.ref.out().back();
  return InParts(call.caps, call.ref.out().elements() / c, c, [&](int64_t first, int64_t rows) {
    return Dispatch(call, "reference/prelu",
                    {RowsOf(call.in[0], first, rows, c), call.in[1], RowsOf(call.out[0], first, rows, c)},
                    Push().I(rows * c).I(call.ref.in(1).elements()), Threads(rows * c));
  });
}

Status RecordGlu(const VulkanCall& call) {
  const int64_t c = call.ref.out().back();
  return InParts(call.caps, call.ref.out().elements() / c, 2 * c, [&](int64_t first, int64_t rows) {
    return Dispatch(call, "reference/glu",
                    {RowsOf(call.in[0], first, rows, 2 * c), RowsOf(call.out[0], first, rows, c)},
                    Push().I(rows * c).I(c), Threads(rows * c));
  });
}

Status RecordBatchNorm(const VulkanCall& call) {
  const int64_t c = call.ref.out().back();
  return InParts(call.caps, call.ref.out().elements() / c, c, [&](int64_t first, int64_t rows) {
    return Dispatch(call, "reference/batch_norm",
                    {RowsOf(call.in[0], first, rows, c), call.in[1], call.in[2], Input(call, 3), Input(call, 4),
                     RowsOf(call.out[0], first, rows, c)},
                    Push().I(rows * c).I(c).I(Has(call, 3)).I(Has(call, 4)).F(call.ref.attrs<BatchNormAttrs>().eps),
                    Threads(rows * c));
  });
}

bool SoftmaxFits(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && 3 * (ref.out().back() / kThreads + 1) <= kMostTurns;
}
Status RecordSoftmax(const VulkanCall& call) {
  const int64_t c = call.ref.out().back(), rows = call.ref.out().elements() / c;
  return Dispatch(call, "reference/softmax", {call.in[0], call.out[0]}, Push().I(rows).I(c), Groups(rows));
}

bool ReduceFits(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && 2 * ShareTurns(ref.in(0).elements() / ref.out().elements()) <= kMostTurns;
}
Status RecordReduceGroups(const VulkanCall& call) { return RecordReduce(call, "reference/reduce", Groups); }

bool NormFits(const NodeRef& ref, const DeviceCaps&) {  // as if all rows shared their statistics
  const Shape& s = ref.in(0);
  return ref.node.epilogue.empty() && 3 * ShareTurns(s.elements() / s[0] / ref.attrs<NormAttrs>().groups) <= kMostTurns;
}
Status RecordNorm(const VulkanCall& call) {
  const auto& a = call.ref.attrs<NormAttrs>();
  const Shape& s = call.ref.in(0);
  std::array<int64_t, 5> dims{1, 1, 1, 1, 1}, stride{};
  int slot = 0, kept = 0;
  int64_t buckets = 1;
  for (const bool reduced : {false, true}) {
    for (int i = 0; i < s.rank() - 1; ++i) {
      const bool keeps = i == 0 || (a.keep >> i & 1) != 0;
      if (keeps == reduced) continue;
      dims[slot] = s[i];
      stride[slot++] = s.stride(i) / s.back();
      if (keeps) buckets *= s[i];
    }
    if (!reduced) kept = slot;
  }
  const int64_t rows = s.elements() / s.back() / buckets;
  return Dispatch(call, "reference/norm", {call.in[0], Input(call, 1), Input(call, 2), call.out[0]},
                  Push()
                      .I(buckets)
                      .I(rows)
                      .I(s.back())
                      .I(a.groups)
                      .I(kept)
                      .I(Has(call, 1))
                      .I(Has(call, 2))
                      .I(a.subtract_mean)
                      .F(a.eps)
                      .All(dims)
                      .All(stride),
                  Groups(buckets * a.groups));
}

template <typename A>
bool ConvFits(const NodeRef& ref, const DeviceCaps&) {
  const auto& a = ref.attrs<A>();
  const int64_t taps = int64_t{a.kernel[0]} * a.kernel[1] * a.kernel[2];
  return ref.node.epilogue.empty() && taps * (ref.in(0).back() / a.groups + 12) <= kMostTurns;
}

Status RecordConv(const VulkanCall& call) {
  const auto& a = call.ref.attrs<ConvAttrs>();
  const Spatial x = SpatialOf(call.ref.in(0)), y = SpatialOf(call.ref.out());
  const int64_t n = call.ref.out().elements();
  return Dispatch(call, "reference/conv", {call.in[0], call.in[1], Input(call, 2), call.out[0]},
                  Push()
                      .I(n)
                      .I(Has(call, 2))
                      .I(a.groups)
                      .I(x.c)
                      .I(y.c)
                      .I(x.d)
                      .I(x.h)
                      .I(x.w)
                      .I(y.d)
                      .I(y.h)
                      .I(y.w)
                      .All(a.kernel)
                      .All(a.stride)
                      .All(a.dilation)
                      .All(a.pad_lo),
                  Threads(n));
}

Status RecordConvTranspose(const VulkanCall& call) {
  const auto& a = call.ref.attrs<ConvTransposeAttrs>();
  const Spatial x = SpatialOf(call.ref.in(0)), y = SpatialOf(call.ref.out());
  const int64_t n = call.ref.out().elements();
  return Dispatch(call, "reference/conv_transpose", {call.in[0], call.in[1], Input(call, 2), call.out[0]},
                  Push()
                      .I(n)
                      .I(Has(call, 2))
                      .I(a.groups)
                      .I(x.c)
                      .I(y.c)
                      .I(x.d)
                      .I(x.h)
                      .I(x.w)
                      .I(y.d)
                      .I(y.h)
                      .I(y.w)
                      .All(a.kernel)
                      .All(a.stride)
                      .All(a.crop_lo),
                  Threads(n));
}

bool LinearFits(const NodeRef& ref, const DeviceCaps&) {
  const auto& a = ref.attrs<LinearAttrs>();
  return ref.node.epilogue.empty() && ref.in(0)[a.axis] / a.groups <= kMostTurns;
}
Status RecordLinear(const VulkanCall& call) {
  const auto& a = call.ref.attrs<LinearAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  const int axis = a.axis;
  return Dispatch(call, "reference/linear", {call.in[0], call.in[1], Input(call, 2), call.out[0]},
                  Push().I(y.elements()).I(Has(call, 2)).I(a.groups).I(x[axis]).I(y[axis]).I(axis == -2 ? x.back() : 1),
                  Threads(y.elements()));
}

bool MatMulFits(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && ref.in(0).back() <= kMostTurns;
}
Status RecordMatMul(const VulkanCall& call) {
  const auto& a = call.ref.attrs<MatMulAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  return Dispatch(call, "reference/matmul", {call.in[0], call.in[1], call.out[0]},
                  Push().I(y.elements()).I(x[-2]).I(x[-1]).I(y[-1]).I(a.transpose_b).F(a.scale), Threads(y.elements()));
}

bool AttentionFits(const NodeRef& ref, const DeviceCaps&) {
  const int64_t width = ref.in(0)[2] / ref.attrs<AttentionAttrs>().heads;
  return ref.node.epilogue.empty() && width <= kThreads &&
         (ref.in(1)[1] / kThreads + 1) * (32 + width + kThreads) <= kMostTurns;
}

Status RecordAttention(const VulkanCall& call) {
  const auto& a = call.ref.attrs<AttentionAttrs>();
  const Shape &q = call.ref.in(0), &k = call.ref.in(1);
  return Dispatch(call, "reference/attention", {call.in[0], call.in[1], call.in[2], call.out[0], call.scalars},
                  AttentionPush(a, q, k, true), Groups(q[0] * q[1] * a.heads));
}

// ids may have any number: a thread makes an element of the result.
Status RecordEmbedding(const VulkanCall& call) {
  const Shape& table = call.ref.in(1);
  const int64_t n = call.ref.out().elements();
  return Dispatch(call, "reference/embedding", {call.in[0], call.in[1], call.out[0]},
                  Push().I(n).I(table[0]).I(table[1]), Threads(n));
}

Status RecordRotary(const VulkanCall& call) {
  const auto& a = call.ref.attrs<RotaryAttrs>();
  const Shape& x = call.ref.in(0);
  const bool each = Has(call, 2) && call.ref.in(2).rank() == 2;
  const int64_t n = x.elements();
  return Dispatch(call, "reference/rotary", {call.in[0], call.in[1], Input(call, 2), call.out[0], call.scalars},
                  Push()
                      .I(n)
                      .I(x[1])
                      .I(x[2])
                      .I(x[2] / a.heads)
                      .I(a.dims)
                      .I(a.interleaved)
                      .I(Has(call, 2) ? (each ? 2 : 1) : 0)
                      .I(a.first)
                      .I(a.at),
                  Threads(n));
}

Status RecordTranspose(const VulkanCall& call) {
  const auto& a = call.ref.attrs<TransposeAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  Axes axes;
  for (int i = 0; i < y.rank(); ++i) {
    axes.dims[6 - y.rank() + i] = y[i];
    axes.stride[6 - y.rank() + i] = x.stride(a.perm[i]);
  }
  return Dispatch(call, "reference/transpose", {call.in[0], call.out[0]},
                  Push().I(y.elements()).All(axes.dims).All(axes.stride), Threads(y.elements()));
}

enum CopyMode { kStep = 0, kRepeat = 1, kZeros = 2, kReflected = 3, kReplicated = 4 };

// Rows [begin, begin + rows) along `axis` of the output, from input `i`.
Status CopyAxis(const VulkanCall& call, size_t i, int axis, int64_t begin, int64_t rows, CopyMode mode, int64_t first,
                int64_t step) {
  const Shape &x = call.ref.in(static_cast<int>(i)), &y = call.ref.out();
  const int64_t inner = y.Product(axis + 1, y.rank()), x_row = x[axis] * inner, y_row = y[axis] * inner;
  return InParts(call.caps, y.Product(0, axis), std::max(x_row, y_row), [&](int64_t from, int64_t outer) {
    const int64_t count = outer * rows * inner;
    return Dispatch(
        call, "reference/copy_axis", {RowsOf(call.in[i], from, outer, x_row), RowsOf(call.out[0], from, outer, y_row)},
        Push().I(count).I(inner).I(x[axis]).I(y[axis]).I(begin).I(rows).I(mode).I(first).I(step), Threads(count));
  });
}
template <typename A>
bool CopyFits(const NodeRef& ref, const DeviceCaps& caps) {
  const Shape& y = ref.out();
  const int axis = ref.attrs<A>().axis;
  const int64_t inner = y.Product(axis + 1, y.rank());
  int64_t widest = y[axis] * inner;
  for (int i = 0; i < static_cast<int>(ref.node.inputs.size()); ++i) widest = std::max(widest, ref.in(i)[axis] * inner);
  return ref.node.epilogue.empty() && RowsAtOnce(caps, y.Product(0, axis), widest) > 0;
}

Status RecordReshape(const VulkanCall& call) { return RecordUnary(call, {UnaryFn::kIdentity}); }
Status RecordSlice(const VulkanCall& call) {
  const auto& a = call.ref.attrs<SliceAttrs>();
  return CopyAxis(call, 0, a.axis, 0, call.ref.out()[a.axis], kStep, a.begin, a.step);
}
Status RecordConcat(const VulkanCall& call) {
  const int axis = call.ref.attrs<ConcatAttrs>().axis;
  int64_t begin = 0;
  for (size_t i = 0; i < call.in.size(); ++i) {
    const int64_t rows = call.ref.in(static_cast<int>(i))[axis];
    TIMBRE_CHECK(CopyAxis(call, i, axis, begin, rows, kStep, 0, 1));
    begin += rows;
  }
  return {};
}
Status RecordPad(const VulkanCall& call) {
  const auto& a = call.ref.attrs<PadAttrs>();
  const CopyMode mode = a.mode == PadMode::kZero ? kZeros : a.mode == PadMode::kReflect ? kReflected : kReplicated;
  return CopyAxis(call, 0, a.axis, 0, call.ref.out()[a.axis], mode, a.lo, 1);
}
Status RecordUpsample(const VulkanCall& call) {
  const auto& a = call.ref.attrs<UpsampleAttrs>();
  return CopyAxis(call, 0, a.axis, 0, call.ref.out()[a.axis], kRepeat, 0, a.factor);
}

bool ConstantWindow(const NodeRef& ref, const DeviceCaps&) { return ref.node.epilogue.empty() && ref.constant(1); }

bool StftFits(const NodeRef& ref, const DeviceCaps& caps) {
  return ConstantWindow(ref, caps) && ref.attrs<StftAttrs>().n_fft / 64 * 68 <= kMostTurns;
}
Status RecordStft(const VulkanCall& call) {
  const auto& a = call.ref.attrs<StftAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  return Dispatch(call, "reference/stft", {call.in[0], call.packed, call.out[0]},
                  Push().I(y.elements() / 2).I(x[1]).I(x[2]).I(y[1]).I(y[2]).I(a.n_fft).I(a.hop).F(a.scale),
                  Threads(y.elements() / 2));
}

bool IstftFits(const NodeRef& ref, const DeviceCaps& caps) {
  const auto& a = ref.attrs<IstftAttrs>();
  return ConstantWindow(ref, caps) && (a.n_fft / a.hop + 1) * (ref.in(0)[2] + 4) <= kMostTurns;
}
Status RecordIstft(const VulkanCall& call) {
  const auto& a = call.ref.attrs<IstftAttrs>();
  const Shape &x = call.ref.in(0), &y = call.ref.out();
  return Dispatch(
      call, "reference/istft", {call.in[0], call.packed, call.out[0]},
      Push().I(y.elements()).I(y[1]).I(y[2]).I(x[1]).I(x[2]).I(a.n_fft).I(a.hop).I(a.crop).I(a.normalize).F(a.scale),
      Threads(y.elements()));
}

int64_t RnnTurns(const NodeRef& ref) {  // of a step, as if there were always four gates
  const int64_t units = ref.in(2)[1], shares = (units + kThreads - 1) / kThreads;
  return 1 + 2 * (shares + 3) + shares * 4 * (ref.in(0)[2] + units + 6);
}
bool RnnFits(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && ref.in(2)[1] <= 1024 && RnnTurns(ref) <= kMostTurns;
}

Status RecordRnn(const VulkanCall& call) {
  const Shape& x = call.ref.in(0);
  return InRuns(x[1], StepsAtOnce(RnnTurns(call.ref)), [&](int64_t first, int64_t count) {
    const RnnStates s(call, first == 0);
    return Dispatch(call, "reference/rnn",
                    {call.in[0], call.in[1], call.in[2], call.in[3], call.in[4], s.h0, s.c0, call.out[0], s.h1, s.c1},
                    Push()
                        .I(x[0])
                        .I(x[1])
                        .I(x[2])
                        .I(call.ref.in(2)[1])
                        .I(call.ref.node.op == Op::kLstm ? 4 : 3)
                        .I(call.ref.attrs<RnnAttrs>().reverse)
                        .I(Has(call, 3))
                        .I(Has(call, 4))
                        .I(first)
                        .I(first + count),
                    Groups(x[0]));
  });
}

Status RecordCumulativeMean(const VulkanCall& call) {
  const Shape& x = call.ref.in(0);
  return InRuns(x[1], StepsAtOnce(1), [&](int64_t first, int64_t count) {
    Push push;
    push.I(x[0]).I(x[1]).I(x[2]).I(first).I(first + count).F(call.ref.attrs<CumulativeMeanAttrs>().alpha);
    return Dispatch(call, "reference/cumulative_mean",
                    {call.in[0], first == 0 ? call.in[1] : call.out[1], call.out[0], call.out[1]}, push,
                    Threads(x[0] * x[2]));
  });
}

bool AliasFreeSnakeFits(const NodeRef& ref, const DeviceCaps&) {
  const int64_t taps = ref.in(3).elements();
  return ref.node.epilogue.empty() && taps * (taps / 2 + 3) <= kMostTurns;
}
Status RecordAliasFreeSnake(const VulkanCall& call) {
  const Shape& x = call.ref.in(0);
  return Dispatch(call, "reference/alias_free_snake",
                  {call.in[0], call.in[1], call.in[2], call.in[3], call.in[4], call.out[0]},
                  Push().I(x.elements()).I(x[1]).I(x[2]).I(call.ref.in(3).elements()), Threads(x.elements()));
}

constexpr KernelRow Row(Op op, std::string_view name, VulkanRecord record,
                        bool (*supports)(const NodeRef&, const DeviceCaps&) = nullptr, int version = 1) {
  return {op, DeviceKind::kVulkan, Tier::kReference, name, version, supports, record};
}

const KernelRow kRows[] = {
    Row(Op::kConv, "vulkan.reference.conv", RecordConv, ConvFits<ConvAttrs>),
    Row(Op::kConvTranspose, "vulkan.reference.conv_transpose", RecordConvTranspose, ConvFits<ConvTransposeAttrs>),
    Row(Op::kLinear, "vulkan.reference.linear", RecordLinear, LinearFits),
    Row(Op::kMatMul, "vulkan.reference.matmul", RecordMatMul, MatMulFits),
    Row(Op::kEmbedding, "vulkan.reference.embedding", RecordEmbedding),
    Row(Op::kRotary, "vulkan.reference.rotary", RecordRotary),
    Row(Op::kAttention, "vulkan.reference.attention", RecordAttention, AttentionFits, 2),
    Row(Op::kNorm, "vulkan.reference.norm", RecordNorm, NormFits, 2),
    BindsParts(Row(Op::kBatchNorm, "vulkan.reference.batch_norm", RecordBatchNorm, FeaturesFit)),
    BindsParts(Row(Op::kUnary, "vulkan.reference.unary", RecordUnary, ElementsFit)),
    Row(Op::kBinary, "vulkan.reference.binary", RecordBinary),
    BindsParts(Row(Op::kPRelu, "vulkan.reference.prelu", RecordPRelu, FeaturesFit)),
    BindsParts(Row(Op::kGlu, "vulkan.reference.glu", RecordGlu, GluFits)),
    Row(Op::kSoftmax, "vulkan.reference.softmax", RecordSoftmax, SoftmaxFits),
    Row(Op::kReduce, "vulkan.reference.reduce", RecordReduceGroups, ReduceFits, 3),
    BindsParts(Row(Op::kReshape, "vulkan.reference.reshape", RecordReshape, ElementsFit)),
    Row(Op::kTranspose, "vulkan.reference.transpose", RecordTranspose),
    BindsParts(Row(Op::kSlice, "vulkan.reference.slice", RecordSlice, CopyFits<SliceAttrs>)),
    BindsParts(Row(Op::kConcat, "vulkan.reference.concat", RecordConcat, CopyFits<ConcatAttrs>)),
    BindsParts(Row(Op::kPad, "vulkan.reference.pad", RecordPad, CopyFits<PadAttrs>)),
    BindsParts(Row(Op::kUpsample, "vulkan.reference.upsample", RecordUpsample, CopyFits<UpsampleAttrs>)),
    {Op::kStft, DeviceKind::kVulkan, Tier::kReference, "vulkan.reference.stft", 2, StftFits, VulkanRecord(RecordStft),
     nullptr, PackRoots, 0b10},
    {Op::kIstft, DeviceKind::kVulkan, Tier::kReference, "vulkan.reference.istft", 1, IstftFits,
     VulkanRecord(RecordIstft), nullptr, PackRoots, 0b10},
    Row(Op::kGru, "vulkan.reference.gru", RecordRnn, RnnFits, 2),
    Row(Op::kLstm, "vulkan.reference.lstm", RecordRnn, RnnFits, 2),
    Row(Op::kCumulativeMean, "vulkan.reference.cumulative_mean", RecordCumulativeMean, nullptr, 2),
    Row(Op::kAliasFreeSnake, "vulkan.reference.alias_free_snake", RecordAliasFreeSnake, AliasFreeSnakeFits),
};

}  // namespace

std::span<const KernelRow> VulkanReferenceKernels() { return kRows; }

}  // namespace timbre
