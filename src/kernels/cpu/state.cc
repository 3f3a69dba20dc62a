// Writes into resident states: what is written is moved, whatever its type; the rest of the state is not touched.
#include <cstring>

#include "kernels/kernel.h"

namespace timbre {
namespace {

Status StateWriteRun(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<StateWriteAttrs>();
  const Shape &state = call.ref.in(0), &x = call.ref.in(1);
  const auto element = static_cast<int64_t>(SizeOf(call.ref.graph.tensors[call.ref.node.outputs[0]].dtype));
  const auto* const from = reinterpret_cast<const std::byte*>(call.in[1]);
  auto* const to = reinterpret_cast<std::byte*>(call.out[0]);
  if (call.out[0] != call.in[0] && attrs.at != kNoScalar)
    std::memcpy(to, call.in[0], static_cast<size_t>(state.elements() * element));
  const int64_t inner = state.stride(attrs.axis) * element, outer = state.Product(0, attrs.axis);
  const int64_t capacity = state[attrs.axis], places = x[attrs.axis], at = call.scalars.I32(attrs.at);
  if (at < 0 || at + places > capacity)
    return Fail(ErrorCode::kInvalidArgument, call.ref.node.name + ": a write beyond the end of a state");
  for (int64_t o = 0; o < outer; ++o) {
    std::memcpy(to + (o * capacity + at) * inner, from + o * places * inner, static_cast<size_t>(places * inner));
  }
  return {};
}

const KernelRow kRows[] = {
    {Op::kStateWrite, DeviceKind::kCpu, Tier::kFast, "state_write", 1, nullptr, StateWriteRun},
};

}  // namespace

std::span<const KernelRow> CpuStateKernels() { return kRows; }

}  // namespace timbre
