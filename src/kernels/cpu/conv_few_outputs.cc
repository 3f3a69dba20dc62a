// Convolutions with so few results that most of a vector of them is padding: vectors run along the channels or, stereo
// into stereo, along the positions.
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_few_inputs.h"
#include "kernels/cpu/conv_lines.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv_few_outputs.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kSums = 24;  // under way at once, where there are 32 registers
constexpr int kMostOutputs = 5;
#else
constexpr int kSums = 12;
constexpr int kMostOutputs = 2;
#endif

// Weights of a tap of a stereo convolution: a vector each for a result's own channel and for the other one.
constexpr int PairFloats() { return 2 * std::max<int>(kLanes, 2); }

// The sums of four vectors, side by side.
HWY_INLINE void SumFour(const Vec* v, float* sums) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) sums[i] = hn::GetLane(v[i]);
#else
  const Tag d;
  const hn::Repartition<double, Tag> pairs;
  const Vec ab = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  const Vec ce = hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3]));
  const auto low = hn::InterleaveLower(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
  const auto high = hn::InterleaveUpper(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
  const Vec blocks = hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
  if constexpr (kLanes == 16) {
    const hn::Half<Tag> half;
    const hn::Half<decltype(half)> quarter;
    const auto sum = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
    hn::StoreU(hn::Add(hn::LowerHalf(quarter, sum), hn::UpperHalf(quarter, sum)), quarter, sums);
  } else if constexpr (kLanes == 8) {
    const hn::Half<Tag> half;
    hn::StoreU(hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), half, sums);
  } else {
    hn::StoreU(blocks, d, sums);
  }
#endif
}

// kOutputs results for each of kPositions positions, `step` floats apart: sums over the channels at each tap.
template <int kPositions, int kOutputs>
HWY_INLINE void FewOutputsBlock(const GemmTap* taps, int64_t tap_count, const float* x, int64_t step, const float* w,
                                int64_t channels, const float* bias, float* y, int64_t y_ld) {
  const Tag d;
  Vec acc[kOutputs][kPositions];
#pragma GCC unroll 8
  for (int o = 0; o < kOutputs; ++o) {
#pragma GCC unroll 4
    for (int i = 0; i < kPositions; ++i) acc[o][i] = hn::Zero(d);
  }
  for (int64_t t = 0; t < tap_count; ++t) {
    const float* from = x + taps[t].a;
    const float* weights = w + taps[t].b * channels * kOutputs;
    for (int64_t c = 0; c < channels; c += kLanes) {
      Vec a[kPositions];
#pragma GCC unroll 4
      for (int i = 0; i < kPositions; ++i) a[i] = hn::LoadU(d, from + i * step + c);
#pragma GCC unroll 8
      for (int o = 0; o < kOutputs; ++o) {
        const Vec b = hn::LoadU(d, weights);
        weights += kLanes;
#pragma GCC unroll 4
        for (int i = 0; i < kPositions; ++i) acc[o][i] = hn::MulAdd(a[i], b, acc[o][i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < kOutputs; ++o) {
    // A position alone is summed as one of four: its result does not depend on its neighbours.
    Vec four[4];
    float sums[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) four[i] = i < kPositions ? acc[o][i < kPositions ? i : 0] : hn::Zero(d);
    SumFour(four, sums);
#pragma GCC unroll 4
    for (int i = 0; i < kPositions; ++i) y[i * y_ld + o] = sums[i] + bias[o];
  }
}

template <int kOutputs>
HWY_INLINE void FewOutputsLine(const GemmTap* taps, int64_t tap_count, const float* x, int64_t step, const float* w,
                               int64_t channels, const float* bias, int64_t positions, float* y, int64_t y_ld) {
  int64_t i = 0;
  for (; i + 4 <= positions; i += 4) {
    FewOutputsBlock<4, kOutputs>(taps, tap_count, x + i * step, step, w, channels, bias, y + i * y_ld, y_ld);
  }
  for (; i < positions; ++i) {
    FewOutputsBlock<1, kOutputs>(taps, tap_count, x + i * step, step, w, channels, bias, y + i * y_ld, y_ld);
  }
}

// Stereo into stereo. Vectors run along the positions, whose two channels lie side by side: at each tap a vector of
// them meets the weights of each result's own channel, and with the channels exchanged those of the other one. `w`: a
// vector of the former, one of the latter, for each tap; all alike in every second lane.
template <int kVectors>
HWY_INLINE void PairsBlock(const GemmTap* taps, int64_t tap_count, const float* x, const float* w, Vec bias, float* y) {
#if HWY_TARGET != HWY_SCALAR
  const Tag d;
  Vec acc[kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) acc[i] = bias;
  for (int64_t t = 0; t < tap_count; ++t) {
    const float* from = x + taps[t].a;
    const float* weights = w + taps[t].b * PairFloats();
    const Vec own = hn::LoadU(d, weights), other = hn::LoadU(d, weights + kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      const Vec a = hn::LoadU(d, from + i * kLanes);
      acc[i] = hn::MulAdd(hn::Shuffle2301(a), other, hn::MulAdd(a, own, acc[i]));
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) hn::StoreU(acc[i], d, y + i * kLanes);
#endif
}

}  // namespace

void PairsT(const GemmTap* taps, int64_t tap_count, const float* x, const float* w, const float* bias,
            int64_t positions, float* y) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const Tag d;
  const Vec first = hn::LoadDup128(d, bias);  // twice the pair
  constexpr int kVectors = std::min(8, kSums / 2);
  for (; 2 * i + kVectors * kLanes <= 2 * positions; i += kVectors * kLanes / 2) {
    PairsBlock<kVectors>(taps, tap_count, x + 2 * i, w, first, y + 2 * i);
  }
  for (; 2 * i + kLanes <= 2 * positions; i += kLanes / 2) {
    PairsBlock<1>(taps, tap_count, x + 2 * i, w, first, y + 2 * i);
  }
#endif
  for (; i < positions; ++i) {
    for (int o = 0; o < 2; ++o) {
      Vec sum = Const(bias[o]);
      for (int64_t t = 0; t < tap_count; ++t) {
        const float *from = x + taps[t].a + 2 * i, *weights = w + taps[t].b * PairFloats();
        sum = hn::MulAdd(Const(from[o]), Const(weights[o]), sum);
        sum = hn::MulAdd(Const(from[1 - o]), Const(weights[PairFloats() / 2 + o]), sum);
      }
      y[2 * i + o] = hn::GetLane(sum);
    }
  }
}

// As many outputs as there are, in chunks of MostOutputsT().
void FewOutputsT(const GemmTap* taps, int64_t tap_count, const float* x, int64_t step, const float* w, int64_t of_chunk,
                 int64_t channels, const float* bias, int64_t outputs, int64_t positions, float* y, int64_t y_ld) {
  for (int64_t o = 0; o < outputs; o += kMostOutputs) {
    const auto run = [&]<int kCount>() HWY_ATTR {
      FewOutputsLine<kCount>(taps, tap_count, x, step, w + o * of_chunk, channels, bias + o, positions, y + o, y_ld);
    };
    switch (std::min<int64_t>(kMostOutputs, outputs - o)) {
      case 1: run.template operator()<1>(); break;
      // NOLINTNEXTLINE(bugprone-branch-clone): where kMostOutputs is less, the last ones are alike
      case 2: run.template operator()<2>(); break;
      case 3: run.template operator()<std::min(3, kMostOutputs)>(); break;
      case 4: run.template operator()<std::min(4, kMostOutputs)>(); break;
      default: run.template operator()<kMostOutputs>(); break;
    }
  }
}

int MostOutputsT() { return kMostOutputs; }
int PairFloatsT() { return PairFloats(); }

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(FewOutputsT);
HWY_EXPORT(MostOutputsT);
HWY_EXPORT(PairsT);
HWY_EXPORT(PairFloatsT);

namespace {

constexpr int64_t kMostTaps = 64;

// A convolution or a transposed one, line by line of results.
struct ThinConv {
  ConvGeometry g;
  bool transposed = false;  // `pad` is then what is cropped
  int64_t groups, in, out;  // channels of a group

  explicit ThinConv(const NodeRef& ref) {
    if (ref.node.op == Op::kConv) {
      g = ConvGeometryOf(ref);
      groups = ref.attrs<ConvAttrs>().groups;
    } else {
      const auto& attrs = ref.attrs<ConvTransposeAttrs>();
      transposed = true;
      groups = attrs.groups;
      g.batch = ref.in(0)[0];
      g.c = ref.in(0).back();
      g.kernel = attrs.kernel;
      g.stride = attrs.stride;
      g.pad = attrs.crop_lo;
      for (int i = 0; i < attrs.dims; ++i) {
        g.in[3 - attrs.dims + i] = ref.in(0)[1 + i];
        g.out[3 - attrs.dims + i] = ref.out()[1 + i];
      }
    }
    in = g.c / groups;
    out = ref.out().back() / groups;
  }

  // Results so many positions apart in a line read alike, so many positions apart in the input.
  int64_t phases() const { return transposed ? g.stride[2] : 1; }
  int64_t step() const { return transposed ? 1 : g.stride[2]; }
  // Terms of a result, where the kernel lies within the input; of a transposed one, on average.
  int64_t terms() const { return in * g.taps() / (transposed ? int64_t{g.stride[0]} * g.stride[1] * g.stride[2] : 1); }
  float weight(const FloatView& weights, int64_t group, int64_t channel, int64_t output, int64_t tap) const {
    const int64_t row = transposed ? (group * in + channel) * out + output : (group * out + output) * in + channel;
    return weights[row * g.taps() + tap];
  }
  // Calls visit(tap, source) for what result `at` of an axis reads, within the input or not. A transposed convolution
  // adds source to at where at + crop = source * stride + tap.
  template <typename Visit>
  void ForTaps(int axis, int64_t at, const Visit& visit) const {
    for (int64_t k = 0; k < g.kernel[axis]; ++k) {
      const int64_t from = at + g.pad[axis] - k;
      if (!transposed) {
        visit(k, at * g.stride[axis] - g.pad[axis] + k * g.dilation[axis]);
      } else if (from % g.stride[axis] == 0) {
        visit(k, from / g.stride[axis]);
      }
    }
  }
};

// Makes every result. make(group, taps, count of taps, positions, result) makes `positions` results of a group, which
// are phases() positions apart and whose taps all lie within the input; taps say where in the input they begin.
template <typename MakeLine>
void ForLines(const ThinConv& s, const CpuCall& call, const MakeLine& make) {
  const ConvGeometry& g = s.g;
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t outputs = s.groups * s.out, line_floats = g.out[2] * outputs;
  const int64_t lines = g.batch * g.out[0] * g.out[1];
  const int64_t grain = std::max<int64_t>(1, 65536 / (line_floats * s.terms()));
  // Long lines in pieces, so that one alone has work for all threads.
  constexpr int64_t kPiece = 1024;
  const int64_t pieces = (g.out[2] + kPiece - 1) / kPiece;
  call.pool.ForRange(lines * pieces, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t line = i / pieces, first = i % pieces * kPiece, until = std::min(first + kPiece, g.out[2]);
      const int64_t h = line % g.out[1], d = line / g.out[1] % g.out[0], n = line / g.out[1] / g.out[0];
      float* y = call.out[0] + line * line_floats;
      // `count` positions from `at` on, with the taps that lie within.
      const auto part = [&](int64_t at, int64_t count) {
        if (count <= 0) return;
        GemmTap taps[kMostTaps];
        int64_t found = 0;
        s.ForTaps(0, d, [&](int64_t kd, int64_t from_d) {
          if (from_d < 0 || from_d >= g.in[0]) return;
          s.ForTaps(1, h, [&](int64_t kh, int64_t from_h) {
            if (from_h < 0 || from_h >= g.in[1]) return;
            s.ForTaps(2, at, [&](int64_t kw, int64_t from_w) {
              if (from_w < 0 || from_w >= g.in[2]) return;
              taps[found++] = {.a = (((n * g.in[0] + from_d) * g.in[1] + from_h) * g.in[2] + from_w) * g.c,
                               .b = (kd * g.kernel[1] + kh) * g.kernel[2] + kw};
            });
          });
        });
        for (int64_t group = 0; group < s.groups; ++group) {
          make(group, taps, found, count, y + at * outputs + group * s.out);
        }
      };
      for (int64_t at = first; at < std::min(first + s.phases(), until); ++at) {
        const int64_t count = (until - at + s.phases() - 1) / s.phases();
        // Positions whose taps all lie within a line.
        int64_t least = 0, most = 0;
        s.ForTaps(2, at, [&](int64_t, int64_t source) {
          least = std::min(least, source);
          most = std::max(most, source);
        });
        const int64_t inside = std::min((-least + s.step() - 1) / s.step(), count);
        const int64_t room = g.in[2] - 1 - most;
        const int64_t outside = std::clamp(room < 0 ? 0 : room / s.step() + 1, inside, count);
        for (int64_t k = 0; k < inside; ++k) part(at + k * s.phases(), 1);
        part(at + inside * s.phases(), outside - inside);
        for (int64_t k = outside; k < count; ++k) part(at + k * s.phases(), 1);
      }
      FinishThinLine(epilogue, until - first, outputs, call.out[0], line * line_floats + first * outputs);
    }
  });
}

// Vectors run along the channels, and what a result has in one is summed at the end.

constexpr int64_t kFewOutputs = 6, kLeastSum = 128;

bool FewOutputsSupports(const NodeRef& ref, const DeviceCaps&) {
  if (!ThinServable(ref)) return false;
  const ThinConv s(ref);
  // The phases of a transposed convolution share the vectors of a product.
  return s.out * s.phases() <= kFewOutputs && s.in % 16 == 0 && s.g.taps() <= kMostTaps && s.terms() >= kLeastSum;
}

// For each group its bias, padded, then chunks of outputs: [tap][vector of channels][output].
Result<AlignedBytes> FewOutputsPack(const NodeRef& ref, const DeviceCaps&) {
  const ThinConv s(ref);
  const int64_t lanes = CurrentMicro().lanes, taps = s.g.taps(), most = HWY_DYNAMIC_DISPATCH(MostOutputsT)();
  const int64_t bias_floats = FewInputsBiasFloats(s.out), of_group = bias_floats + s.out * taps * s.in;
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(s.groups * of_group * sizeof(float), true));
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(s.groups * s.out);
  for (int64_t g = 0; g < s.groups; ++g) {
    float* to = packed.f32() + g * of_group;
    std::copy_n(bias.data() + g * s.out, s.out, to);
    to += bias_floats;
    for (int64_t first = 0; first < s.out; first += most) {
      for (int64_t i = 0; i < taps * s.in; i += lanes) {
        for (int64_t o = first; o < std::min(first + most, s.out); ++o) {
          for (int64_t j = i; j < i + lanes; ++j) *to++ = s.weight(weight, g, j % s.in, o, j / s.in);
        }
      }
    }
  }
  return packed;
}

Status FewOutputsRun(const CpuCall& call) {
  const ThinConv s(call.ref);
  const auto few_outputs = HWY_DYNAMIC_DISPATCH(FewOutputsT);
  const int64_t bias_floats = FewInputsBiasFloats(s.out), sum = s.in * s.g.taps();
  const int64_t of_group = bias_floats + s.out * sum, step = s.step() * s.g.c, y_ld = s.phases() * s.groups * s.out;
  ForLines(s, call, [&](int64_t group, const GemmTap* taps, int64_t count, int64_t positions, float* y) {
    const float* packed = call.packed->f32() + group * of_group;
    few_outputs(taps, count, call.in[0] + group * s.in, step, packed + bias_floats, sum, s.in, packed, s.out, positions,
                y, y_ld);
  });
  return {};
}

// ---- Stereo into stereo ----

constexpr int64_t kPairBias = 16;  // floats before the weights: the pair, twice, and what aligns the rest

bool PairsSupports(const NodeRef& ref, const DeviceCaps&) {
  if (!ThinServable(ref)) return false;
  const ThinConv s(ref);
  return s.groups == 1 && s.in == 2 && s.out == 2 && s.step() == 1 && s.g.taps() <= kMostTaps;
}

Result<AlignedBytes> PairsPack(const NodeRef& ref, const DeviceCaps&) {
  const ThinConv s(ref);
  const int64_t of_tap = HWY_DYNAMIC_DISPATCH(PairFloatsT)(), half = of_tap / 2;
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate((kPairBias + s.g.taps() * of_tap) * sizeof(float), true));
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(2);
  for (int i = 0; i < 4; ++i) packed.f32()[i] = bias[i % 2];
  float* to = packed.f32() + kPairBias;
  for (int64_t tap = 0; tap < s.g.taps(); ++tap, to += of_tap) {
    for (int64_t i = 0; i < half; ++i) {
      to[i] = s.weight(weight, 0, i % 2, i % 2, tap);
      to[half + i] = s.weight(weight, 0, 1 - i % 2, i % 2, tap);
    }
  }
  return packed;
}

Status PairsRun(const CpuCall& call) {
  const auto pairs = HWY_DYNAMIC_DISPATCH(PairsT);
  const float* packed = call.packed->f32();
  ForLines(ThinConv(call.ref), call, [&](int64_t, const GemmTap* taps, int64_t count, int64_t positions, float* y) {
    pairs(taps, count, call.in[0], packed + kPairBias, packed, positions, y);
  });
  return {};
}

constexpr uint32_t kWeightAndBias = 0b110;

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_pairs", 1, PairsSupports, PairsRun, nullptr, PairsPack,
     kWeightAndBias},
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_few_outputs", 1, FewOutputsSupports, FewOutputsRun, nullptr,
     FewOutputsPack, kWeightAndBias},
    {Op::kConvTranspose, DeviceKind::kCpu, Tier::kFast, "conv_transpose_few_outputs", 1, FewOutputsSupports,
     FewOutputsRun, nullptr, FewOutputsPack, kWeightAndBias},
};

}  // namespace

std::span<const KernelRow> CpuConvFewOutputsKernels() { return kRows; }

}  // namespace timbre
#endif
