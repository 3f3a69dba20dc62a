// Writes into resident states, which lie where the output does.
#include "kernels/vulkan/record_helpers.h"

namespace timbre {
namespace {

int64_t InnerOf(const NodeRef& ref) { return ref.in(0).stride(ref.attrs<StateWriteAttrs>().axis); }
int64_t RowsOfState(const NodeRef& ref) { return ref.in(0).elements() / InnerOf(ref); }

// States may be larger than what a binding spans, what is written into them may not.
bool Supports(const NodeRef& ref, const DeviceCaps& caps) {
  const DType dtype = ref.graph.tensors[ref.node.outputs[0]].dtype;
  return ref.node.epilogue.empty() && SizeOf(dtype) == 4 && BytesOf(ref.in(1)) <= caps.max_range &&
         RowsAtOnce(caps, RowsOfState(ref), InnerOf(ref)) > 0;
}

Status Record(const VulkanCall& call) {
  const auto& attrs = call.ref.attrs<StateWriteAttrs>();
  const Shape &state = call.ref.in(0), &x = call.ref.in(1);
  const int64_t inner = InnerOf(call.ref);
  return InParts(call.caps, RowsOfState(call.ref), inner, [&](int64_t first, int64_t rows) {
    return Dispatch(call, "reference/state_write", {call.in[1], RowsOf(call.out[0], first, rows, inner), call.scalars},
                    Push().I(x.elements()).I(inner).I(x[attrs.axis]).I(state[attrs.axis]).I(attrs.at).I(first).I(rows),
                    Threads(x.elements()));
  });
}

const KernelRow kRows[] = {
    BindsParts({Op::kStateWrite, DeviceKind::kVulkan, Tier::kReference, "vulkan.reference.state_write", 1, Supports,
                VulkanRecord(Record)}),
};

}  // namespace

std::span<const KernelRow> VulkanStateKernels() { return kRows; }

}  // namespace timbre
