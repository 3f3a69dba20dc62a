// Vector functions for float32, a few units in the last place each. Included once for every target.
#if defined(TIMBRE_KERNELS_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIMBRE_KERNELS_CPU_MATH_INL_H_
#undef TIMBRE_KERNELS_CPU_MATH_INL_H_
#else
#define TIMBRE_KERNELS_CPU_MATH_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vec = hn::Vec<Tag>;
#if HWY_TARGET == HWY_SCALAR
inline constexpr int kLanes = 1;
#else
inline constexpr int kLanes = HWY_MAX_BYTES / 4;
#endif

HWY_INLINE Vec Const(float x) { return hn::Set(Tag(), x); }

// The larger and the smaller of a bound and x; where x is not a number, so is the result.
HWY_INLINE Vec AtLeast(Vec bound, Vec x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#else
  return hn::Max(bound, x);  // the second operand where either is not a number
#endif
}
HWY_INLINE Vec AtMost(Vec bound, Vec x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::IfThenElse(hn::Gt(x, bound), bound, x);
#else
  return hn::Min(bound, x);
#endif
}
HWY_INLINE Vec Clamp(Vec x, float low, float high) { return AtMost(Const(high), AtLeast(Const(low), x)); }

// e^x by reduction to |r| <= ln(2)/2 and a polynomial. x is taken to lie in [-87, 88]; NaN stays NaN.
HWY_INLINE Vec ExpBounded(Vec x) {
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  x = Clamp(x, -87.0f, 88.0f);
  // Adding 1.5 times 2^23 rounds to a whole number and leaves it in the low bits.
  const Vec shifted = hn::MulAdd(x, Const(1.44269504f), Const(12582912.0f));
  const Vec n = hn::Sub(shifted, Const(12582912.0f));
  // ln(2) in two parts, the first with few enough bits for n times it to be exact.
  Vec r = hn::NegMulAdd(n, Const(0.693359375f), x);
  r = hn::NegMulAdd(n, Const(-2.12194440e-4f), r);
  // Minimax on [-ln(2)/2, ln(2)/2] of (e^r - 1 - r) / r^2, absolute error 6e-8.
  Vec p = Const(1.39411108e-3f);
  p = hn::MulAdd(p, r, Const(8.36317521e-3f));
  p = hn::MulAdd(p, r, Const(4.16663736e-2f));
  p = hn::MulAdd(p, r, Const(1.66665763e-1f));
  p = hn::MulAdd(p, r, Const(0.5f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), Const(1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

// e^x for x <= 0, as differences from a maximum are: at least 2^-124, relative error 1e-7 and that of x log2(e). NaN
// stays NaN.
HWY_INLINE Vec ExpOfFall(Vec x) {
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  x = AtLeast(Const(-85.95f), x);
  const Vec shifted = hn::MulAdd(x, Const(1.44269504f), Const(12582912.0f));
  const Vec r = hn::MulSub(x, Const(1.44269504f), hn::Sub(shifted, Const(12582912.0f)));
  // 2^r, minimax in relative error (2e-9) on [-1/2, 1/2].
  Vec p = Const(1.53458124e-4f);
  p = hn::MulAdd(p, r, Const(1.33999309e-3f));
  p = hn::MulAdd(p, r, Const(9.61848907e-3f));
  p = hn::MulAdd(p, r, Const(5.55032864e-2f));
  p = hn::MulAdd(p, r, Const(2.40226462e-1f));
  p = hn::MulAdd(p, r, Const(6.93147182e-1f));
  p = hn::MulAdd(p, r, Const(1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

// e^x for any x: 0 below -103, infinity above 88.72, NaN for NaN.
HWY_INLINE Vec Exp(Vec x) {
  const Vec clamped = Clamp(x, -104.0f, 89.0f);
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  const Vec n = hn::Round(hn::Mul(clamped, Const(1.44269504f)));
  Vec r = hn::NegMulAdd(n, Const(0.693359375f), clamped);
  r = hn::NegMulAdd(n, Const(-2.12194440e-4f), r);
  Vec p = Const(1.99075700e-4f);
  p = hn::MulAdd(p, r, Const(1.39336428e-3f));
  p = hn::MulAdd(p, r, Const(8.33328627e-3f));
  p = hn::MulAdd(p, r, Const(4.16664667e-2f));
  p = hn::MulAdd(p, r, Const(1.66666672e-1f));
  p = hn::MulAdd(p, r, Const(0.5f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), Const(1.0f));
  // 2^n in two factors, so that neither leaves the exponent's range.
  const auto i = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(i);
  const auto bias = hn::Set(di, 127);
  p = hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias))));
  p = hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(i, half), bias))));
  return p;
}

// 1 / x for x in [1, 2^126], to the last bit or the one before.
HWY_INLINE Vec Reciprocal(Vec x) {
#if HWY_TARGET <= HWY_AVX3
  // A division of sixteen takes sixteen cycles, this four.
  const Vec y = hn::ApproximateReciprocal(x);
  return hn::MulAdd(y, hn::NegMulAdd(x, y, Const(1.0f)), y);
#else
  return hn::Div(Const(1.0f), x);
#endif
}

HWY_INLINE Vec Sigmoid(Vec x) { return Reciprocal(hn::Add(Const(1.0f), ExpBounded(hn::Neg(x)))); }

HWY_INLINE Vec Tanh(Vec x) {
  const Vec a = hn::Abs(x);
  const Vec e = ExpBounded(hn::Mul(a, Const(-2.0f)));
  const Vec large = hn::CopySign(hn::Div(hn::Sub(Const(1.0f), e), hn::Add(Const(1.0f), e)), x);
  // Near zero the difference above would cancel: minimax of tanh(x)/x in x^2 on |x| <= 0.65.
  const Vec t = hn::Mul(x, x);
  Vec p = Const(-5.46841137e-3f);
  p = hn::MulAdd(p, t, Const(2.04153601e-2f));
  p = hn::MulAdd(p, t, Const(-5.36653511e-2f));
  p = hn::MulAdd(p, t, Const(1.33304164e-1f));
  p = hn::MulAdd(p, t, Const(-3.33332300e-1f));
  p = hn::MulAdd(hn::Mul(p, t), x, x);
  return hn::IfThenElse(hn::Lt(a, Const(0.625f)), p, large);
}

// x P(x^2) / Q(x^2), minimax in relative error (2e-8) for |x| <= 3.92, beyond which erf is 1 in float32.
HWY_INLINE Vec Erf(Vec x) {
  const Vec c = Clamp(x, -3.92f, 3.92f);
  const Vec t = hn::Mul(c, c);
  Vec p = Const(2.05006108e-6f);
  p = hn::MulAdd(p, t, Const(2.84864975e-4f));
  p = hn::MulAdd(p, t, Const(3.76516371e-3f));
  p = hn::MulAdd(p, t, Const(5.27472906e-2f));
  p = hn::MulAdd(p, t, Const(1.90396979e-1f));
  p = hn::MulAdd(p, t, Const(1.12837911f));
  Vec q = Const(3.80905149e-5f);
  q = hn::MulAdd(q, t, Const(1.16241164e-3f));
  q = hn::MulAdd(q, t, Const(1.49683114e-2f));
  q = hn::MulAdd(q, t, Const(1.14105031e-1f));
  q = hn::MulAdd(q, t, Const(5.02067685e-1f));
  q = hn::MulAdd(q, t, Const(1.0f));
  const Vec y = hn::Div(hn::Mul(c, p), q);
  return hn::IfThenElse(hn::Ge(hn::Abs(x), Const(3.92f)), hn::CopySign(Const(1.0f), x), y);
}

#if HWY_TARGET <= HWY_AVX3
// erf(u / sqrt 2) about the multiples n of 23/64, for u within half a step of each: six coefficients of a minimax
// polynomial in u - 23/64 n (absolute error 7e-9), each for n in [0, 16).
HWY_ALIGN inline constexpr float kErfPieces[6][16] = {
    {2.43831517e-11f, 0.280685425f, 0.527705014f, 0.719022036f, 0.849424005f, 0.927644551f, 0.968935847f, 0.988117874f,
     0.995959699f, 0.998780906f, 0.999674022f, 0.999922872f, 0.999983847f, 0.99999702f, 0.999999523f, 0.99999994f},
    {0.797884524f, 0.747989357f, 0.616256416f, 0.446208894f, 0.283939391f, 0.158790231f, 0.0780427605f, 0.0337094851f,
     0.012796239f, 0.0042689722f, 0.00125162746f, 0.000322505948f, 7.30317042e-05f, 1.45343747e-05f, 2.54210045e-06f,
     3.90751666e-07f},
    {5.69810368e-07f, -0.134401351f, -0.221463531f, -0.240532622f, -0.204081893f, -0.142664686f, -0.0841412023f,
     -0.0424007848f, -0.0183945801f, -0.00690350728f, -0.00224882504f, -0.000637345423f, -0.000157429124f,
     -3.39359794e-05f, -6.39066593e-06f, -1.05218965e-06f},
    {-0.132993311f, -0.108562648f, -0.0496502183f, 0.0120719038f, 0.0504642203f, 0.0589839146f, 0.0474689491f,
     0.0299367383f, 0.015495738f, 0.00673163123f, 0.00248546479f, 0.000786159071f, 0.0002141601f, 5.04343989e-05f,
     1.02962422e-05f, 1.82602946e-06f},
    {0.00011869998f, 0.0319075584f, 0.0455328152f, 0.036682073f, 0.0159149803f, -0.00258856849f, -0.0114535596f,
     -0.0117132282f, -0.00807297882f, -0.00431080675f, -0.00187416596f, -0.000679609773f, -0.000208405138f,
     -5.45203147e-05f, -1.22405072e-05f, -2.36857522e-06f},
    {0.0195092857f, 0.0138834966f, 0.000893270306f, -0.00964771584f, -0.0120523265f, -0.00785472337f, -0.00216207816f,
     0.00139310723f, 0.00230066734f, 0.0017646855f, 0.000966264284f, 0.000415863353f, 0.000146348277f, 4.29912398e-05f,
     1.06738107e-05f, 2.25816643e-06f},
};
#endif

// x/2 (1 + erf(x / sqrt 2)); NaN survives by the factor x.
HWY_INLINE Vec Gelu(Vec x) {
  const Vec h = hn::Mul(x, Const(0.5f));
#if HWY_TARGET <= HWY_AVX3
  // Sixteen lanes hold a coefficient for every piece: to pick one costs less than the division of a quotient.
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  const Vec u = AtMost(Const(5.5f), hn::Abs(x));
  const Vec shifted = hn::MulAdd(u, Const(64.0f / 23), Const(12582912.0f));
  const Vec r = hn::NegMulAdd(hn::Sub(shifted, Const(12582912.0f)), Const(0.359375f), u);
  const auto piece = hn::IndicesFromVec(d, hn::And(hn::BitCast(di, shifted), hn::Set(di, 15)));
  const auto pick = [&](int i) HWY_ATTR { return hn::TableLookupLanes(hn::Load(d, kErfPieces[i]), piece); };
  Vec p = pick(5);
#pragma GCC unroll 5
  for (int i = 4; i >= 0; --i) p = hn::MulAdd(p, r, pick(i));
  return hn::MulAdd(hn::Abs(h), p, h);
#else
  return hn::MulAdd(h, Erf(hn::Mul(x, Const(0.707106781f))), h);
#endif
}

// x/2 (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3): x times the sigmoid of 2u, which does not cancel.
HWY_INLINE Vec GeluTanh(Vec x) {
  const Vec u = hn::Mul(x, hn::MulAdd(hn::Mul(x, x), Const(0.0713548163f), Const(1.59576912f)));
  return hn::Mul(x, Sigmoid(u));
}

}  // namespace HWY_NAMESPACE
}  // namespace timbre
HWY_AFTER_NAMESPACE();
#endif
