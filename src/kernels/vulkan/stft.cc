// Fourier transforms whose length is a power of two, in shared memory.
#include <bit>

#include "kernels/vulkan/record_helpers.h"

namespace timbre {
namespace {

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

const KernelRow kRows[] = {
    FastVulkan(Op::kStft, "vulkan.stft", TransformFits, RecordStft, nullptr, PackRoots),
    FastVulkan(Op::kIstft, "vulkan.istft", TransformFits, RecordIstft, FrameBytes, PackRoots),
};

}  // namespace

std::span<const KernelRow> VulkanStftKernels() { return kRows; }

}  // namespace timbre
