// Attention whose scores stay on chip.
#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

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

const KernelRow kRows[] = {
    {Op::kAttention, DeviceKind::kVulkan, Tier::kFast, "vulkan.attention_cooperative", 1,
     AttentionFits<kCooperativeTiles>, VulkanRecord(RecordAttention<kCooperativeTiles>), nullptr, nullptr, 0, nullptr,
     Precision::kF16, true},
    FastVulkan(Op::kAttention, "vulkan.attention", AttentionFits<kPlainTiles>, RecordAttention<kPlainTiles>, nullptr,
               nullptr, 2),
};

}  // namespace

std::span<const KernelRow> VulkanAttentionKernels() { return kRows; }

}  // namespace timbre
