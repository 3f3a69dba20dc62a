// Convolutions, plain and transposed, of each channel by itself: a weighted sum of a few input positions, channels side
// by side in vectors.
#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// y[c] = bias[c] + sum over i of x[i][c] w[i][c].
void WeightedSumT(const float* const* x, const float* const* w, int count, const float* bias, float* y,
                  int64_t channels) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + 2 * lanes <= channels; c += 2 * lanes) {
    auto a = hn::LoadU(d, bias + c), b = hn::LoadU(d, bias + c + lanes);
    for (int i = 0; i < count; ++i) {
      a = hn::MulAdd(hn::LoadU(d, x[i] + c), hn::LoadU(d, w[i] + c), a);
      b = hn::MulAdd(hn::LoadU(d, x[i] + c + lanes), hn::LoadU(d, w[i] + c + lanes), b);
    }
    hn::StoreU(a, d, y + c);
    hn::StoreU(b, d, y + c + lanes);
  }
  for (; c + lanes <= channels; c += lanes) {
    auto a = hn::LoadU(d, bias + c);
    for (int i = 0; i < count; ++i) a = hn::MulAdd(hn::LoadU(d, x[i] + c), hn::LoadU(d, w[i] + c), a);
    hn::StoreU(a, d, y + c);
  }
  for (; c < channels; ++c) {
    float a = bias[c];
    for (int i = 0; i < count; ++i) a += x[i][c] * w[i][c];
    y[c] = a;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(WeightedSumT);

namespace {

constexpr int kMaxTaps = 128;

// Three spatial axes, and for each: which input positions an output position reads, by which taps.
struct Geometry {
  int64_t batch = 1, channels = 1;
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1};
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, lo{0, 0, 0};
  bool transposed = false;

  int64_t taps() const { return int64_t{kernel[0]} * kernel[1] * kernel[2]; }
  // The input that tap k of output position p reads along an axis, or -1.
  int64_t Source(int axis, int64_t p, int64_t k) const {
    int64_t i;
    if (transposed) {
      const int64_t at = p + lo[axis] - k;
      if (at < 0 || at % stride[axis] != 0) return -1;
      i = at / stride[axis];
    } else {
      i = p * stride[axis] - lo[axis] + k * dilation[axis];
    }
    return i >= 0 && i < in[axis] ? i : -1;
  }
};

template <typename ConvLike>
Geometry GeometryOf(const NodeRef& ref, const ConvLike& attrs) {
  const Shape &x = ref.in(0), &y = ref.out();
  Geometry g;
  g.batch = x[0];
  g.channels = x.back();
  g.kernel = attrs.kernel;
  g.stride = attrs.stride;
  for (int i = 0; i < attrs.dims; ++i) {
    g.in[3 - attrs.dims + i] = x[1 + i];
    g.out[3 - attrs.dims + i] = y[1 + i];
  }
  return g;
}

Geometry GeometryOf(const NodeRef& ref) {
  if (ref.node.op == Op::kConvTranspose) {
    const auto& attrs = ref.attrs<ConvTransposeAttrs>();
    Geometry g = GeometryOf(ref, attrs);
    g.lo = attrs.crop_lo;
    g.transposed = true;
    return g;
  }
  const auto& attrs = ref.attrs<ConvAttrs>();
  Geometry g = GeometryOf(ref, attrs);
  g.lo = attrs.pad_lo;
  g.dilation = attrs.dilation;
  return g;
}

// Weights are [channels, 1, kernel...] either way.
bool Supports(const NodeRef& ref, const DeviceCaps&) {
  const int groups = ref.node.op == Op::kConv ? ref.attrs<ConvAttrs>().groups : ref.attrs<ConvTransposeAttrs>().groups;
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  return groups == ref.in(0).back() && groups == ref.out().back() && GeometryOf(ref).taps() <= kMaxTaps &&
         ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref);
}

// The bias, then for each tap a row of channels.
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const Geometry g = GeometryOf(ref);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate((g.taps() + 1) * g.channels * sizeof(float), true));
  const FloatView weight(ref.value(1));
  for (int64_t c = 0; c < g.channels; ++c) {
    for (int64_t t = 0; t < g.taps(); ++t) packed.f32()[(t + 1) * g.channels + c] = weight[c * g.taps() + t];
  }
  if (ref.has(2)) ref.value(2).ReadF32(packed.f32());
  return packed;
}

Status Run(const CpuCall& call) {
  const Geometry g = GeometryOf(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const auto weighted_sum = HWY_DYNAMIC_DISPATCH(WeightedSumT);
  const float* bias = call.packed->f32();
  const int64_t lines = g.batch * g.out[0] * g.out[1];
  const int64_t grain = std::max<int64_t>(1, 16384 / (g.out[2] * g.channels * g.taps()));
  call.pool.ForRange(lines, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t h = line % g.out[1], d = line / g.out[1] % g.out[0], n = line / g.out[1] / g.out[0];
      for (int64_t w = 0; w < g.out[2]; ++w) {
        const float *x[kMaxTaps], *weight[kMaxTaps];
        int count = 0;
        for (int kd = 0; kd < g.kernel[0]; ++kd) {
          const int64_t from_d = g.Source(0, d, kd);
          for (int kh = 0; kh < g.kernel[1] && from_d >= 0; ++kh) {
            const int64_t from_h = g.Source(1, h, kh);
            for (int kw = 0; kw < g.kernel[2] && from_h >= 0; ++kw) {
              const int64_t from_w = g.Source(2, w, kw);
              if (from_w < 0) continue;
              x[count] = call.in[0] + (((n * g.in[0] + from_d) * g.in[1] + from_h) * g.in[2] + from_w) * g.channels;
              weight[count++] = bias + (1 + (int64_t{kd} * g.kernel[1] + kh) * g.kernel[2] + kw) * g.channels;
            }
          }
        }
        const int64_t offset = (line * g.out[2] + w) * g.channels;
        weighted_sum(x, weight, count, bias, call.out[0] + offset, g.channels);
      }
      if (epilogue.count == 0) continue;
      const int64_t offset = line * g.out[2] * g.channels;
      ApplyEpilogue(epilogue, call.out[0] + offset, g.channels, 0, g.out[2], g.channels, 0, call.out[0], offset,
                    g.channels);
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_depthwise", 1, Supports, Run, nullptr, Pack, 0b110},
    {Op::kConvTranspose, DeviceKind::kCpu, Tier::kFast, "conv_transpose_depthwise", 1, Supports, Run, nullptr, Pack,
     0b110},
};

}  // namespace

std::span<const KernelRow> CpuDepthwiseKernels() { return kRows; }

}  // namespace timbre
#endif
