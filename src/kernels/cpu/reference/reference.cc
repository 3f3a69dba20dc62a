// The reference CPU kernel of every operator: the op table's loops in float32, on one thread. The ladder's last rung.
#include "graph/op_loops.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

Status RunReference(const CpuCall& call) {
  const Node& node = call.ref.node;
  std::vector<loops::In<float>> in;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    in.push_back(node.inputs[i] == kNoTensor ? loops::In<float>{}
                                             : loops::In<float>{call.in[i], call.ref.in(static_cast<int>(i))});
  }
  std::vector<loops::Out<float>> out;
  for (size_t i = 0; i < node.outputs.size(); ++i) out.push_back({call.out[i], call.ref.out(static_cast<int>(i))});
  loops::Run<float>(node.op, node.attrs, in, out);
  return {};
}

std::vector<KernelRow> MakeRows() {
  std::vector<KernelRow> rows;
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
