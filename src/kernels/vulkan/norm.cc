// Norms with reads side by side, and softmax and reductions over rows.
#include <algorithm>
#include <bit>

#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

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
  return ref.node.epilogue.empty() && s.rows >= 32 && s.buckets <= kWidestGrid && 2 * turns <= kMostTurns &&
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

const KernelRow kRows[] = {
    BindsParts(FastVulkan(Op::kNorm, "vulkan.norm", NormFits, RecordNorm, NormBytes, nullptr, 2)),
    FastVulkan(Op::kNorm, "vulkan.norm_rows", NormRowsFit, RecordNormRows, nullptr, nullptr, 2),
    FastVulkan(Op::kSoftmax, "vulkan.softmax", SoftmaxFits, RecordSoftmax),
    FastVulkan(Op::kReduce, "vulkan.reduce", ReduceFits, RecordReduceMany),
};

}  // namespace

std::span<const KernelRow> VulkanNormKernels() { return kRows; }

}  // namespace timbre
