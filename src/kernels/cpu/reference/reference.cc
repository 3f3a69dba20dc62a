// The reference CPU kernel of every operator: the op table's loops in float32, on one thread. The ladder's last rung.
#include "graph/op_loops.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

Status RunReference(const CpuCall& call) {
  const Node& node = call.ref.node;
  // On the stack, so that a real-time thread may run this; concatenations alone are wider.
  constexpr size_t kFew = 16;
  loops::In<float> few_in[kFew];
  loops::Out<float> out[kFew];
  std::vector<loops::In<float>> many;
  if (node.inputs.size() > kFew) many.resize(node.inputs.size());
  const std::span<loops::In<float>> in(many.empty() ? few_in : many.data(), node.inputs.size());
  for (size_t i = 0; i < in.size(); ++i) {
    if (node.inputs[i] != kNoTensor) in[i] = {call.in[i], call.ref.in(static_cast<int>(i))};
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) out[i] = {call.out[i], call.ref.out(static_cast<int>(i))};
  loops::Run<float>(node.op, node.attrs, in, {out, node.outputs.size()}, call.scalars);
  return {};
}

std::vector<KernelRow> MakeRows() {
  std::vector<KernelRow> rows;
  rows.reserve(static_cast<size_t>(Op::kCount));
  for (int op = 0; op < static_cast<int>(Op::kCount); ++op) {
    rows.push_back(
        {static_cast<Op>(op), DeviceKind::kCpu, Tier::kReference, "cpu.reference", 1, nullptr, CpuRun(RunReference)});
  }
  return rows;
}

}  // namespace

std::span<const KernelRow> CpuReferenceKernels() {
  static const std::vector<KernelRow> rows = MakeRows();
  return rows;
}

}  // namespace timbre
