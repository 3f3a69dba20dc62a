// Products of two matrices, and linear layers over the axis before the last, in tiles that pass through shared memory.
#include "kernels/vulkan/product.h"

namespace timbre {
namespace {

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

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kVulkan, Tier::kFast, "vulkan.linear_axis2_cooperative", 1, MatMulFits<kCooperativeTiles>,
     VulkanRecord(RecordMatMul<kCooperativeTiles>), nullptr, nullptr, 0, nullptr, Precision::kF16, true},
    {Op::kLinear, DeviceKind::kVulkan, Tier::kFast, "vulkan.linear_axis2_f16", 1, MatMulFits<kHalfTiles>,
     VulkanRecord(RecordMatMul<kHalfTiles>), nullptr, nullptr, 0, nullptr, Precision::kF16},
    FastVulkan(Op::kLinear, "vulkan.linear_axis2_wide", MatMulFits<kWideTiles>, RecordMatMul<kWideTiles>),
    FastVulkan(Op::kLinear, "vulkan.linear_axis2", MatMulFits<kPlainTiles>, RecordMatMul<kPlainTiles>),
    {Op::kMatMul, DeviceKind::kVulkan, Tier::kFast, "vulkan.matmul_cooperative", 1, MatMulFits<kCooperativeTiles>,
     VulkanRecord(RecordMatMul<kCooperativeTiles>), nullptr, nullptr, 0, nullptr, Precision::kF16, true},
    FastVulkan(Op::kMatMul, "vulkan.matmul_wide", MatMulFits<kWideTiles>, RecordMatMul<kWideTiles>),
    FastVulkan(Op::kMatMul, "vulkan.matmul", MatMulFits<kPlainTiles>, RecordMatMul<kPlainTiles>),
};

}  // namespace

std::span<const KernelRow> VulkanMatMulKernels() { return kRows; }

}  // namespace timbre
