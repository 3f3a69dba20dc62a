// Linear layers in groups, each of which sees and makes a few features: a product for each would be mostly its start
// and its finish.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/conv_few_inputs.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/float_view.h"
#include "kernels/cpu/gemm.h"
#include "kernels/kernel.h"

namespace timbre {
namespace {

constexpr int64_t kMostInputs = 128, kMostOutputs = 64;

struct Groups {
  int64_t groups, rows, in, out;  // features of a group

  explicit Groups(const NodeRef& ref)
      : groups(ref.attrs<LinearAttrs>().groups),
        rows(ref.in(0).elements() / ref.in(0).back()),
        in(ref.in(1).back()),
        out(ref.in(1)[-2]) {}
  int64_t packed_floats() const { return FewInputsPackedFloats(in, out); }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  for (const EpilogueStep& step : ref.node.epilogue) {
    if (step.kind == EpilogueStep::Kind::kGlu) return false;
  }
  const auto& attrs = ref.attrs<LinearAttrs>();
  return attrs.axis == -1 && attrs.groups > 1 && ref.in(1).back() <= kMostInputs && ref.in(1)[-2] <= kMostOutputs &&
         ref.constant(1) && (!ref.has(2) || ref.constant(2)) && EpilogueServable(ref);
}

// weight [groups, out, in]
Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const Groups s(ref);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(s.groups * s.packed_floats() * sizeof(float), true));
  const FloatView weight(ref.value(1));
  const std::vector<float> bias = ref.has(2) ? ref.value(2).ToF32() : std::vector<float>(s.groups * s.out);
  for (int64_t g = 0; g < s.groups; ++g) {
    const float* from = weight.data() + g * s.out * s.in;
    PackFewInputs(
        s.in, s.out, [&](int64_t i, int64_t o) { return from[o * s.in + i]; }, bias.data() + g * s.out,
        packed.f32() + g * s.packed_floats());
  }
  return packed;
}

Status Run(const CpuCall& call) {
  const Groups s(call.ref);
  const Epilogue epilogue = BindEpilogue(call);
  const bool relu = epilogue.count == 1 && epilogue.ops[0].kind == EpilogueStep::Kind::kUnary &&
                    epilogue.ops[0].unary.fn == UnaryFn::kRelu;
  const int64_t inputs = s.groups * s.in, outputs = s.groups * s.out;
  call.pool.ForRange(s.rows, std::max<int64_t>(1, 65536 / (inputs * s.out)), [&](int64_t begin, int64_t end, int) {
    float* const y = call.out[0] + begin * outputs;
    for (int64_t g = 0; g < s.groups; ++g) {
      const float* packed = call.packed->f32() + g * s.packed_floats();
      RunFewInputs({.x = call.in[0] + begin * inputs + g * s.in,
                    .runs = 1,
                    .ld = 0,
                    .run = s.in,
                    .step = inputs,
                    .w = packed + FewInputsBiasFloats(s.out),
                    .bias = packed,
                    .outputs = s.out,
                    .y_ld = outputs,
                    .least = relu ? 0.0f : -std::numeric_limits<float>::infinity()},
                   end - begin, y + g * s.out, (end - begin) * outputs - g * s.out);
    }
    if (!relu && epilogue.count > 0) {
      ApplyEpilogue(epilogue, y, outputs, 0, end - begin, outputs, 0, call.out[0], begin * outputs, outputs);
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kLinear, DeviceKind::kCpu, Tier::kFast, "linear_groups", 1, Supports, Run, nullptr, Pack, 0b110},
};

}  // namespace

std::span<const KernelRow> CpuLinearGroupsKernels() { return kRows; }

}  // namespace timbre
