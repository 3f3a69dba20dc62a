#include "dsp/fft.h"

#include <cmath>
#include <numbers>
#include <string>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dsp/fft.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// foreach_target.h must precede highway.h.
#include <hwy/highway.h>

// The complex transform of h = n/2 points is a self-sorting (Stockham) decimation in frequency. A pass of radix r over
// sub-transforms of length r * m, of which s lie interleaved, takes x[q + s (p + m k)] to y[q + s (r p + j)] for q < s
// and p < m, and multiplies by exp(-2 pi i p j / (r m)): the s * lanes floats of one p share their twiddles and are
// contiguous, so the inner loop is plain vector code and no pass shuffles. What is narrower than a vector, the first
// passes of a single frame and its way from and to a half-length spectrum, runs across p and k instead.

HWY_BEFORE_NAMESPACE();
namespace timbre::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A sequence of complex rows in two planes; `step` floats from one row to the next.
struct Rows {
  const float* re;
  const float* im;
  size_t step;
};
struct OutRows {
  float* re;
  float* im;
};

// Multiplies by the twiddle and stores.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void Put(D d, V re, V im, const float* twiddle, float* out_re, float* out_im) {
  const V wr = hn::Set(d, twiddle[0]);
  const V wi = hn::Set(d, twiddle[1]);
  hn::StoreU(hn::MulSub(re, wr, hn::Mul(im, wi)), d, out_re);
  hn::StoreU(hn::MulAdd(re, wi, hn::Mul(im, wr)), d, out_im);
}

template <class D>
void Pass2(D d, size_t groups, size_t width, Rows in, OutRows out, const float* twiddles) {
  const size_t span = groups * in.step;
  for (size_t p = 0; p < groups; ++p) {
    const float* re = in.re + p * in.step;
    const float* im = in.im + p * in.step;
    const float* w = twiddles + 2 * p;
    float* yr = out.re + 2 * p * width;
    float* yi = out.im + 2 * p * width;
    for (size_t i = 0; i < width; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, re + i), ai = hn::LoadU(d, im + i);
      const auto br = hn::LoadU(d, re + span + i), bi = hn::LoadU(d, im + span + i);
      hn::StoreU(hn::Add(ar, br), d, yr + i);
      hn::StoreU(hn::Add(ai, bi), d, yi + i);
      Put(d, hn::Sub(ar, br), hn::Sub(ai, bi), w, yr + width + i, yi + width + i);
    }
  }
}

template <class D>
void Pass3(D d, size_t groups, size_t width, Rows in, OutRows out, const float* twiddles) {
  const size_t span = groups * in.step;
  const auto half = hn::Set(d, 0.5f);
  const auto sin60 = hn::Set(d, 0.866025403784438647f);
  for (size_t p = 0; p < groups; ++p) {
    const float* re = in.re + p * in.step;
    const float* im = in.im + p * in.step;
    const float* w = twiddles + 4 * p;
    float* yr = out.re + 3 * p * width;
    float* yi = out.im + 3 * p * width;
    for (size_t i = 0; i < width; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, re + i), ai = hn::LoadU(d, im + i);
      const auto br = hn::LoadU(d, re + span + i), bi = hn::LoadU(d, im + span + i);
      const auto cr = hn::LoadU(d, re + 2 * span + i), ci = hn::LoadU(d, im + 2 * span + i);
      const auto sr = hn::Add(br, cr), si = hn::Add(bi, ci);
      const auto dr = hn::Mul(sin60, hn::Sub(br, cr)), di = hn::Mul(sin60, hn::Sub(bi, ci));
      const auto tr = hn::NegMulAdd(half, sr, ar), ti = hn::NegMulAdd(half, si, ai);
      hn::StoreU(hn::Add(ar, sr), d, yr + i);
      hn::StoreU(hn::Add(ai, si), d, yi + i);
      Put(d, hn::Add(tr, di), hn::Sub(ti, dr), w, yr + width + i, yi + width + i);
      Put(d, hn::Sub(tr, di), hn::Add(ti, dr), w + 2, yr + 2 * width + i, yi + 2 * width + i);
    }
  }
}

template <class D>
void Pass4(D d, size_t groups, size_t width, Rows in, OutRows out, const float* twiddles) {
  const size_t span = groups * in.step;
  for (size_t p = 0; p < groups; ++p) {
    const float* re = in.re + p * in.step;
    const float* im = in.im + p * in.step;
    const float* w = twiddles + 6 * p;
    float* yr = out.re + 4 * p * width;
    float* yi = out.im + 4 * p * width;
    for (size_t i = 0; i < width; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, re + i), ai = hn::LoadU(d, im + i);
      const auto br = hn::LoadU(d, re + span + i), bi = hn::LoadU(d, im + span + i);
      const auto cr = hn::LoadU(d, re + 2 * span + i), ci = hn::LoadU(d, im + 2 * span + i);
      const auto er = hn::LoadU(d, re + 3 * span + i), ei = hn::LoadU(d, im + 3 * span + i);
      const auto t0r = hn::Add(ar, cr), t0i = hn::Add(ai, ci);
      const auto t1r = hn::Sub(ar, cr), t1i = hn::Sub(ai, ci);
      const auto t2r = hn::Add(br, er), t2i = hn::Add(bi, ei);
      const auto t3r = hn::Sub(bi, ei), t3i = hn::Sub(er, br);  // -i (b - e)
      hn::StoreU(hn::Add(t0r, t2r), d, yr + i);
      hn::StoreU(hn::Add(t0i, t2i), d, yi + i);
      Put(d, hn::Add(t1r, t3r), hn::Add(t1i, t3i), w, yr + width + i, yi + width + i);
      Put(d, hn::Sub(t0r, t2r), hn::Sub(t0i, t2i), w + 2, yr + 2 * width + i, yi + 2 * width + i);
      Put(d, hn::Sub(t1r, t3r), hn::Sub(t1i, t3i), w + 4, yr + 3 * width + i, yi + 3 * width + i);
    }
  }
}

template <class D>
void Pass5(D d, size_t groups, size_t width, Rows in, OutRows out, const float* twiddles) {
  const size_t span = groups * in.step;
  const auto cos72 = hn::Set(d, 0.309016994374947424f);
  const auto cos144 = hn::Set(d, -0.809016994374947424f);
  const auto sin72 = hn::Set(d, 0.951056516295153572f);
  const auto sin144 = hn::Set(d, 0.587785252292473129f);
  for (size_t p = 0; p < groups; ++p) {
    const float* re = in.re + p * in.step;
    const float* im = in.im + p * in.step;
    const float* w = twiddles + 8 * p;
    float* yr = out.re + 5 * p * width;
    float* yi = out.im + 5 * p * width;
    for (size_t i = 0; i < width; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, re + i), ai = hn::LoadU(d, im + i);
      const auto br = hn::LoadU(d, re + span + i), bi = hn::LoadU(d, im + span + i);
      const auto cr = hn::LoadU(d, re + 2 * span + i), ci = hn::LoadU(d, im + 2 * span + i);
      const auto er = hn::LoadU(d, re + 3 * span + i), ei = hn::LoadU(d, im + 3 * span + i);
      const auto fr = hn::LoadU(d, re + 4 * span + i), fi = hn::LoadU(d, im + 4 * span + i);
      const auto s1r = hn::Add(br, fr), s1i = hn::Add(bi, fi), d1r = hn::Sub(br, fr), d1i = hn::Sub(bi, fi);
      const auto s2r = hn::Add(cr, er), s2i = hn::Add(ci, ei), d2r = hn::Sub(cr, er), d2i = hn::Sub(ci, ei);
      const auto u1r = hn::MulAdd(cos144, s2r, hn::MulAdd(cos72, s1r, ar));
      const auto u1i = hn::MulAdd(cos144, s2i, hn::MulAdd(cos72, s1i, ai));
      const auto u2r = hn::MulAdd(cos72, s2r, hn::MulAdd(cos144, s1r, ar));
      const auto u2i = hn::MulAdd(cos72, s2i, hn::MulAdd(cos144, s1i, ai));
      const auto v1r = hn::MulAdd(sin144, d2r, hn::Mul(sin72, d1r)), v1i = hn::MulAdd(sin144, d2i, hn::Mul(sin72, d1i));
      const auto v2r = hn::NegMulAdd(sin72, d2r, hn::Mul(sin144, d1r));
      const auto v2i = hn::NegMulAdd(sin72, d2i, hn::Mul(sin144, d1i));
      hn::StoreU(hn::Add(ar, hn::Add(s1r, s2r)), d, yr + i);
      hn::StoreU(hn::Add(ai, hn::Add(s1i, s2i)), d, yi + i);
      Put(d, hn::Add(u1r, v1i), hn::Sub(u1i, v1r), w, yr + width + i, yi + width + i);
      Put(d, hn::Add(u2r, v2i), hn::Sub(u2i, v2r), w + 2, yr + 2 * width + i, yi + 2 * width + i);
      Put(d, hn::Sub(u2r, v2i), hn::Add(u2i, v2r), w + 4, yr + 3 * width + i, yi + 3 * width + i);
      Put(d, hn::Sub(u1r, v1i), hn::Add(u1i, v1r), w + 6, yr + 4 * width + i, yi + 4 * width + i);
    }
  }
}

template <class D>
void OnePass(D d, const RealFft::Pass& pass, size_t width, Rows in, OutRows out, const float* twiddles) {
  switch (pass.radix) {
    case 2: return Pass2(d, pass.groups, width, in, out, twiddles);
    case 3: return Pass3(d, pass.groups, width, in, out, twiddles);
    case 4: return Pass4(d, pass.groups, width, in, out, twiddles);
    default: return Pass5(d, pass.groups, width, in, out, twiddles);
  }
}

// The first pass of a single frame, p side by side: x[p + m k] to y[4 p + j]. `twiddles` are of all p for each factor.
void FirstPass4(size_t groups, Rows in, OutRows out, const float* twiddles, const float* planar) {
  const hn::CappedTag<float, 8> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  size_t p = 0;
  const auto load = [&](size_t i, V* re, V* im) HWY_ATTR {
    if (in.step == 2) return hn::LoadInterleaved2(d, in.re + 2 * i, *re, *im);  // x as it came
    *re = hn::LoadU(d, in.re + i);
    *im = hn::LoadU(d, in.im + i);
  };
  for (; p + lanes <= groups; p += lanes) {
    V ar, ai, br, bi, cr, ci, er, ei;
    load(p, &ar, &ai);
    load(p + groups, &br, &bi);
    load(p + 2 * groups, &cr, &ci);
    load(p + 3 * groups, &er, &ei);
    const V t0r = hn::Add(ar, cr), t0i = hn::Add(ai, ci), t1r = hn::Sub(ar, cr), t1i = hn::Sub(ai, ci);
    const V t2r = hn::Add(br, er), t2i = hn::Add(bi, ei), t3r = hn::Sub(bi, ei), t3i = hn::Sub(er, br);
    const auto turned = [&](size_t factor, V re, V im, V* to_re, V* to_im) HWY_ATTR {
      const V wr = hn::LoadU(d, planar + 2 * factor * groups + p);
      const V wi = hn::LoadU(d, planar + (2 * factor + 1) * groups + p);
      *to_re = hn::MulSub(re, wr, hn::Mul(im, wi));
      *to_im = hn::MulAdd(re, wi, hn::Mul(im, wr));
    };
    V r1, i1, r2, i2, r3, i3;
    turned(0, hn::Add(t1r, t3r), hn::Add(t1i, t3i), &r1, &i1);
    turned(1, hn::Sub(t0r, t2r), hn::Sub(t0i, t2i), &r2, &i2);
    turned(2, hn::Sub(t1r, t3r), hn::Sub(t1i, t3i), &r3, &i3);
    hn::StoreInterleaved4(hn::Add(t0r, t2r), r1, r2, r3, d, out.re + 4 * p);
    hn::StoreInterleaved4(hn::Add(t0i, t2i), i1, i2, i3, d, out.im + 4 * p);
  }
  const hn::CappedTag<float, 1> one;
  const size_t span = groups * in.step;
  for (; p < groups; ++p) {
    // Of this p alone, whose four inputs are `span` apart.
    const float* re = in.re + p * in.step;
    const float* im = in.im + p * in.step;
    const auto at = [&](const float* from, size_t k) HWY_ATTR { return hn::LoadU(one, from + k * span); };
    const auto t0r = hn::Add(at(re, 0), at(re, 2)), t0i = hn::Add(at(im, 0), at(im, 2));
    const auto t1r = hn::Sub(at(re, 0), at(re, 2)), t1i = hn::Sub(at(im, 0), at(im, 2));
    const auto t2r = hn::Add(at(re, 1), at(re, 3)), t2i = hn::Add(at(im, 1), at(im, 3));
    const auto t3r = hn::Sub(at(im, 1), at(im, 3)), t3i = hn::Sub(at(re, 3), at(re, 1));
    const float* w = twiddles + 6 * p;
    float *yr = out.re + 4 * p, *yi = out.im + 4 * p;
    hn::StoreU(hn::Add(t0r, t2r), one, yr);
    hn::StoreU(hn::Add(t0i, t2i), one, yi);
    Put(one, hn::Add(t1r, t3r), hn::Add(t1i, t3i), w, yr + 1, yi + 1);
    Put(one, hn::Sub(t0r, t2r), hn::Sub(t0i, t2i), w + 2, yr + 2, yi + 2);
    Put(one, hn::Sub(t1r, t3r), hn::Sub(t1i, t3i), w + 4, yr + 3, yi + 3);
  }
}

// Calls body with the widest vectors that rows of `width` floats divide into.
template <class Body>
void WithTag(size_t width, const Body& body) {
  const hn::CappedTag<float, 16> wide;
  const hn::CappedTag<float, 4> narrow;
  const hn::CappedTag<float, 2> pair;
  if (width % hn::Lanes(wide) == 0) {
    body(wide);
  } else if (width % hn::Lanes(narrow) == 0) {
    body(narrow);
  } else if (width % hn::Lanes(pair) == 0) {
    body(pair);
  } else {
    body(hn::CappedTag<float, 1>());
  }
}

// Runs all passes from `in` into the two buffers in turn; each buffer holds h * lanes floats a plane. Returns the last
// one.
OutRows Transform(const std::vector<RealFft::Pass>& passes, const float* twiddles, const float* planar, size_t lanes,
                  Rows in, OutRows first, OutRows second) {
  size_t width = lanes;
  OutRows out = first;
  for (const RealFft::Pass& pass : passes) {
    const float* table = twiddles + pass.twiddle;
    if (width == 1 && pass.radix == 4) {
      FirstPass4(pass.groups, in, out, table, planar);
    } else {
      WithTag(width, [&](auto d) { OnePass(d, pass, width, in, out, table); });
    }
    width *= pass.radix;
    in = {out.re, out.im, width};
    out = out.re == first.re ? second : first;
  }
  return {const_cast<float*>(in.re), const_cast<float*>(in.im)};
}

// The spectrum of x from that of z[j] = x[2j] + i x[2j+1]. With E and O the spectra of the even and the odd samples,
// Z = E + i O, and X[k] = E[k] + W^k O[k], X[h-k] = conj(E[k] - W^k O[k]).
template <class D>
void Join(D d, size_t half, size_t lanes, const float* split, OutRows z, float* out, size_t from = 1) {
  const auto half_v = hn::Set(d, 0.5f);
  for (size_t i = 0; i < lanes; i += hn::Lanes(d)) {
    const auto re = hn::LoadU(d, z.re + i), im = hn::LoadU(d, z.im + i);
    float* last = out + 2 * half * lanes + i;
    hn::StoreU(hn::Add(re, im), d, out + i);
    hn::StoreU(hn::Zero(d), d, out + lanes + i);
    hn::StoreU(hn::Sub(re, im), d, last);
    hn::StoreU(hn::Zero(d), d, last + lanes);
  }
  for (size_t k = from; k <= half / 2; ++k) {
    const size_t low = k * lanes, high = (half - k) * lanes;
    const auto wr = hn::Set(d, split[2 * k]), wi = hn::Set(d, split[2 * k + 1]);
    for (size_t i = 0; i < lanes; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, z.re + low + i), ai = hn::LoadU(d, z.im + low + i);
      const auto br = hn::LoadU(d, z.re + high + i), bi = hn::LoadU(d, z.im + high + i);
      const auto er = hn::Mul(half_v, hn::Add(ar, br)), ei = hn::Mul(half_v, hn::Sub(ai, bi));
      const auto odr = hn::Mul(half_v, hn::Add(ai, bi)), odi = hn::Mul(half_v, hn::Sub(br, ar));
      const auto tr = hn::MulSub(odr, wr, hn::Mul(odi, wi)), ti = hn::MulAdd(odr, wi, hn::Mul(odi, wr));
      hn::StoreU(hn::Add(er, tr), d, out + 2 * low + i);
      hn::StoreU(hn::Add(ei, ti), d, out + 2 * low + lanes + i);
      hn::StoreU(hn::Sub(er, tr), d, out + 2 * high + i);
      hn::StoreU(hn::Sub(ti, ei), d, out + 2 * high + lanes + i);
    }
  }
}

// The same of a single frame, k side by side.
void JoinOne(size_t half, const float* split, OutRows z, float* out) {
  const hn::CappedTag<float, 8> d;
  const size_t lanes = hn::Lanes(d);
  const auto half_v = hn::Set(d, 0.5f);
  size_t k = 1;
  for (; 2 * (k + lanes - 1) < half; k += lanes) {
    const size_t mirror = half - k - (lanes - 1);
    hn::Vec<decltype(d)> wr, wi;
    hn::LoadInterleaved2(d, split + 2 * k, wr, wi);
    const auto ar = hn::LoadU(d, z.re + k), ai = hn::LoadU(d, z.im + k);
    const auto br = hn::Reverse(d, hn::LoadU(d, z.re + mirror)), bi = hn::Reverse(d, hn::LoadU(d, z.im + mirror));
    const auto er = hn::Mul(half_v, hn::Add(ar, br)), ei = hn::Mul(half_v, hn::Sub(ai, bi));
    const auto odr = hn::Mul(half_v, hn::Add(ai, bi)), odi = hn::Mul(half_v, hn::Sub(br, ar));
    const auto tr = hn::MulSub(odr, wr, hn::Mul(odi, wi)), ti = hn::MulAdd(odr, wi, hn::Mul(odi, wr));
    hn::StoreInterleaved2(hn::Add(er, tr), hn::Add(ei, ti), d, out + 2 * k);
    hn::StoreInterleaved2(hn::Reverse(d, hn::Sub(er, tr)), hn::Reverse(d, hn::Sub(ti, ei)), d, out + 2 * mirror);
  }
  Join(hn::CappedTag<float, 1>(), half, 1, split, z, out, k);
}

// The inverse of Join, times 2 * scale.
template <class D>
void Part(D d, size_t half, size_t lanes, const float* split, float scale, const float* in, OutRows z,
          size_t from = 1) {
  const auto scale_v = hn::Set(d, scale);
  for (size_t i = 0; i < lanes; i += hn::Lanes(d)) {
    const auto first = hn::LoadU(d, in + i), last = hn::LoadU(d, in + 2 * half * lanes + i);
    hn::StoreU(hn::Mul(scale_v, hn::Add(first, last)), d, z.re + i);
    hn::StoreU(hn::Mul(scale_v, hn::Sub(first, last)), d, z.im + i);
  }
  for (size_t k = from; k <= half / 2; ++k) {
    const size_t low = k * lanes, high = (half - k) * lanes;
    const auto wr = hn::Set(d, split[2 * k]), wi = hn::Set(d, split[2 * k + 1]);
    for (size_t i = 0; i < lanes; i += hn::Lanes(d)) {
      const auto ar = hn::LoadU(d, in + 2 * low + i), ai = hn::LoadU(d, in + 2 * low + lanes + i);
      const auto br = hn::LoadU(d, in + 2 * high + i), bi = hn::LoadU(d, in + 2 * high + lanes + i);
      const auto er = hn::Mul(scale_v, hn::Add(ar, br)), ei = hn::Mul(scale_v, hn::Sub(ai, bi));
      const auto tr = hn::Mul(scale_v, hn::Sub(ar, br)), ti = hn::Mul(scale_v, hn::Add(ai, bi));
      const auto odr = hn::MulAdd(tr, wr, hn::Mul(ti, wi)), odi = hn::MulSub(ti, wr, hn::Mul(tr, wi));
      hn::StoreU(hn::Sub(er, odi), d, z.re + low + i);
      hn::StoreU(hn::Add(ei, odr), d, z.im + low + i);
      hn::StoreU(hn::Add(er, odi), d, z.re + high + i);
      hn::StoreU(hn::Sub(odr, ei), d, z.im + high + i);
    }
  }
}

// The same of a single frame, k side by side.
void PartOne(size_t half, const float* split, float scale, const float* in, OutRows z) {
  const hn::CappedTag<float, 8> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const auto scale_v = hn::Set(d, scale);
  size_t k = 1;
  for (; 2 * (k + lanes - 1) < half; k += lanes) {
    const size_t mirror = half - k - (lanes - 1);
    V wr, wi, ar, ai, br, bi;
    hn::LoadInterleaved2(d, split + 2 * k, wr, wi);
    hn::LoadInterleaved2(d, in + 2 * k, ar, ai);
    hn::LoadInterleaved2(d, in + 2 * mirror, br, bi);
    br = hn::Reverse(d, br);
    bi = hn::Reverse(d, bi);
    const auto er = hn::Mul(scale_v, hn::Add(ar, br)), ei = hn::Mul(scale_v, hn::Sub(ai, bi));
    const auto tr = hn::Mul(scale_v, hn::Sub(ar, br)), ti = hn::Mul(scale_v, hn::Add(ai, bi));
    const auto odr = hn::MulAdd(tr, wr, hn::Mul(ti, wi)), odi = hn::MulSub(ti, wr, hn::Mul(tr, wi));
    hn::StoreU(hn::Sub(er, odi), d, z.re + k);
    hn::StoreU(hn::Add(ei, odr), d, z.im + k);
    hn::StoreU(hn::Reverse(d, hn::Add(er, odi)), d, z.re + mirror);
    hn::StoreU(hn::Reverse(d, hn::Sub(odr, ei)), d, z.im + mirror);
  }
  Part(hn::CappedTag<float, 1>(), half, 1, split, scale, in, z, k);
}

template <class D>
void Interleave(D d, size_t half, size_t lanes, OutRows z, float* out) {
  for (size_t j = 0; j < half; ++j) {
    for (size_t i = 0; i < lanes; i += hn::Lanes(d)) {
      hn::StoreU(hn::LoadU(d, z.re + j * lanes + i), d, out + 2 * j * lanes + i);
      hn::StoreU(hn::LoadU(d, z.im + j * lanes + i), d, out + (2 * j + 1) * lanes + i);
    }
  }
}

void InterleaveOne(size_t half, OutRows z, float* out) {
  const hn::CappedTag<float, 8> d;
  size_t j = 0;
  for (; j + hn::Lanes(d) <= half; j += hn::Lanes(d)) {
    hn::StoreInterleaved2(hn::LoadU(d, z.re + j), hn::LoadU(d, z.im + j), d, out + 2 * j);
  }
  for (; j < half; ++j) {
    out[2 * j] = z.re[j];
    out[2 * j + 1] = z.im[j];
  }
}

void ForwardImpl(const std::vector<RealFft::Pass>& passes, const float* twiddles, const float* planar,
                 const float* split, size_t half, size_t lanes, const float* in, float* out, float* scratch) {
  const size_t plane = half * lanes;
  const OutRows a{scratch, scratch + plane}, b{scratch + 2 * plane, scratch + 3 * plane};
  const OutRows z = Transform(passes, twiddles, planar, lanes, {in, in + lanes, 2 * lanes}, a, b);
  if (lanes == 1) return JoinOne(half, split, z, out);
  WithTag(lanes, [&](auto d) { Join(d, half, lanes, split, z, out); });
}

void InverseImpl(const std::vector<RealFft::Pass>& passes, const float* twiddles, const float* planar,
                 const float* split, size_t half, size_t lanes, const float* in, float* out, float* scratch) {
  const size_t plane = half * lanes;
  const OutRows a{scratch, scratch + plane}, b{scratch + 2 * plane, scratch + 3 * plane};
  const float scale = 0.5f / static_cast<float>(half);
  if (lanes == 1) {
    PartOne(half, split, scale, in, a);
  } else {
    WithTag(lanes, [&](auto d) { Part(d, half, lanes, split, scale, in, a); });
  }
  // The inverse transform is the forward one with the real and the imaginary plane exchanged, before and after.
  const OutRows swapped = Transform(passes, twiddles, planar, lanes, {a.im, a.re, lanes}, {b.im, b.re}, {a.im, a.re});
  const OutRows z{swapped.im, swapped.re};
  if (lanes == 1) return InterleaveOne(half, z, out);
  WithTag(lanes, [&](auto d) { Interleave(d, half, lanes, z, out); });
}

}  // namespace
}  // namespace timbre::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {

HWY_EXPORT(ForwardImpl);
HWY_EXPORT(InverseImpl);

Result<RealFft> RealFft::Create(size_t n) {
  constexpr size_t kMax = size_t{1} << 22;
  if (n < 2 || n % 2 != 0 || n > kMax) {
    return Fail(ErrorCode::kInvalidArgument, "A Fourier transform of " + std::to_string(n) +
                                                 " points was asked for; it must be an even number from 2 to 4194304.");
  }
  const auto root = [](double k, double of) {
    const double angle = -2.0 * std::numbers::pi * (k / of);
    return std::pair<float, float>(static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle)));
  };

  RealFft fft;
  fft.n_ = n;
  // Fours first, so that few passes of a single frame have rows shorter than a vector, and none of an odd length.
  size_t rest = n / 2;
  while (rest > 1) {
    const size_t radix = rest % 4 == 0 ? 4 : rest % 2 == 0 ? 2 : rest % 3 == 0 ? 3 : rest % 5 == 0 ? 5 : 0;
    if (radix == 0) {
      return Fail(ErrorCode::kInvalidArgument, "A Fourier transform of " + std::to_string(n) +
                                                   " points was asked for; its only prime factors may be 2, 3 and 5.");
    }
    const size_t groups = rest / radix;
    fft.passes_.push_back({radix, groups, fft.twiddles_.size()});
    for (size_t p = 0; p < groups; ++p) {
      for (size_t j = 1; j < radix; ++j) {
        const auto [re, im] = root(static_cast<double>(p * j), static_cast<double>(rest));
        fft.twiddles_.push_back(re);
        fft.twiddles_.push_back(im);
      }
    }
    rest = groups;
  }
  if (!fft.passes_.empty() && fft.passes_[0].radix == 4) {
    const size_t groups = fft.passes_[0].groups;
    fft.first_.resize(6 * groups);
    for (size_t i = 0; i < fft.first_.size(); ++i) fft.first_[i % 6 * groups + i / 6] = fft.twiddles_[i];
  }
  for (size_t k = 0; k <= n / 4; ++k) {
    const auto [re, im] = root(static_cast<double>(k), static_cast<double>(n));
    fft.split_.push_back(re);
    fft.split_.push_back(im);
  }
  return fft;
}

void RealFft::Forward(const float* in, float* out, float* scratch, size_t lanes) const {
  HWY_DYNAMIC_DISPATCH(ForwardImpl)
  (passes_, twiddles_.data(), first_.data(), split_.data(), n_ / 2, lanes, in, out, scratch);
}

void RealFft::Inverse(const float* in, float* out, float* scratch, size_t lanes) const {
  HWY_DYNAMIC_DISPATCH(InverseImpl)
  (passes_, twiddles_.data(), first_.data(), split_.data(), n_ / 2, lanes, in, out, scratch);
}

}  // namespace timbre
#endif  // HWY_ONCE
