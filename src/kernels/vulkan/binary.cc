// Arithmetic where one operand is a run of the other's axes.
#include "kernels/vulkan/record_helpers.h"

namespace timbre {
namespace {

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

const KernelRow kRows[] = {
    BindsParts(FastVulkan(Op::kBinary, "vulkan.binary", BinaryFits, RecordBinary)),
};

}  // namespace

std::span<const KernelRow> VulkanBinaryKernels() { return kRows; }

}  // namespace timbre
