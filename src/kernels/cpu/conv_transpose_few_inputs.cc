// Transposed convolutions along one axis with so few inputs to a result that a product of matrices costs more than its
// sums. The positions of one phase (see conv_transpose.cc) are an ordinary convolution's.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cpu/conv_few_inputs.h"
#include "kernels/cpu/conv_lines.h"
#include "kernels/cpu/float_view.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

constexpr int64_t kLongestLine = 4096;  // floats

struct Lines {
  int64_t lines, width, out_width;
  int64_t kernel, stride, crop;
  int64_t groups, in, out;  // channels of a group

  explicit Lines(const NodeRef& ref) {
    const auto& attrs = ref.attrs<ConvTransposeAttrs>();
    const Shape &x = ref.in(0), &y = ref.out();
    width = x[-2], out_width = y[-2];
    lines = x.elements() / (width * x.back());
    kernel = attrs.kernel[2], stride = attrs.stride[2], crop = attrs.crop_lo[2];
    groups = attrs.groups;
    in = x.back() / groups, out = y.back() / groups;
  }
  int64_t outputs() const { return groups * out; }
  int64_t taps(int64_t phase) const { return (kernel - phase + stride - 1) / stride; }
  // Inputs that a line is continued by with zeros: before it, and behind it as far as the last result reaches.
  int64_t before() const { return taps(0) - 1; }
  int64_t padded() const { return (before() + std::max(width, (out_width - 1 + crop) / stride + 1)) * in; }
  int64_t packed_floats(int64_t phase) const { return FewInputsPackedFloats(taps(phase) * in, out); }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  if (!ThinServable(ref)) return false;
  const auto& attrs = ref.attrs<ConvTransposeAttrs>();
  for (int i = 0; i < 2; ++i) {
    if (attrs.kernel[i] != 1 || attrs.stride[i] != 1 || attrs.crop_lo[i] != 0) return false;
    if (i >= 3 - attrs.dims && ref.in(0)[1 + i - (3 - attrs.dims)] != ref.out()[1 + i - (3 - attrs.dims)]) return false;
  }
  const Lines s(ref);
  return s.kernel >= s.stride && s.stride <= 8 && s.groups <= 8 && s.in * s.taps(0) <= kMostFewInputs &&
         s.padded() <= kLongestLine && s.out_width * s.outputs() <= kLongestLine;
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  return static_cast<size_t>(caps.threads * Lines(ref).padded()) * sizeof(float);
}

// weight [in, out/groups, kernel]. For each group its phases: the bias, then chunks of vectors as FewInputs takes them.
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const Lines s(ref);
  int64_t floats = 0;
  for (int64_t phase = 0; phase < s.stride; ++phase) floats += s.groups * s.packed_floats(phase);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(static_cast<size_t>(floats) * sizeof(float), true));
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(s.outputs());
  float* to = packed.f32();
  for (int64_t group = 0; group < s.groups; ++group) {
    for (int64_t phase = 0; phase < s.stride; ++phase) {
      const int64_t taps = s.taps(phase);
      PackFewInputs(
          taps * s.in, s.out,
          [&](int64_t i, int64_t o) {
            const int64_t tap = phase + (taps - 1 - i / s.in) * s.stride;
            return weight[((group * s.in + i % s.in) * s.out + o) * s.kernel + tap];
          },
          bias.data() + group * s.out, to);
      to += s.packed_floats(phase);
    }
  }
  return packed;
}

Status Run(const CpuCall& call) {
  const Lines s(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const int64_t channels = s.groups * s.in, outputs = s.outputs(), line_floats = s.out_width * outputs;
  const int64_t grain = std::max<int64_t>(1, 65536 / (line_floats * s.taps(0) * s.in));
  call.pool.ForRange(s.lines, grain, [&](int64_t begin, int64_t end, int worker) {
    float* const padded = call.scratch + worker * s.padded();
    std::fill_n(padded, s.padded(), 0.0f);
    for (int64_t line = begin; line < end; ++line) {
      const float* const x = call.in[0] + line * s.width * channels;
      float* const y = call.out[0] + line * line_floats;
      const float* packed = call.packed->f32();
      for (int64_t group = 0; group < s.groups; ++group) {
        for (int64_t i = 0; i < s.width; ++i) {
          std::memcpy(padded + (s.before() + i) * s.in, x + i * channels + group * s.in, s.in * sizeof(float));
        }
        for (int64_t phase = 0; phase < s.stride; ++phase) {
          const int64_t taps = s.taps(phase);
          // Results q stride + phase - crop.
          const int64_t first = std::max<int64_t>(0, s.crop - phase + s.stride - 1) / s.stride;
          const int64_t positions = (s.out_width - 1 + s.crop - phase + s.stride) / s.stride - first;
          const int64_t to = (first * s.stride + phase - s.crop) * outputs + group * s.out;
          if (positions > 0) {
            RunFewInputs({.x = padded + (first - (taps - 1) + s.before()) * s.in,
                          .runs = 1,
                          .run = taps * s.in,
                          .step = s.in,
                          .w = packed + FewInputsBiasFloats(s.out),
                          .bias = packed,
                          .outputs = s.out,
                          .y_ld = s.stride * outputs,
                          .least = -std::numeric_limits<float>::infinity()},
                         positions, y + to, line_floats - to);
          }
          packed += s.packed_floats(phase);
        }
      }
      FinishThinLine(epilogue, s.out_width, outputs, call.out[0], line * line_floats);
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kConvTranspose, DeviceKind::kCpu, Tier::kFast, "conv_transpose_few_inputs", 1, Supports, Run, Scratch, Pack,
     0b110},
};

}  // namespace

std::span<const KernelRow> CpuConvTransposeFewInputsKernels() { return kRows; }

}  // namespace timbre
