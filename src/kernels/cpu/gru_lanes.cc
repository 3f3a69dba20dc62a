// GRUs of few units over many rows. A row's units would leave most of a vector empty, so a vector holds one unit of as
// many rows as it has lanes, and the weights, which all rows share, are single numbers.
#include <algorithm>
#include <vector>

#include "kernels/cpu/float_view.h"
#include "kernels/cpu/micro.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gru_lanes.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// Steps of a block of kLanes rows, of all of which every array holds one number side by side: x [steps][inputs], h
// [units], which is the state before and after, next [units], out [steps][units]. w: for each unit its four biases (of
// both parts of the first two gates; of the inputs' and of the state's part of the last), then for each input, and then
// for each unit of the state, its weights in the three gates.
void GruLanesT(const float* x, int64_t steps, int64_t inputs, int64_t units, bool reverse, const float* w, float* h,
               float* next, float* out) {
  const Tag d;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = reverse ? steps - 1 - i : i;
    const float *const from = x + t * inputs * kLanes, *p = w;
    float* const to = out + t * units * kLanes;
    for (int64_t u = 0; u < units; ++u) {
      Vec reset = Const(p[0]), keep = Const(p[1]), fresh = Const(p[2]), of_state = Const(p[3]);
      p += 4;
      for (int64_t k = 0; k < inputs; ++k, p += 3) {
        const Vec v = hn::LoadU(d, from + k * kLanes);
        reset = hn::MulAdd(Const(p[0]), v, reset);
        keep = hn::MulAdd(Const(p[1]), v, keep);
        fresh = hn::MulAdd(Const(p[2]), v, fresh);
      }
      for (int64_t k = 0; k < units; ++k, p += 3) {
        const Vec v = hn::LoadU(d, h + k * kLanes);
        reset = hn::MulAdd(Const(p[0]), v, reset);
        keep = hn::MulAdd(Const(p[1]), v, keep);
        of_state = hn::MulAdd(Const(p[2]), v, of_state);
      }
      keep = Sigmoid(keep);
      fresh = Tanh(hn::MulAdd(Sigmoid(reset), of_state, fresh));
      hn::StoreU(hn::MulAdd(keep, hn::Sub(hn::LoadU(d, h + u * kLanes), fresh), fresh), d, next + u * kLanes);
    }
    for (int64_t u = 0; u < units; ++u) {
      const Vec v = hn::LoadU(d, next + u * kLanes);
      hn::StoreU(v, d, h + u * kLanes);
      hn::StoreU(v, d, to + u * kLanes);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(GruLanesT);

namespace {

constexpr int64_t kMostUnits = 16, kMostInputs = 64;
constexpr int64_t kSteps = 64;  // at a time, so that a block's inputs and outputs stay in the second-level cache

struct LanesShape {
  int64_t rows, steps, in, units, lanes = CurrentMicro().lanes;

  explicit LanesShape(const NodeRef& ref)
      : rows(ref.in(0)[0]), steps(ref.in(0)[1]), in(ref.in(0)[2]), units(ref.in(2)[1]) {}
  int64_t weights() const { return units * (4 + 3 * (in + units)); }
  int64_t worker_floats() const { return (std::min(steps, kSteps) * (in + units) + 2 * units) * lanes; }
};

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  if (!ref.node.epilogue.empty()) return false;
  for (int i = 1; i <= 4; ++i) {
    if (ref.has(i) && !ref.constant(i)) return false;
  }
  const LanesShape s(ref);
  return s.rows >= std::max<int64_t>(s.lanes, 4) && s.units <= kMostUnits && s.in <= kMostInputs;
}

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  return static_cast<size_t>(caps.threads * LanesShape(ref).worker_floats()) * sizeof(float);
}

Result<AlignedBytes> Pack(const NodeRef& ref, const DeviceCaps&) {
  const LanesShape s(ref);
  TIMBRE_TRY(AlignedBytes packed, AlignedBytes::Allocate(static_cast<size_t>(s.weights()) * sizeof(float)));
  const FloatView of_inputs(ref.value(1)), of_state(ref.value(2));
  const auto biases = [&](int input) {
    return ref.has(input) ? ref.value(input).ToF32() : std::vector<float>(static_cast<size_t>(3 * s.units));
  };
  const std::vector<float> input_bias = biases(3), state_bias = biases(4);
  float* to = packed.f32();
  for (int64_t u = 0; u < s.units; ++u) {
    for (int64_t gate = 0; gate < 2; ++gate) *to++ = input_bias[gate * s.units + u] + state_bias[gate * s.units + u];
    *to++ = input_bias[2 * s.units + u];
    *to++ = state_bias[2 * s.units + u];
    for (int64_t k = 0; k < s.in; ++k) {
      for (int64_t gate = 0; gate < 3; ++gate) *to++ = of_inputs[(gate * s.units + u) * s.in + k];
    }
    for (int64_t k = 0; k < s.units; ++k) {
      for (int64_t gate = 0; gate < 3; ++gate) *to++ = of_state[(gate * s.units + u) * s.units + k];
    }
  }
  return packed;
}

// `count` numbers of each of `rows` rows, `ld` apart, side by side; zeros in the lanes that no row has.
void ToLanes(const float* from, int64_t ld, int64_t rows, int64_t count, int64_t lanes, float* to) {
  for (int64_t k = 0; k < count; ++k, to += lanes) {
    for (int64_t r = 0; r < rows; ++r) to[r] = from[r * ld + k];
    std::fill(to + rows, to + lanes, 0.0f);
  }
}

void FromLanes(const float* from, int64_t lanes, int64_t rows, int64_t count, float* to, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < count; ++k) to[r * ld + k] = from[k * lanes + r];
  }
}

Status Run(const CpuCall& call) {
  const LanesShape s(call.ref);
  const bool reverse = call.ref.attrs<RnnAttrs>().reverse;
  call.pool.ForEach((s.rows + s.lanes - 1) / s.lanes, [&](int64_t block, int worker) {
    const int64_t first = block * s.lanes, rows = std::min(s.lanes, s.rows - first), most = std::min(s.steps, kSteps);
    float* const x = call.scratch + worker * s.worker_floats();
    float* const out = x + most * s.in * s.lanes;
    float* const h = out + most * s.units * s.lanes;
    float* const next = h + s.units * s.lanes;
    ToLanes(call.in[5] + first * s.units, s.units, rows, s.units, s.lanes, h);
    for (int64_t done = 0; done < s.steps; done += most) {
      const int64_t steps = std::min(most, s.steps - done), at = reverse ? s.steps - done - steps : done;
      ToLanes(call.in[0] + (first * s.steps + at) * s.in, s.steps * s.in, rows, steps * s.in, s.lanes, x);
      HWY_DYNAMIC_DISPATCH(GruLanesT)(x, steps, s.in, s.units, reverse, call.packed->f32(), h, next, out);
      FromLanes(out, s.lanes, rows, steps * s.units, call.out[0] + (first * s.steps + at) * s.units, s.steps * s.units);
    }
    FromLanes(h, s.lanes, rows, s.units, call.out[1] + first * s.units, s.units);
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kGru, DeviceKind::kCpu, Tier::kFast, "gru_lanes", 1, Supports, Run, Scratch, Pack, 0b11110},
};

}  // namespace

std::span<const KernelRow> CpuGruLanesKernels() { return kRows; }

}  // namespace timbre
#endif
