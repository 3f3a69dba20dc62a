// Rotary positions: the cosines and sines of a row are worked out once and serve all of its heads.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rotary.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {

// cosine[i] and sine[i] of position * frequencies[i]; arrays have room for whole vectors.
void AnglesT(float position, const float* frequencies, int64_t pairs, float* cosine, float* sine) {
  const Tag d;
  for (int64_t i = 0; i < pairs; i += kLanes) {
    HWY_ALIGN float lanes[kLanes] = {};
    for (int64_t j = i; j < std::min<int64_t>(pairs, i + kLanes); ++j) lanes[j - i] = position * frequencies[j];
    const Vec angle = hn::Load(d, lanes);
    hn::StoreU(hn::Cos(d, angle), d, cosine + i);
    hn::StoreU(hn::Sin(d, angle), d, sine + i);
  }
}

// One head whose pairs are features i and i + pairs.
void TurnHalvesT(const float* x, const float* cosine, const float* sine, int64_t pairs, float* y) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const Vec c = hn::LoadU(d, cosine + i), s = hn::LoadU(d, sine + i);
    const Vec a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + pairs + i);
    hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, y + i);
    hn::StoreU(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, y + pairs + i);
  }
  for (; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i];
    y[i] = a * cosine[i] - b * sine[i];
    y[pairs + i] = b * cosine[i] + a * sine[i];
  }
}

// One head whose pairs are features 2i and 2i + 1.
void TurnNeighboursT(const float* x, const float* cosine, const float* sine, int64_t pairs, float* y) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const Vec c = hn::LoadU(d, cosine + i), s = hn::LoadU(d, sine + i);
    Vec a, b;
    hn::LoadInterleaved2(d, x + 2 * i, a, b);
    hn::StoreInterleaved2(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), hn::Add(hn::Mul(b, c), hn::Mul(a, s)), d, y + 2 * i);
  }
  for (; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cosine[i] - b * sine[i];
    y[2 * i + 1] = b * cosine[i] + a * sine[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(AnglesT);
HWY_EXPORT(TurnHalvesT);
HWY_EXPORT(TurnNeighboursT);

namespace {

constexpr int64_t kGrainFloats = 1 << 12;
// Beyond it the vector functions' reduction of the angle loses digits.
constexpr float kLargestAngle = 30000.0f;

int64_t PairsPadded(const NodeRef& ref) { return (ref.attrs<RotaryAttrs>().dims / 2 + 15) / 16 * 16; }

bool Supports(const NodeRef& ref, const DeviceCaps&) { return ref.node.epilogue.empty(); }

size_t Scratch(const NodeRef& ref, const DeviceCaps& caps) {
  return static_cast<size_t>(caps.threads) * 2 * PairsPadded(ref) * sizeof(float);
}

void Angles(float position, const float* frequencies, int64_t pairs, float* cosine, float* sine) {
  float largest = 0;
  for (int64_t i = 0; i < pairs; ++i) largest = std::max(largest, std::abs(position * frequencies[i]));
  if (largest <= kLargestAngle) return HWY_DYNAMIC_DISPATCH(AnglesT)(position, frequencies, pairs, cosine, sine);
  for (int64_t i = 0; i < pairs; ++i) {
    const double angle = position * frequencies[i];
    cosine[i] = static_cast<float>(std::cos(angle));
    sine[i] = static_cast<float>(std::sin(angle));
  }
}

Status Run(const CpuCall& call) {
  const auto& attrs = call.ref.attrs<RotaryAttrs>();
  const Shape& x = call.ref.in(0);
  const int64_t batch = x[0], places = x[1], features = x[2], width = features / attrs.heads, pairs = attrs.dims / 2;
  const int64_t padded = PairsPadded(call.ref);
  const bool given = call.ref.has(2), each = given && call.ref.in(2).rank() == 2;
  const int64_t start = attrs.First(call.scalars);
  const auto turn = attrs.interleaved ? HWY_DYNAMIC_DISPATCH(TurnNeighboursT) : HWY_DYNAMIC_DISPATCH(TurnHalvesT);
  // Sequences of the same positions go through each of them together: its angles cost as much as turning a row.
  const int64_t together = each ? 1 : batch, count = each ? batch * places : places;
  const int64_t grain = std::max<int64_t>(1, kGrainFloats / (features * together));
  call.pool.ForRange(count, grain, [&](int64_t begin, int64_t end, int worker) {
    float *cosine = call.scratch + worker * 2 * padded, *sine = cosine + padded;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t position = given ? std::bit_cast<int32_t>(call.in[2][i]) : start + i;
      Angles(static_cast<float>(position), call.in[1], pairs, cosine, sine);
      for (int64_t n = 0; n < together; ++n) {
        const int64_t row = n * places + i;
        for (int64_t h = 0; h < attrs.heads; ++h) {
          const float* from = call.in[0] + row * features + h * width;
          float* to = call.out[0] + row * features + h * width;
          turn(from, cosine, sine, pairs, to);
          if (attrs.dims < width && to != from) {
            std::memcpy(to + attrs.dims, from + attrs.dims, (width - attrs.dims) * sizeof(float));
          }
        }
      }
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kRotary, DeviceKind::kCpu, Tier::kFast, "rotary_vector", 2, Supports, Run, Scratch},
};

}  // namespace

std::span<const KernelRow> CpuRotaryKernels() { return kRows; }

}  // namespace timbre
#endif
