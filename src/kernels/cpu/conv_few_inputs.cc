// Convolutions with so few inputs to a result that starting and finishing a block of a product of matrices costs more
// than its sum.
#include "kernels/cpu/conv_few_inputs.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cpu/conv_lines.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv_few_inputs.cc"
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
constexpr int kMostVectors = 4;
#else
constexpr int kSums = 12;
constexpr int kMostVectors = 2;
#endif

// An empty statement that the compiler cannot see through: without it every position has a pointer of its own, for
// which there are not enough registers.
template <typename T>
HWY_INLINE void Hide(T*& p) {
  asm("" : "+r"(p));
}

// kPositions results of kVectors vectors each. `left` outputs count; `room` floats may be written from y on.
template <int kPositions, int kVectors>
HWY_INLINE void FewInputsBlock(const FewInputs& c, const float* x, const float* w, const float* bias, int64_t left,
                               float* y, int64_t room) {
  const Tag d;
  Vec acc[kPositions][kVectors];
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    const Vec first = hn::LoadU(d, bias + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kPositions; ++i) acc[i][j] = first;
  }
  constexpr int kGroups = (kPositions + 2) / 3;
  const int64_t step = c.step;
  for (int64_t r = 0; r < c.runs; ++r) {
    const float* p[kGroups];
#pragma GCC unroll 5
    for (int g = 0; g < kGroups; ++g) p[g] = x + r * c.ld + 3 * g * step;
    for (int64_t k = c.run; k > 0; --k) {
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) Hide(p[g]);
      Vec b[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) b[j] = hn::LoadU(d, w + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kPositions; ++i) {
        const Vec a = hn::Set(d, p[i / 3][(i % 3) * step]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(a, b[j], acc[i][j]);
      }
#pragma GCC unroll 5
      for (int g = 0; g < kGroups; ++g) ++p[g];
      w += kVectors * kLanes;
    }
  }
  const Vec least = Const(c.least);
#pragma GCC unroll 16
  for (int i = 0; i < kPositions; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      const Vec v = AtLeast(least, acc[i][j]);
      const int64_t at = i * c.y_ld + j * kLanes, count = left - j * kLanes;
      if (count >= kLanes) {
        hn::StoreU(v, d, y + at);
      } else if (at + kLanes <= room) {
        hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, y + at);
      } else {
        HWY_ALIGN float lanes[kLanes];
        hn::Store(v, d, lanes);
        for (int64_t l = 0; l < count; ++l) y[at + l] = lanes[l];
      }
    }
  }
}

// The outputs from *first on that come in chunks of kVectors vectors.
template <int kVectors>
HWY_INLINE void FewInputsChunks(const FewInputs& c, int64_t positions, float* y, int64_t room, int64_t* first) {
  constexpr int kPositions = std::min(12, kSums / kVectors);
  const int64_t size = c.runs * c.run;
  for (; *first + (kVectors - 1) * kLanes < c.outputs; *first += kVectors * kLanes) {
    const float *w = c.w + *first * size, *bias = c.bias + *first;
    const int64_t left = c.outputs - *first;
    const auto run = [&]<int kCount>(int64_t i) HWY_ATTR {
      FewInputsBlock<kCount, kVectors>(c, c.x + i * c.step, w, bias, left, y + i * c.y_ld + *first,
                                       room - i * c.y_ld - *first);
    };
    int64_t i = 0;
    for (; positions - i >= kPositions; i += kPositions) run.template operator()<kPositions>(i);
    for (; positions - i >= 4; i += 4) run.template operator()<4>(i);
    if (positions - i >= 2) {
      run.template operator()<2>(i);
      i += 2;
    }
    if (positions - i >= 1) run.template operator()<1>(i);
  }
}

}  // namespace

void FewInputsT(const FewInputs& c, int64_t positions, float* y, int64_t room) {
  int64_t first = 0;
  if constexpr (kMostVectors > 2) FewInputsChunks<kMostVectors>(c, positions, y, room, &first);
  FewInputsChunks<2>(c, positions, y, room, &first);
  FewInputsChunks<1>(c, positions, y, room, &first);
}

// The widest chunk of vectors that the weights for FewInputsT are packed in; then two, then one.
int MostVectorsT() { return kMostVectors; }

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(FewInputsT);
HWY_EXPORT(MostVectorsT);

void RunFewInputs(const FewInputs& line, int64_t positions, float* y, int64_t room) {
  HWY_DYNAMIC_DISPATCH(FewInputsT)(line, positions, y, room);
}
int FewInputsMostVectors() { return HWY_DYNAMIC_DISPATCH(MostVectorsT)(); }
int64_t FewInputsBiasFloats(int64_t outputs) {
  const int64_t lanes = CurrentMicro().lanes;
  return (outputs + lanes - 1) / lanes * lanes;
}
int64_t FewInputsPackedFloats(int64_t inputs, int64_t outputs) { return FewInputsBiasFloats(outputs) * (1 + inputs); }

namespace {

constexpr int64_t kLongestLine = 2048;  // floats

struct Lines {
  ConvGeometry g;
  int64_t groups, in, out;  // channels of a group

  explicit Lines(const NodeRef& ref)
      : g(ConvGeometryOf(ref)),
        groups(ref.attrs<ConvAttrs>().groups),
        in(g.c / groups),
        out(ref.out().back() / groups) {}
  int64_t runs() const { return int64_t{g.kernel[0]} * g.kernel[1]; }
  int64_t run() const { return g.kernel[2] * in; }
  // A line of one group's channels with its zeros, as far as kernels reach.
  int64_t padded() const { return ((g.out[2] - 1) * g.stride[2] + g.kernel[2]) * in; }
  int64_t bias_floats() const { return FewInputsBiasFloats(out); }
  int64_t packed_floats() const { return FewInputsPackedFloats(runs() * run(), out); }
};

bool FewInputsSupports(const NodeRef& ref, const DeviceCaps&) {
  if (!ThinServable(ref)) return false;
  const Lines s(ref);
  return s.in * s.g.taps() <= kMostFewInputs && s.g.dilation[2] == 1 && s.g.pad[2] >= 0 &&
         std::max(s.padded(), s.g.in[2] * s.in) <= kLongestLine && s.groups <= 8;
}

size_t FewInputsScratch(const NodeRef& ref, const DeviceCaps& caps) {
  const Lines s(ref);
  return static_cast<size_t>(caps.threads * s.runs() * s.padded()) * sizeof(float);
}

// weight [out, in/groups, kernel...]. For each group its bias, then chunks of vectors as FewInputsT takes them.
Result<AlignedBytes> FewInputsPack(const NodeRef& ref, const DeviceCaps&) {
  const Lines s(ref);
  const int64_t taps = s.g.taps();
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(s.groups * s.packed_floats() * sizeof(float), true));
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(s.groups * s.out);
  for (int64_t g = 0; g < s.groups; ++g) {
    PackFewInputs(
        taps * s.in, s.out,
        [&](int64_t i, int64_t o) { return weight[((g * s.out + o) * s.in + i % s.in) * taps + i / s.in]; },
        bias.data() + g * s.out, packed.f32() + g * s.packed_floats());
  }
  return packed;
}

// Inputs [first, first + s.in) of line (n, d, h) and its zeros.
void PadLine(const Lines& s, const float* x, int64_t n, int64_t d, int64_t h, int64_t first, float* to) {
  const ConvGeometry& g = s.g;
  if (d < 0 || d >= g.in[0] || h < 0 || h >= g.in[1]) {
    std::fill_n(to, s.padded(), 0.0f);
    return;
  }
  const int64_t positions = s.padded() / s.in;
  const int64_t before = std::min<int64_t>(g.pad[2], positions), count = std::min(g.in[2], positions - before);
  const float* from = x + ((n * g.in[0] + d) * g.in[1] + h) * g.in[2] * g.c + first;
  std::fill_n(to, before * s.in, 0.0f);
  to += before * s.in;
  if (s.in == g.c) {
    std::memcpy(to, from, count * s.in * sizeof(float));
  } else {
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * s.in, from + i * g.c, s.in * sizeof(float));
  }
  std::fill_n(to + count * s.in, (positions - before - count) * s.in, 0.0f);
}

Status FewInputsRun(const CpuCall& call) {
  const Lines s(call.ref);
  const ConvGeometry& g = s.g;
  const Epilogue epilogue = BindEpilogue(call);
  const bool relu = epilogue.count == 1 && epilogue.ops[0].kind == EpilogueStep::Kind::kUnary &&
                    epilogue.ops[0].unary.fn == UnaryFn::kRelu;
  const int64_t outputs = s.groups * s.out, line_floats = g.out[2] * outputs;
  const int64_t lines = g.batch * g.out[0] * g.out[1];
  const int64_t grain = std::max<int64_t>(1, 65536 / (line_floats * s.runs() * s.run()));
  call.pool.ForRange(lines, grain, [&](int64_t begin, int64_t end, int worker) {
    float* padded = call.scratch + worker * s.runs() * s.padded();
    for (int64_t line = begin; line < end; ++line) {
      const int64_t h = line % g.out[1], d = line / g.out[1] % g.out[0], n = line / g.out[1] / g.out[0];
      float* y = call.out[0] + line * line_floats;
      for (int64_t group = 0; group < s.groups; ++group) {
        for (int64_t r = 0; r < s.runs(); ++r) {
          const int64_t from_d = d * g.stride[0] - g.pad[0] + r / g.kernel[1] * g.dilation[0];
          const int64_t from_h = h * g.stride[1] - g.pad[1] + r % g.kernel[1] * g.dilation[1];
          PadLine(s, call.in[0], n, from_d, from_h, group * s.in, padded + r * s.padded());
        }
        const float* packed = call.packed->f32() + group * s.packed_floats();
        RunFewInputs({.x = padded,
                      .runs = s.runs(),
                      .ld = s.padded(),
                      .run = s.run(),
                      .step = g.stride[2] * s.in,
                      .w = packed + s.bias_floats(),
                      .bias = packed,
                      .outputs = s.out,
                      .y_ld = outputs,
                      .least = relu ? 0.0f : -std::numeric_limits<float>::infinity()},
                     g.out[2], y + group * s.out, line_floats - group * s.out);
      }
      if (!relu) FinishThinLine(epilogue, g.out[2], outputs, call.out[0], line * line_floats);
    }
  });
  return {};
}

constexpr uint32_t kWeightAndBias = 0b110;

const KernelRow kRows[] = {
    {Op::kConv, DeviceKind::kCpu, Tier::kFast, "conv_few_inputs", 1, FewInputsSupports, FewInputsRun, FewInputsScratch,
     FewInputsPack, kWeightAndBias},
};

}  // namespace

std::span<const KernelRow> CpuConvFewInputsKernels() { return kRows; }

}  // namespace timbre
#endif
