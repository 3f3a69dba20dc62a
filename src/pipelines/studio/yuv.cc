#include "pipelines/studio/yuv.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pipelines/studio/yuv.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// foreach_target.h must precede it.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace timbre::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// ITU-R BT.709, 219 and 224 steps, in 1/65536.
constexpr int kLuma[3] = {11966, 40254, 4064}, kU[3] = {-6596, -22189, 28785}, kV[3] = {28785, -26145, -2640};
constexpr int kHalf = 1 << 15;

#if HWY_TARGET != HWY_SCALAR
// weights . (r, g, b), rounded to a whole number of 2^shift, over `offset`.
template <int shift, class D, class V = hn::Vec<D>>
HWY_INLINE V Weighed(D d, const int (&weights)[3], V r, V g, V b, int offset) {
  const V sum = hn::Add(hn::Add(hn::Mul(hn::Set(d, weights[0]), r), hn::Mul(hn::Set(d, weights[1]), g)),
                        hn::Add(hn::Mul(hn::Set(d, weights[2]), b), hn::Set(d, 1 << (shift - 1))));
  return hn::Add(hn::ShiftRight<shift>(sum), hn::Set(d, offset));
}

// Of two rows, two vectors of pixels a time; the last two may overlap those before them. False where rows are shorter.
template <class D>
HWY_INLINE bool Pairs(D d, const uint32_t* const (&rows)[2], uint8_t* const (&luma)[2], uint8_t* u, uint8_t* v,
                      int width) {
  const auto lanes = static_cast<int>(hn::Lanes(d));
  if (width < 2 * lanes) return false;
  const hn::Rebind<uint8_t, D> bytes;
  const auto byte = hn::Set(d, 255);
  for (int next = 0; next < width; next += 2 * lanes) {
    const int x = HWY_MIN(next, width - 2 * lanes);
    auto r = hn::Zero(d), g = r, b = r;          // of the first half of the pixels, both rows
    auto other_r = r, other_g = r, other_b = r;  // of the second
    for (int row = 0; row < 2; ++row) {
      for (int half = 0; half < 2; ++half) {
        const int at = x + half * lanes;
        const auto pixel = hn::LoadU(d, reinterpret_cast<const int32_t*>(rows[row]) + at);
        const auto red = hn::And(hn::ShiftRight<16>(pixel), byte), green = hn::And(hn::ShiftRight<8>(pixel), byte);
        const auto blue = hn::And(pixel, byte);
        hn::StoreU(hn::DemoteTo(bytes, Weighed<16>(d, kLuma, red, green, blue, 16)), bytes, luma[row] + at);
        auto& to_r = half == 0 ? r : other_r;
        auto& to_g = half == 0 ? g : other_g;
        auto& to_b = half == 0 ? b : other_b;
        to_r = hn::Add(to_r, red);
        to_g = hn::Add(to_g, green);
        to_b = hn::Add(to_b, blue);
      }
    }
    const auto pairs = [d](auto first, auto second) HWY_ATTR {
      return hn::Add(hn::ConcatEven(d, second, first), hn::ConcatOdd(d, second, first));
    };
    r = pairs(r, other_r);
    g = pairs(g, other_g);
    b = pairs(b, other_b);
    hn::StoreU(hn::DemoteTo(bytes, Weighed<18>(d, kU, r, g, b, 128)), bytes, u + x / 2);
    hn::StoreU(hn::DemoteTo(bytes, Weighed<18>(d, kV, r, g, b, 128)), bytes, v + x / 2);
  }
  return true;
}
#endif

void RgbToYuvImpl(const uint32_t* rgb, int stride, int width, int height, const YuvPlanes& planes) {
  for (int y = 0; y < height; y += 2) {
    const uint32_t* const rows[2] = {rgb + static_cast<ptrdiff_t>(y) * stride,
                                     rgb + static_cast<ptrdiff_t>(y + 1) * stride};
    uint8_t* const luma[2] = {planes.data[0] + static_cast<ptrdiff_t>(y) * planes.stride[0],
                              planes.data[0] + static_cast<ptrdiff_t>(y + 1) * planes.stride[0]};
    uint8_t* const u = planes.data[1] + static_cast<ptrdiff_t>(y / 2) * planes.stride[1];
    uint8_t* const v = planes.data[2] + static_cast<ptrdiff_t>(y / 2) * planes.stride[2];
#if HWY_TARGET != HWY_SCALAR
    if (Pairs(hn::ScalableTag<int32_t>(), rows, luma, u, v, width)) continue;
#endif
    for (int x = 0; x < width; x += 2) {
      int sum[3] = {0, 0, 0};
      for (int i = 0; i < 4; ++i) {
        const uint32_t pixel = rows[i / 2][x + i % 2];
        const int colour[3] = {static_cast<int>(pixel >> 16 & 255), static_cast<int>(pixel >> 8 & 255),
                               static_cast<int>(pixel & 255)};
        int weighed = kHalf;
        for (int c = 0; c < 3; ++c) {
          weighed += kLuma[c] * colour[c];
          sum[c] += colour[c];
        }
        luma[i / 2][x + i % 2] = static_cast<uint8_t>(16 + (weighed >> 16));
      }
      u[x / 2] = static_cast<uint8_t>(128 + ((kU[0] * sum[0] + kU[1] * sum[1] + kU[2] * sum[2] + 4 * kHalf) >> 18));
      v[x / 2] = static_cast<uint8_t>(128 + ((kV[0] * sum[0] + kV[1] * sum[1] + kV[2] * sum[2] + 4 * kHalf) >> 18));
    }
  }
}

}  // namespace
}  // namespace timbre::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace timbre {

HWY_EXPORT(RgbToYuvImpl);

void RgbToYuv(const uint32_t* rgb, int stride, int width, int height, const YuvPlanes& planes) {
  HWY_DYNAMIC_DISPATCH(RgbToYuvImpl)(rgb, stride, width, height, planes);
}

}  // namespace timbre
#endif  // HWY_ONCE
