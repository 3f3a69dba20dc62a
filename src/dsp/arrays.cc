#include "dsp/arrays.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dsp/arrays.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// foreach_target.h must precede these.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Calls body(tag, i) for whole vectors, then for each element that is left.
template <class Body>
HWY_INLINE void ForVectors(int64_t count, const Body& body) {
  const hn::CappedTag<float, 16> wide;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(wide, i);
  for (; i < count; ++i) body(hn::CappedTag<float, 1>(), i);
}

void MultiplyImpl(const float* a, const float* b, float* out, int64_t count) {
  ForVectors(count, [=](auto d, int64_t i)
                        HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i); });
}

void MultiplyAddImpl(const float* a, const float* b, const float* c, float* out, int64_t count) {
  ForVectors(count, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), hn::LoadU(d, c + i)), d, out + i);
  });
}

void CopySaneImpl(const float* in, float most, float* out, int64_t count) {
  ForVectors(count, [=](auto d, int64_t i) HWY_ATTR {
    const auto x = hn::LoadU(d, in + i);
    const auto cut = hn::Max(hn::Set(d, -most), hn::Min(x, hn::Set(d, most)));
    // x - x is not a number where x is infinite or none.
    const auto none = hn::Sub(x, x);
    hn::StoreU(hn::IfThenElse(hn::Eq(none, none), cut, hn::Zero(d)), d, out + i);
  });
}

bool AllFiniteImpl(const float* x, int64_t count) {
  const hn::CappedTag<float, 16> wide;
  auto sum = hn::Zero(wide);
  float rest = 0;
  ForVectors(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    const auto zero = hn::Sub(v, v);  // or not a number
    if constexpr (hn::MaxLanes(d) == 1) {
      rest += hn::GetLane(zero);
    } else {
      sum = hn::Add(sum, zero);
    }
  });
  return rest + hn::GetLane(hn::SumOfLanes(wide, sum)) == 0;
}

float LargestMagnitudeImpl(const float* x, int64_t count) {
  if (!AllFiniteImpl(x, count)) return std::nanf("");
  const hn::CappedTag<float, 16> wide;
  auto most = hn::Zero(wide);
  float rest = 0;
  ForVectors(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto v = hn::Abs(hn::LoadU(d, x + i));
    if constexpr (hn::MaxLanes(d) == 1) {
      rest = rest < hn::GetLane(v) ? hn::GetLane(v) : rest;
    } else {
      most = hn::Max(most, v);
    }
  });
  const float largest = hn::GetLane(hn::MaxOfLanes(wide, most));
  return largest < rest ? rest : largest;
}

// Bands are narrow: two bins of a spectrum fill a vector of four.
void BandDecibelsImpl(const float* spectrum, std::span<const int> widths, float floor, float* decibels) {
  const hn::CappedTag<float, 4> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (size_t band = 0; band < widths.size(); ++band) {
    const int64_t count = 2 * int64_t{widths[band]};
    auto sum = hn::Zero(d);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
      const auto v = hn::LoadU(d, spectrum + i);
      sum = hn::MulAdd(v, v, sum);
    }
    float power = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < count; ++i) power += spectrum[i] * spectrum[i];
    decibels[band] = power / static_cast<float>(widths[band]) + floor;
    spectrum += count;
  }
  ForVectors(static_cast<int64_t>(widths.size()), [=](auto all, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::Set(all, 10.0f), hn::Log10(all, hn::LoadU(all, decibels + i))), all, decibels + i);
  });
}

void ScaleBandsImpl(std::span<const int> widths, const float* gains, float* spectrum) {
  const hn::CappedTag<float, 4> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (size_t band = 0; band < widths.size(); ++band) {
    const int64_t count = 2 * int64_t{widths[band]};
    const auto gain = hn::Set(d, gains[band]);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) hn::StoreU(hn::Mul(gain, hn::LoadU(d, spectrum + i)), d, spectrum + i);
    for (; i < count; ++i) spectrum[i] *= gains[band];
    spectrum += count;
  }
}

void NormaliseByRunningMeanImpl(const float* spectrum, int64_t bins, float keep, float least, float* means,
                                float* out) {
  ForVectors(bins, [=](auto d, int64_t i) HWY_ATTR {
    hn::Vec<decltype(d)> re, im;
    if constexpr (hn::MaxLanes(d) == 1) {
      re = hn::LoadU(d, spectrum + 2 * i);
      im = hn::LoadU(d, spectrum + 2 * i + 1);
    } else {
      hn::LoadInterleaved2(d, spectrum + 2 * i, re, im);
    }
    const auto size = hn::Sqrt(hn::MulAdd(re, re, hn::Mul(im, im)));
    const auto mean = hn::MulAdd(hn::Set(d, keep), hn::LoadU(d, means + i), hn::Mul(hn::Set(d, 1.0f - keep), size));
    const auto bounded = hn::Max(mean, hn::Set(d, least));
    hn::StoreU(bounded, d, means + i);
    const auto scale = hn::Div(hn::Set(d, 1.0f), hn::Sqrt(bounded));
    if constexpr (hn::MaxLanes(d) == 1) {
      hn::StoreU(hn::Mul(re, scale), d, out + 2 * i);
      hn::StoreU(hn::Mul(im, scale), d, out + 2 * i + 1);
    } else {
      hn::StoreInterleaved2(hn::Mul(re, scale), hn::Mul(im, scale), d, out + 2 * i);
    }
  });
}

}  // namespace
}  // namespace timbre::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {

HWY_EXPORT(MultiplyImpl);
HWY_EXPORT(MultiplyAddImpl);
HWY_EXPORT(CopySaneImpl);
HWY_EXPORT(AllFiniteImpl);
HWY_EXPORT(LargestMagnitudeImpl);
HWY_EXPORT(BandDecibelsImpl);
HWY_EXPORT(ScaleBandsImpl);
HWY_EXPORT(NormaliseByRunningMeanImpl);

void Multiply(const float* a, const float* b, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(MultiplyImpl)(a, b, out, count);
}

void MultiplyAdd(const float* a, const float* b, const float* c, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(MultiplyAddImpl)(a, b, c, out, count);
}

void CopySane(const float* in, float most, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(CopySaneImpl)(in, most, out, count);
}

bool AllFinite(const float* x, int64_t count) { return HWY_DYNAMIC_DISPATCH(AllFiniteImpl)(x, count); }

float LargestMagnitude(const float* x, int64_t count) { return HWY_DYNAMIC_DISPATCH(LargestMagnitudeImpl)(x, count); }

void BandDecibels(const float* spectrum, std::span<const int> widths, float floor, float* decibels) {
  HWY_DYNAMIC_DISPATCH(BandDecibelsImpl)(spectrum, widths, floor, decibels);
}

void ScaleBands(std::span<const int> widths, const float* gains, float* spectrum) {
  HWY_DYNAMIC_DISPATCH(ScaleBandsImpl)(widths, gains, spectrum);
}

void NormaliseByRunningMean(const float* spectrum, int64_t bins, float keep, float least, float* means, float* out) {
  HWY_DYNAMIC_DISPATCH(NormaliseByRunningMeanImpl)(spectrum, bins, keep, least, means, out);
}

}  // namespace timbre
#endif  // HWY_ONCE
