// Snake between a filter that doubles the rate and one that halves it. The samples of the doubled rate are made block
// by block, a vector of channels at a time, and never leave the first-level cache.
#include <algorithm>

#include "kernels/cpu/simd.h"
#include "kernels/kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/alias_free_snake.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, once for every target.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"

#ifndef TIMBRE_KERNELS_CPU_SNAKE_BLOCK_
#define TIMBRE_KERNELS_CPU_SNAKE_BLOCK_
namespace timbre {

inline constexpr int64_t kSnakeTaps = 12, kSnakeReach = kSnakeTaps / 4;  // samples that a filter sees to either side
inline constexpr int64_t kSnakeBlock = 64;                               // samples that are made together

// Samples [first, first + count) of one signal.
struct SnakeBlock {
  const float *x = nullptr, *alpha = nullptr, *scale = nullptr, *up = nullptr, *down = nullptr;
  float* y = nullptr;
  int64_t samples = 0, channels = 0, first = 0, count = 0;
};

}  // namespace timbre
#endif

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace {

// sin^2, which has the period pi: the rest r of a whole number of them, then t + t^2 P(t) in t = r^2, minimax (error
// 1e-8) for |r| <= 1.005 pi/2. Beyond 2^22 periods a float32 holds no phase: the result is then anything in [0, 1].
template <typename D, typename V = hn::Vec<D>>
HWY_INLINE V SinSquared(D d, V x) {
  const V round = hn::Set(d, 12582912.0f);  // 1.5 times 2^23 leaves whole numbers
  const V n = hn::Sub(hn::MulAdd(x, hn::Set(d, 0.318309886f), round), round);
  // pi in two parts, the first with few enough bits for n times it to be exact.
  const V r = hn::NegMulAdd(n, hn::Set(d, 9.67653589793e-4f), hn::NegMulAdd(n, hn::Set(d, 3.140625f), x));
  const V square = hn::Mul(r, r), most = hn::Set(d, 2.49f);
  const V t = hn::IfThenElse(hn::Gt(square, most), most, square);  // NaN stays NaN
  V p = hn::Set(d, -3.57494765e-6f);
  p = hn::MulAdd(p, t, hn::Set(d, 1.38986958e-4f));
  p = hn::MulAdd(p, t, hn::Set(d, -3.17157246e-3f));
  p = hn::MulAdd(p, t, hn::Set(d, 4.44424115e-2f));
  p = hn::MulAdd(p, t, hn::Set(d, -3.33332837e-1f));
  return hn::MulAdd(hn::Mul(t, t), p, t);
}

// As many channels as `d` has lanes, from channel c on.
template <typename D>
HWY_INLINE void Channels(D d, const SnakeBlock& b, int64_t c) {
  using V = hn::Vec<D>;
  constexpr size_t kWidth = hn::MaxLanes(D());
  // Samples 2 (first - kSnakeReach) and on of the doubled rate.
  HWY_ALIGN float doubled[2 * (kSnakeBlock + 2 * kSnakeReach) * kWidth];
  const V alpha = hn::LoadU(d, b.alpha + c), scale = hn::LoadU(d, b.scale + c);
  const int64_t begin = b.first - kSnakeReach, end = b.first + b.count + kSnakeReach;
  V taps[kSnakeTaps];
  for (int k = 0; k < kSnakeTaps; ++k) taps[k] = hn::Set(d, 2 * b.up[k]);
  const auto snake = [&](V y) HWY_ATTR { return hn::MulAdd(scale, SinSquared(d, hn::Mul(alpha, y)), y); };
  const int64_t last = b.samples - 1;
  // What lies before the signal is its first sample, what lies behind it its last: of x here, and of y below.
  const auto pair = [&](int64_t q, const auto& at) HWY_ATTR {
    V even = hn::Zero(d), odd = hn::Zero(d);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      even = hn::MulAdd(taps[2 * j + 1], at(q + 2 - j), even);
      odd = hn::MulAdd(taps[2 * j], at(q + 3 - j), odd);
    }
    float* to = doubled + 2 * (q - begin) * kWidth;
    hn::Store(snake(even), d, to);
    hn::Store(snake(odd), d, to + kWidth);
  };
  const float* const x = b.x + c;
  const auto inside = [&](int64_t i) HWY_ATTR { return hn::LoadU(d, x + i * b.channels); };
  const auto clamped = [&](int64_t i) HWY_ATTR { return inside(std::clamp<int64_t>(i, 0, last)); };
  const int64_t from = std::max<int64_t>(begin, 0), until = std::min(end, b.samples);
  const int64_t whole_from = std::min(std::max(from, kSnakeReach), until);
  const int64_t whole_until = std::max(whole_from, std::min(until, b.samples - kSnakeReach));
  int64_t q = from;
  for (; q < whole_from; ++q) pair(q, clamped);
  for (; q < whole_until; ++q) pair(q, inside);
  for (; q < until; ++q) pair(q, clamped);
  const auto repeat = [&](int64_t sample, int64_t first, int64_t stop) HWY_ATTR {
    const V y = hn::Load(d, doubled + (sample - 2 * begin) * kWidth);
    for (int64_t i = first; i < stop; ++i) hn::Store(y, d, doubled + (i - 2 * begin) * kWidth);
  };
  repeat(2 * from, 2 * begin, 2 * from);
  repeat(2 * until - 1, 2 * until, 2 * end);

  for (int k = 0; k < kSnakeTaps; ++k) taps[k] = hn::Set(d, b.down[k]);
  float* y = b.y + b.first * b.channels + c;
  for (int64_t i = 0; i < b.count; ++i, y += b.channels) {
    const float* at = doubled + (2 * i + 1) * kWidth;  // sample 2 (first + i) - 5
    V even = hn::Zero(d), odd = hn::Zero(d);
#pragma GCC unroll 12
    for (int k = 0; k < kSnakeTaps; k += 2) {
      even = hn::MulAdd(taps[k], hn::Load(d, at + k * kWidth), even);
      odd = hn::MulAdd(taps[k + 1], hn::Load(d, at + (k + 1) * kWidth), odd);
    }
    hn::StoreU(hn::Add(even, odd), d, y);
  }
}

}  // namespace

void SnakeBlockT(const SnakeBlock& block) {
  int64_t c = 0;
  const auto channels = [&](auto d) HWY_ATTR {
    constexpr int64_t kWidth = hn::MaxLanes(decltype(d)());
    for (; c + kWidth <= block.channels; c += kWidth) Channels(d, block, c);
  };
  channels(Tag());
  channels(hn::CappedTag<float, 8>());
  channels(hn::CappedTag<float, 4>());
  channels(hn::CappedTag<float, 2>());
  channels(hn::CappedTag<float, 1>());
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {
HWY_EXPORT(SnakeBlockT);

namespace {

bool Supports(const NodeRef& ref, const DeviceCaps&) {
  return ref.node.epilogue.empty() && ref.in(3).elements() == kSnakeTaps;
}

Status Run(const CpuCall& call) {
  const auto block = HWY_DYNAMIC_DISPATCH(SnakeBlockT);
  const Shape& x = call.ref.in(0);
  const int64_t samples = x[1], channels = x[2], blocks = (samples + kSnakeBlock - 1) / kSnakeBlock;
  const int64_t grain = std::max<int64_t>(1, 4096 / (kSnakeBlock * channels));
  call.pool.ForRange(x[0] * blocks, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t signal = i / blocks * samples * channels, first = i % blocks * kSnakeBlock;
      block({.x = call.in[0] + signal,
             .alpha = call.in[1],
             .scale = call.in[2],
             .up = call.in[3],
             .down = call.in[4],
             .y = call.out[0] + signal,
             .samples = samples,
             .channels = channels,
             .first = first,
             .count = std::min(kSnakeBlock, samples - first)});
    }
  });
  return {};
}

const KernelRow kRows[] = {
    {Op::kAliasFreeSnake, DeviceKind::kCpu, Tier::kFast, "alias_free_snake_blocks", 1, Supports, Run},
};

}  // namespace

std::span<const KernelRow> CpuAliasFreeSnakeKernels() { return kRows; }

}  // namespace timbre
#endif
