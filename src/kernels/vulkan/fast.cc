// Fast Vulkan kernels: matrix products in tiles, transforms in shared memory, attention whose scores stay on chip,
// norms with reads side by side. What needs an optional feature of a device asks for it.
#include <algorithm>
#include <bit>

#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

// ---- matrix products, and linear layers over the axis before the last

struct MatMulSizes {
  int64_t batch, rows, depth, columns;
};
MatMulSizes SizesOf(const NodeRef& ref) {
  const Shape& y = ref.out();
  const int64_t depth = ref.node.op == Op::kLinear ? ref.in(0)[-2] : ref.in(0).back();
  return {y.elements() / (y[-2] * y[-1]), y[-2], depth, y[-1]};
}
template <Variant kVariant>
std::optional<Tile> MatMulTile(const MatMulSizes& s, const DeviceCaps& caps) {
  if (kVariant.cooperative) return CooperativeTile(s.batch * s.rows, s.columns, caps);
  const bool wide = kVariant.wide || (kVariant.halves && WorthWide(s.batch * s.rows, s.columns, caps));
  return TileFor(s.columns, caps, wide);
}
template <Variant kVariant>
bool MatMulFits(const NodeRef& ref, const DeviceCaps& caps) {
  if (!ref.node.epilogue.empty()) return false;
  if (kVariant.halves && !caps.float16) return false;
  if (ref.node.op == Op::kLinear && (ref.attrs<LinearAttrs>().axis != -2 || ref.attrs<LinearAttrs>().groups != 1))
    return false;
  const MatMulSizes s = SizesOf(ref);
  if (kVariant.wide && !caps.any_size && !WorthWide(s.batch * s.rows, s.columns, caps)) return false;
  if (kVariant.cooperative && !caps.any_size && !WorthCooperative(s.rows, s.depth, s.columns, caps)) return false;
  const std::optional<Tile> tile = MatMulTile<kVariant>(s, caps);
  return tile && s.depth >= kNarrowest && s.batch <= kWidestGrid && tile->Down(s.rows) <= kWidestGrid &&
         tile->Across(s.columns) <= kWidestGrid && tile->Turns(s.depth) <= kMostTurns;
}
template <Variant kVariant>
Status RecordMatMul(const VulkanCall& call) {
  const MatMulSizes s = SizesOf(call.ref);
  const bool linear = call.ref.node.op == Op::kLinear;
  const MatMulAttrs a = linear ? MatMulAttrs{} : call.ref.attrs<MatMulAttrs>();
  Push push;
  push.I(s.rows).I(s.depth).I(s.columns).I(linear ? 0 : s.rows * s.depth);
  push.I(a.transpose_b).I(linear && Has(call, 2)).F(a.scale);
  const Tile tile = *MatMulTile<kVariant>(s, call.caps);
  const Shader& shader = FindShader(kVariant.cooperative ? "cooperative/matmul"
                                    : kVariant.halves    ? "fast/matmul_f16"
                                                         : "fast/matmul");
  const BufferRange bindings[] = {call.in[linear ? 1 : 0], call.in[linear ? 0 : 1],
                                  linear ? Input(call, 2) : BufferRange{}, call.out[0]};
  return call.recorder.Dispatch(shader, bindings, tile.constants, push,
                                {static_cast<uint32_t>(tile.Across(s.columns)),
                                 static_cast<uint32_t>(tile.Down(s.rows)), static_cast<uint32_t>(s.batch)});
}

// ---- attention

constexpr int64_t kQueries = 32;  // of a workgroup
int64_t HeadWidth(const NodeRef& ref) { return ref.in(0)[2] / ref.attrs<AttentionAttrs>().heads; }
template <Variant kVariant>
int64_t PaddedWidth(const NodeRef& ref) {
  constexpr int64_t kMultiple = kVariant.cooperative ? 16 : 8;
  return (HeadWidth(ref) + kMultiple - 1) / kMultiple * kMultiple;
}
template <Variant kVariant>
bool AttentionFits(const NodeRef& ref, const DeviceCaps& caps) {
  const auto& a = ref.attrs<AttentionAttrs>();
  if (kVariant.cooperative && !a.plain()) return false;
  if (kVariant.cooperative && !caps.any_size && !WorthCooperative(ref.in(0)[1], HeadWidth(ref), ref.in(1)[1], caps))
    return false;
  const int64_t width = PaddedWidth<kVariant>(ref);
  const int64_t words =
      kVariant.cooperative ? 32 * (width + 8) + 16 * 40 + 32 * 36 + 32 * (width + 4) : 3 * 32 * (width + 1) + 32 * 33;
  const int64_t turns = 64 + width + 2 * (32 * width / kThreads);  // for 32 keys, at most
  return ref.node.epilogue.empty() && width <= 128 && ref.in(0)[0] <= kWidestGrid &&
         (ref.in(1)[1] / 32 + 1) * turns <= kMostTurns && static_cast<uint64_t>(words) * 4 <= caps.max_workgroup_memory;
}
template <Variant kVariant>
Status RecordAttention(const VulkanCall& call) {
  const auto& a = call.ref.attrs<AttentionAttrs>();
  const Shape &q = call.ref.in(0), &k = call.ref.in(1);
  const CooperativeMatrix& matrix = call.caps.cooperative_matrix;
  std::vector<uint32_t> constants;
  if (kVariant.cooperative) {
    for (const int64_t side : {matrix.rows, matrix.columns, matrix.depth})
      constants.push_back(static_cast<uint32_t>(side));
  }
  constants.push_back(static_cast<uint32_t>(PaddedWidth<kVariant>(call.ref)));
  const BufferRange bindings[] = {call.in[0], call.in[1], call.in[2], call.out[0], call.scalars};
  const Shader& shader = FindShader(kVariant.cooperative ? "cooperative/attention" : "fast/attention");
  return call.recorder.Dispatch(shader, std::span(bindings, kVariant.cooperative ? 4 : 5), constants,
                                AttentionPush(a, q, k, false),
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
// What a dispatch sees: a run of chunks of a bucket, whose elements lie side by side, or everything.
struct NormPart {
  int64_t first_bucket, buckets, first_chunk, chunks, first, count;  // first and count: elements of the tensor
};
// One part where a binding spans the tensor. None where it does not, and a bucket's rows don't lie side by side or a
// chunk is too large.
std::vector<NormPart> NormParts(const NodeRef& ref, const NormSizes& s, const DeviceCaps& caps) {
  const Shape& x = ref.in(0);
  if (BytesOf(x) <= caps.max_range) return {{0, s.buckets, 0, s.chunks, 0, x.elements()}};
  if (s.kept > 1 || s.dims[1] != s.rows || s.dims[0] != s.buckets) return {};
  const int64_t features = x.back(), chunk_rows = (s.rows + s.chunks - 1) / s.chunks;
  const int64_t run = (static_cast<int64_t>(caps.max_range / 4) - 64) / (chunk_rows * features);
  constexpr size_t kMostParts = 4096;
  std::vector<NormPart> parts;
  if (run < 1) return {};
  for (int64_t bucket = 0; bucket < s.buckets; ++bucket) {
    for (int64_t chunk = 0; chunk * chunk_rows < s.rows; chunk += run) {
      const int64_t top = chunk * chunk_rows, bottom = std::min(s.rows, top + run * chunk_rows);
      if (parts.size() == kMostParts) return {};
      parts.push_back({bucket, 1, chunk, std::min(run, s.chunks - chunk), (bucket * s.rows + top) * features,
                       (bottom - top) * features});
    }
  }
  return parts;
}

// Few rows are the reference kernel's: one workgroup a bucket sees them side by side too.
bool NormFits(const NodeRef& ref, const DeviceCaps& caps) {
  const NormSizes s = NormSizesOf(ref);
  if (NormParts(ref, s, caps).empty()) return false;
  const int64_t turns = (s.rows / s.chunks + 1) / (kThreads / s.lanes) + 1;
  return ref.node.epilogue.empty() && s.rows >= 32 && s.buckets <= kWidestGrid && turns <= kMostTurns &&
         2 * (s.chunks * ref.in(0).back() / kThreads + 1) <= kMostTurns;
}
size_t NormBytes(const NodeRef& ref, const DeviceCaps&) {
  const NormSizes s = NormSizesOf(ref);
  return static_cast<size_t>(s.buckets * (s.chunks * ref.in(0).back() + ref.attrs<NormAttrs>().groups)) * 8;
}
// What is bound of the part begins `before` elements earlier.
Push NormPush(const VulkanCall& call, const NormSizes& s, const NormPart& part, int64_t before) {
  const auto& a = call.ref.attrs<NormAttrs>();
  Push push;
  push.I(s.buckets).I(s.rows).I(call.ref.in(0).back()).I(a.groups).I(s.kept).I(s.chunks).I(s.lanes);
  push.I((Has(call, 1) ? 1 : 0) | (Has(call, 2) ? 2 : 0) | (a.subtract_mean ? 4 : 0)).F(a.eps);
  push.All(s.dims).All(s.stride);
  push.I(part.first_bucket).I(part.first_chunk).I(part.first - before).I(part.first).I(part.first + part.count);
  return push;
}
Status RecordNorm(const VulkanCall& call) {
  const NormSizes s = NormSizesOf(call.ref);
  const std::vector<NormPart> parts = NormParts(call.ref, s, call.caps);
  const auto across = static_cast<uint32_t>((call.ref.in(0).back() + s.lanes - 1) / s.lanes);
  for (const NormPart& part : parts) {
    const auto [x, before] = PartOf(call.in[0], part.first, part.count);
    TIMBRE_CHECK(Dispatch(call, "fast/norm_channels", {x, call.scratch}, NormPush(call, s, part, before),
                          {static_cast<uint32_t>(part.chunks), across, static_cast<uint32_t>(part.buckets)}));
  }
  TIMBRE_CHECK(Dispatch(call, "fast/norm_merge", {call.scratch}, NormPush(call, s, {}, 0),
                        Groups(s.buckets * call.ref.attrs<NormAttrs>().groups)));
  for (const NormPart& part : parts) {
    const auto [x, before] = PartOf(call.in[0], part.first, part.count);
    const BufferRange y = PartOf(call.out[0], part.first, part.count).first;
    TIMBRE_CHECK(Dispatch(call, "fast/norm_apply", {x, call.scratch, Input(call, 1), Input(call, 2), y},
                          NormPush(call, s, part, before), Threads(part.count)));
  }
  return {};
}

// Few rows: by a workgroup each, whose sums are made in subgroups.
bool NormRowsFit(const NodeRef& ref, const DeviceCaps& caps) {
  const int64_t elements = NormSizesOf(ref).rows * (ref.in(0).back() / ref.attrs<NormAttrs>().groups);
  return ref.node.epilogue.empty() && caps.subgroups && 3 * ShareTurns(elements) <= kMostTurns;
}
Status RecordNormRows(const VulkanCall& call) {
  const NormSizes s = NormSizesOf(call.ref);
  return Dispatch(call, "fast/norm_rows", {call.in[0], Input(call, 1), Input(call, 2), call.out[0]},
                  NormPush(call, s, {}, 0), Groups(s.buckets * call.ref.attrs<NormAttrs>().groups));
}

// ---- softmax and reductions

bool SoftmaxFits(const NodeRef& ref, const DeviceCaps& caps) {
  return ref.node.epilogue.empty() && caps.subgroups && 3 * (ref.out().back() / kThreads + 1) <= kMostTurns;
}
Status RecordSoftmax(const VulkanCall& call) {
  const int64_t features = call.ref.out().back(), rows = call.ref.out().elements() / features;
  return Dispatch(call, "fast/softmax", {call.in[0], call.out[0]}, Push().I(rows).I(features), Groups(rows));
}

// Where the outputs are fewer and the terms many, the reference's workgroup for each has more threads to offer.
bool ReduceFits(const NodeRef& ref, const DeviceCaps& caps) {
  constexpr int64_t kMany = 1024, kTerms = 1024, kFew = 64;
  const int64_t outputs = ref.out().elements(), terms = ref.in(0).elements() / outputs;
  return ref.node.epilogue.empty() && terms > 0 && terms <= kTerms &&
         (caps.any_size || outputs >= kMany || terms <= kFew);
}
Status RecordReduceMany(const VulkanCall& call) { return RecordReduce(call, "fast/reduce", Threads); }

// ---- arithmetic where one operand is a run of the other's axes

struct Part {
  bool swapped = false;
  int64_t inner = 1, period = 1;  // element i meets i / inner % period; 0: i
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
  if (part.period == out.elements()) part.period = 0;
  return true;
}
bool BinaryFits(const NodeRef& ref, const DeviceCaps& caps) {
  const BinaryFn fn = ref.attrs<BinaryAttrs>().fn;
  Part part;
  return ref.node.epilogue.empty() && fn != BinaryFn::kComplexMul && fn != BinaryFn::kAtan2 && ReadPart(ref, part) &&
         RowsAtOnce(caps, ref.out().elements(), 1) > 0 &&
         (part.period == 0 || BytesOf(ref.in(part.swapped ? 0 : 1)) <= caps.max_range);
}
Status RecordBinary(const VulkanCall& call) {
  Part part;
  ReadPart(call.ref, part);
  const BufferRange whole = call.in[part.swapped ? 1 : 0], other = call.in[part.swapped ? 0 : 1];
  return InParts(call.caps, call.ref.out().elements(), 1, [&](int64_t first, int64_t n) {
    return Dispatch(call, "fast/binary",
                    {RowsOf(whole, first, n, 1), part.period == 0 ? RowsOf(other, first, n, 1) : other,
                     RowsOf(call.out[0], first, n, 1)},
                    Push()
                        .I(n)
                        .I(static_cast<int64_t>(call.ref.attrs<BinaryAttrs>().fn))
                        .I(part.inner)
                        .I(part.period)
                        .I(part.swapped)
                        .I(first),
                    Threads(n));
  });
}

constexpr KernelRow Fast(Op op, std::string_view name, bool (*supports)(const NodeRef&, const DeviceCaps&),
                         VulkanRecord record, size_t (*scratch)(const NodeRef&, const DeviceCaps&) = nullptr,
                         Result<AlignedBytes> (*pack)(const NodeRef&, const DeviceCaps&) = nullptr, int version = 1) {
  return {op, DeviceKind::kVulkan, Tier::kFast, name, version, supports, record, scratch, pack, pack ? 0b10u : 0u};
}

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kVulkan, Tier::kFast, "vulkan.linear_axis2_cooperative", 1, MatMulFits<kCooperativeTiles>,
     VulkanRecord(RecordMatMul<kCooperativeTiles>), nullptr, nullptr, 0, Precision::kF16, true},
    {Op::kLinear, DeviceKind::kVulkan, Tier::kFast, "vulkan.linear_axis2_f16", 1, MatMulFits<kHalfTiles>,
     VulkanRecord(RecordMatMul<kHalfTiles>), nullptr, nullptr, 0, Precision::kF16},
    Fast(Op::kLinear, "vulkan.linear_axis2_wide", MatMulFits<kWideTiles>, RecordMatMul<kWideTiles>),
    Fast(Op::kLinear, "vulkan.linear_axis2", MatMulFits<kPlainTiles>, RecordMatMul<kPlainTiles>),
    {Op::kMatMul, DeviceKind::kVulkan, Tier::kFast, "vulkan.matmul_cooperative", 1, MatMulFits<kCooperativeTiles>,
     VulkanRecord(RecordMatMul<kCooperativeTiles>), nullptr, nullptr, 0, Precision::kF16, true},
    Fast(Op::kMatMul, "vulkan.matmul_wide", MatMulFits<kWideTiles>, RecordMatMul<kWideTiles>),
    Fast(Op::kMatMul, "vulkan.matmul", MatMulFits<kPlainTiles>, RecordMatMul<kPlainTiles>),
    {Op::kAttention, DeviceKind::kVulkan, Tier::kFast, "vulkan.attention_cooperative", 1,
     AttentionFits<kCooperativeTiles>, VulkanRecord(RecordAttention<kCooperativeTiles>), nullptr, nullptr, 0,
     Precision::kF16, true},
    Fast(Op::kAttention, "vulkan.attention", AttentionFits<kPlainTiles>, RecordAttention<kPlainTiles>, nullptr, nullptr,
         2),
    Fast(Op::kStft, "vulkan.stft", TransformFits, RecordStft, nullptr, PackRoots),
    Fast(Op::kIstft, "vulkan.istft", TransformFits, RecordIstft, FrameBytes, PackRoots),
    BindsParts(Fast(Op::kBinary, "vulkan.binary", BinaryFits, RecordBinary)),
    BindsParts(Fast(Op::kNorm, "vulkan.norm", NormFits, RecordNorm, NormBytes)),
    Fast(Op::kNorm, "vulkan.norm_rows", NormRowsFit, RecordNormRows, nullptr, nullptr, 2),
    Fast(Op::kSoftmax, "vulkan.softmax", SoftmaxFits, RecordSoftmax),
    Fast(Op::kReduce, "vulkan.reduce", ReduceFits, RecordReduceMany),
};

}  // namespace

std::span<const KernelRow> VulkanFastKernels() { return kRows; }

}  // namespace timbre
