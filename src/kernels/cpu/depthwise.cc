// Convolutions, plain and transposed, of each channel by itself: channels side by side in vectors, and along a line the
// weights of one vector of channels stay in registers.
#include "kernels/cpu/depthwise.h"

#include <algorithm>
#include <array>
#include <limits>
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

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

namespace {

constexpr int kMostTaps = 9;  // whose weights are in registers together

// kTaps of the sum at each position; `first` and `last` of the pieces that a longer sum is made in.
template <int kTaps>
HWY_INLINE void Piece(const DepthwiseLine& line, const float* const* x, const float* const* w, bool first, bool last) {
  const float least = last ? line.least : -std::numeric_limits<float>::infinity();
  const float* const add = last ? line.add : nullptr;
  const auto channels = [&](auto d, int64_t c) HWY_ATTR {
    using V = hn::Vec<decltype(d)>;
    V weights[kTaps + 1];
    const float* from[kTaps + 1];
#pragma GCC unroll 16
    for (int t = 0; t < kTaps; ++t) {
      weights[t] = hn::LoadU(d, w[t] + c);
      from[t] = x[t] + c;
    }
    const V bias = hn::LoadU(d, line.bias + c), bound = hn::Set(d, least);
    float* y = line.y + c;
    for (int64_t i = 0; i < line.positions; ++i) {
      V sum = first ? bias : hn::LoadU(d, y);
#pragma GCC unroll 16
      for (int t = 0; t < kTaps; ++t) sum = hn::MulAdd(hn::LoadU(d, from[t] + i * line.x_step), weights[t], sum);
      sum = hn::IfThenElse(hn::Lt(sum, bound), bound, sum);  // what is not a number stays so
      if (add != nullptr) sum = hn::Add(sum, hn::LoadU(d, add + c + i * line.y_step));
      hn::StoreU(sum, d, y);
      y += line.y_step;
    }
  };
  int64_t c = 0;
  for (; c + kLanes <= line.channels; c += kLanes) channels(Tag(), c);
  for (; c < line.channels; ++c) channels(hn::CappedTag<float, 1>(), c);
}

}  // namespace

void DepthwiseLineT(const DepthwiseLine& line, const float* const* x, const float* const* w, int taps) {
  int done = 0;
  do {
    const int count = std::min(kMostTaps, taps - done);
    const bool first = done == 0, last = done + count == taps;
    const auto run = [&]<int kTaps>() HWY_ATTR { Piece<kTaps>(line, x + done, w + done, first, last); };
    switch (count) {
      case 0: run.template operator()<0>(); break;
      case 1: run.template operator()<1>(); break;
      case 2: run.template operator()<2>(); break;
      case 3: run.template operator()<3>(); break;
      case 4: run.template operator()<4>(); break;
      case 5: run.template operator()<5>(); break;
      case 6: run.template operator()<6>(); break;
      case 7: run.template operator()<7>(); break;
      case 8: run.template operator()<8>(); break;
      default: run.template operator()<9>(); break;
    }
    done += count;
  } while (done < taps);
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(DepthwiseLineT);

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

// Output positions along the width that see the same taps at the same distances: `first`, first + step, ... of which
// there are `count`, from input positions that move on by `stride`.
struct Phase {
  int64_t first = 0, step = 1, count = 0, stride = 1;
  int64_t inner = 0, outer = 0;              // of them those from `inner` until `outer` have all taps
  std::array<int64_t, kMaxTaps> tap, input;  // for each tap the input position that `first` reads
  int taps = 0;
};

Phase PhaseOf(const Geometry& g, int64_t r) {
  Phase phase;
  if (g.transposed) {
    phase.first = r;
    phase.step = g.stride[2];
    phase.count = r < g.out[2] ? (g.out[2] - 1 - r) / g.stride[2] + 1 : 0;
  } else {
    phase.count = g.out[2];
    phase.stride = g.stride[2];
  }
  phase.outer = phase.count;
  for (int64_t k = 0; k < g.kernel[2]; ++k) {
    int64_t from = -g.lo[2] + k * g.dilation[2];
    if (g.transposed) {
      from = r + g.lo[2] - k;
      if (from % g.stride[2] != 0) continue;
      from /= g.stride[2];
    }
    phase.tap[phase.taps] = k;
    phase.input[phase.taps++] = from;
    if (from < 0) phase.inner = std::max(phase.inner, (-from + phase.stride - 1) / phase.stride);
    phase.outer = std::min(phase.outer, from < g.in[2] ? (g.in[2] - 1 - from) / phase.stride + 1 : 0);
  }
  phase.inner = std::min(phase.inner, phase.count);
  phase.outer = std::max(phase.outer, phase.inner);
  return phase;
}

Status Run(const CpuCall& call) {
  const Geometry g = GeometryOf(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const auto depthwise_line = HWY_DYNAMIC_DISPATCH(DepthwiseLineT);
  // A bound from below, a sum, or one after the other are done on the way.
  const auto is = [&](int i, EpilogueStep::Kind kind) { return i < epilogue.count && epilogue.ops[i].kind == kind; };
  const bool relu = is(0, EpilogueStep::Kind::kUnary) && epilogue.ops[0].unary.fn == UnaryFn::kRelu;
  const bool add = is(relu ? 1 : 0, EpilogueStep::Kind::kAdd);
  const bool inside = epilogue.count == int{relu} + int{add};
  const float* const bias = call.packed->f32();
  const int64_t lines = g.batch * g.out[0] * g.out[1];
  const int64_t grain = std::max<int64_t>(1, 16384 / (g.out[2] * g.channels * g.taps()));
  call.pool.ForRange(lines, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = 0; r < (g.transposed ? g.stride[2] : 1); ++r) {
      const Phase phase = PhaseOf(g, r);
      for (int64_t line = begin; line < end; ++line) {
        const int64_t h = line % g.out[1], d = line / g.out[1] % g.out[0], n = line / g.out[1] / g.out[0];
        const auto part = [&](int64_t at, int64_t count) {
          const float *x[kMaxTaps], *weight[kMaxTaps];
          int taps = 0;
          for (int kd = 0; kd < g.kernel[0]; ++kd) {
            const int64_t from_d = g.Source(0, d, kd);
            for (int kh = 0; kh < g.kernel[1] && from_d >= 0; ++kh) {
              const int64_t from_h = g.Source(1, h, kh);
              for (int i = 0; i < phase.taps && from_h >= 0; ++i) {
                const int64_t from_w = phase.input[i] + at * phase.stride;
                if (from_w < 0 || from_w >= g.in[2]) continue;
                x[taps] = call.in[0] + (((n * g.in[0] + from_d) * g.in[1] + from_h) * g.in[2] + from_w) * g.channels;
                weight[taps++] =
                    bias + (1 + (int64_t{kd} * g.kernel[1] + kh) * g.kernel[2] + phase.tap[i]) * g.channels;
              }
            }
          }
          const int64_t offset = (line * g.out[2] + phase.first + at * phase.step) * g.channels;
          depthwise_line({.x_step = phase.stride * g.channels,
                          .y_step = phase.step * g.channels,
                          .positions = count,
                          .channels = g.channels,
                          .bias = bias,
                          .least = inside && relu ? 0.0f : -std::numeric_limits<float>::infinity(),
                          .add = inside && add ? epilogue.ops[epilogue.count - 1].data + offset : nullptr,
                          .y = call.out[0] + offset},
                         x, weight, taps);
        };
        for (int64_t i = 0; i < phase.inner; ++i) part(i, 1);
        if (phase.outer > phase.inner) part(phase.inner, phase.outer - phase.inner);
        for (int64_t i = phase.outer; i < phase.count; ++i) part(i, 1);
      }
    }
    if (inside) return;
    for (int64_t line = begin; line < end; ++line) {
      const int64_t offset = line * g.out[2] * g.channels;
      ApplyEpilogue(epilogue, call.out[0] + offset, g.channels, 0, g.out[2], g.channels, 0, call.out[0], offset,
                    g.channels);
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_depthwise", 2, Supports, Run, nullptr, Pack, 0b110},
    {Op::kConvTranspose, DeviceKind::kCpu, Tier::kFast, "conv_transpose_depthwise", 2, Supports, Run, nullptr, Pack,
     0b110},
};

}  // namespace

std::span<const KernelRow> CpuDepthwiseKernels() { return kRows; }

}  // namespace timbre
#endif
