// Linear layers and tables whose weights stay on the device as a checkpoint stores them: bfloat16, and blocks of 4 to 8
// bits. A prompt's session and a step's hold the same bytes, once. Halves are the products' (product.cc), which keep
// them as halves too, in the order in which tiles read them.
#include <algorithm>
#include <numeric>

#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

// As stored.glsl numbers them; -1 where it does not know the type.
int TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF16: return 0;
    case DType::kBF16: return 1;
    case DType::kQ4_0: return 2;
    case DType::kQ4_1: return 3;
    case DType::kQ5_0: return 4;
    case DType::kQ5_1: return 5;
    case DType::kQ8_0: return 6;
    case DType::kQ4_K: return 7;
    case DType::kQ5_K: return 8;
    case DType::kQ6_K: return 9;
    default: return -1;
  }
}

int64_t RowBytes(const HostTensor& weight) {
  return static_cast<int64_t>(timbre::BytesOf(weight.dtype, weight.shape.back()));
}
// Rows that one binding spans: all, or so many that the next ones begin where a binding may.
int64_t RowsBound(const HostTensor& weight, const DeviceCaps& caps) {
  constexpr int64_t kAligned = 256;
  const int64_t rows = weight.shape[0], bytes = RowBytes(weight), step = kAligned / std::gcd(bytes, kAligned);
  const auto most = static_cast<int64_t>(std::min(caps.max_range, uint64_t{1} << 31)) / bytes;
  return most >= rows ? rows : most / step * step;
}
BufferRange Bound(const BufferRange& weights, int64_t row_bytes, int64_t first, int64_t rows) {
  const int64_t bytes = (rows * row_bytes + 3) / 4 * 4;
  return {weights.buffer, weights.offset + static_cast<uint64_t>(first * row_bytes), static_cast<uint64_t>(bytes)};
}

bool IsStored(const NodeRef& ref, const DeviceCaps& caps) {
  if (!ref.constant(1)) return false;
  const HostTensor& weight = ref.value(1);
  return TypeOf(weight.dtype) >= 0 && weight.shape.rank() == 2 && weight.shape[1] % BlockOf(weight.dtype) == 0 &&
         RowsBound(weight, caps) > 0;
}

// The bytes as they are, in whole words.
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const HostTensor& weight = ref.value(1);
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate((weight.bytes() + 3) / 4 * 4, true));
  TIMBRE_CHECK(weight.ReadStored(0, weight.bytes(), bytes.data()));
  return bytes;
}

// ---- linear layers

constexpr int64_t kTall = 8;  // rows of a workgroup, unless there are fewer
int64_t TallOf(int64_t rows) { return rows >= kTall ? kTall : rows >= 4 ? 4 : rows >= 2 ? 2 : 1; }
constexpr int64_t kOutputs = 8;  // of a workgroup

// Rows of the input and of the result that a binding spans.
int64_t RowsAtATime(const NodeRef& ref, const DeviceCaps& caps) {
  const int64_t depth = ref.in(1)[1], most = static_cast<int64_t>(std::min(caps.max_range, uint64_t{1} << 31) / 4) - 64;
  return std::min(ref.in(0).elements() / depth, most / std::max(depth, ref.in(1)[0]));
}

bool LinearFits(const NodeRef& ref, const DeviceCaps& caps) {
  const auto& a = ref.attrs<LinearAttrs>();
  Finish finish;
  if (a.axis != -1 || a.groups != 1 || !IsStored(ref, caps) || !ReadFinish(ref, finish) || finish.gated) return false;
  if (ref.value(1).dtype == DType::kF16 && !caps.any_size) return false;
  const int64_t depth = ref.in(1)[1], rows = RowsAtATime(ref, caps);
  if (rows < 1) return false;
  const int64_t tall = TallOf(rows);
  return (rows + tall - 1) / tall <= kWidestGrid && (ref.in(1)[0] + kOutputs - 1) / kOutputs <= kWidestGrid &&
         (depth / 1024 + 1) * (2 + 32 * (2 + tall)) <= kMostTurns;
}

Status RecordLinear(const VulkanCall& call) {
  Finish finish;
  ReadFinish(call.ref, finish);
  const HostTensor& weight = call.ref.value(1);
  const int64_t outputs = weight.shape[0], depth = weight.shape[1], row_bytes = RowBytes(weight);
  const int64_t all_rows = call.ref.in(0).elements() / depth;
  const auto input = [&](int i) { return i < 0 ? BufferRange{} : call.in[i]; };
  const auto record = [&](int64_t first_row, int64_t rows, int64_t first, int64_t count) {
    const auto [x, x_first] = PartOf(call.in[0], first_row * depth, rows * depth);
    const auto [y, y_first] = PartOf(call.out[0], first_row * outputs, rows * outputs);
    const BufferRange residual = input(finish.residual);
    const int64_t tall = TallOf(rows);
    Push push;
    push.I(rows).I(depth).I(row_bytes).I(first).I(count).I(outputs).I(finish.Flags(Has(call, 2))).I(finish.steps);
    push.F(finish.unary.alpha).F(finish.unary.beta).I(x_first).I(y_first);
    const uint32_t constants[] = {static_cast<uint32_t>(TypeOf(weight.dtype)), static_cast<uint32_t>(tall)};
    const BufferRange bindings[] = {
        x,
        Bound(call.packed, row_bytes, first, count),
        Input(call, 2),
        input(finish.scale),
        residual.bytes > 0 ? PartOf(residual, first_row * outputs, rows * outputs).first : residual,
        input(finish.slope),
        y};
    return call.recorder.Dispatch(
        FindShader("fast/linear_stored"), bindings, constants, push,
        {static_cast<uint32_t>((count + kOutputs - 1) / kOutputs), static_cast<uint32_t>((rows + tall - 1) / tall), 1});
  };
  return InRuns(all_rows, RowsAtATime(call.ref, call.caps), [&](int64_t first_row, int64_t rows) {
    return InRuns(outputs, RowsBound(weight, call.caps),
                  [&](int64_t first, int64_t count) { return record(first_row, rows, first, count); });
  });
}

// ---- tables

bool EmbeddingFits(const NodeRef& ref, const DeviceCaps& caps) {
  return ref.node.epilogue.empty() && IsStored(ref, caps) && RowsAtOnce(caps, ref.out().elements(), 1) > 0;
}

Status RecordEmbedding(const VulkanCall& call) {
  const HostTensor& table = call.ref.value(1);
  const int64_t row_bytes = RowBytes(table);
  const uint32_t constants[] = {static_cast<uint32_t>(TypeOf(table.dtype))};
  const auto record = [&](int64_t begin, int64_t elements, int64_t first, int64_t count) {
    Push push;
    push.I(elements).I(begin).I(table.shape[0]).I(table.shape[1]).I(row_bytes).I(first).I(count);
    const BufferRange bindings[] = {call.in[0], Bound(call.packed, row_bytes, first, count),
                                    RowsOf(call.out[0], begin, elements, 1)};
    return call.recorder.Dispatch(FindShader("fast/embedding_stored"), bindings, constants, push, Threads(elements));
  };
  return InParts(call.caps, call.ref.out().elements(), 1, [&](int64_t begin, int64_t elements) {
    return InRuns(table.shape[0], RowsBound(table, call.caps),
                  [&](int64_t first, int64_t count) { return record(begin, elements, first, count); });
  });
}

const KernelRow kRows[] = {
    BindsParts({Op::kLinear, DeviceKind::kVulkan, Tier::kFast, "vulkan.linear_stored", 1, LinearFits,
                VulkanRecord(RecordLinear), nullptr, Pack, 0b10}),
    BindsParts({Op::kEmbedding, DeviceKind::kVulkan, Tier::kFast, "vulkan.embedding_stored", 1, EmbeddingFits,
                VulkanRecord(RecordEmbedding), nullptr, Pack, 0b10}),
};

}  // namespace

std::span<const KernelRow> VulkanStoredKernels() { return kRows; }

}  // namespace timbre
