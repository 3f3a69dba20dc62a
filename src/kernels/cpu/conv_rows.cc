#include "kernels/cpu/conv_rows.h"

#include <cstring>

namespace timbre {

ConvGeometry ConvGeometryOf(const NodeRef& ref) {
  const auto& attrs = ref.attrs<ConvAttrs>();
  const Shape& x = ref.in(0);
  const Shape& y = ref.out();
  ConvGeometry g;
  g.batch = x[0];
  g.c = x.back();
  g.kernel = attrs.kernel;
  g.stride = attrs.stride;
  g.dilation = attrs.dilation;
  g.pad = attrs.pad_lo;
  for (int i = 0; i < attrs.dims; ++i) {
    g.in[3 - attrs.dims + i] = x[1 + i];
    g.out[3 - attrs.dims + i] = y[1 + i];
  }
  return g;
}

ConvRows::ConvRows(const ConvGeometry& geometry, const float* x, int64_t first, int64_t count)
    : g_(geometry), x_(x + first), count_(count), merged_(g_.dilation[2] == 1 && count == g_.c) {}

int64_t ConvRows::max_taps() const { return merged_ ? int64_t{g_.kernel[0]} * g_.kernel[1] : g_.taps(); }

ConvRows::Position ConvRows::PositionOf(int64_t row) const {
  Position at;
  for (int i = 2; i >= 0; --i) {
    at.out[i] = row % g_.out[i];
    row /= g_.out[i];
  }
  at.n = row;
  return at;
}

bool ConvRows::Find(int64_t row, int64_t rows, Place* place, GemmTap* taps) const {
  const Position at = PositionOf(row);
  if (at.out[2] + rows > g_.out[2]) return false;  // more than one line
  const int64_t first = Source(at, 2, 0);
  const int64_t last = first + (rows - 1) * g_.stride[2] + int64_t{g_.kernel[2] - 1} * g_.dilation[2];
  const int64_t lda = g_.stride[2] * g_.c;
  if (first < 0 || last >= g_.in[2] || RowsEvictEachOther(rows, lda)) return false;
  *place = {.a = x_ + (at.n * g_.in[0] * g_.in[1] * g_.in[2] + first) * g_.c, .lda = lda, .tap_count = 0};
  for (int kd = 0; kd < g_.kernel[0]; ++kd) {
    const int64_t d = Source(at, 0, kd);
    if (d < 0 || d >= g_.in[0]) continue;
    for (int kh = 0; kh < g_.kernel[1]; ++kh) {
      const int64_t h = Source(at, 1, kh);
      if (h < 0 || h >= g_.in[1]) continue;
      const int64_t a = (d * g_.in[1] + h) * g_.in[2] * g_.c;
      const int64_t b = (int64_t{kd} * g_.kernel[1] + kh) * g_.kernel[2] * count_;
      if (merged_) {
        taps[place->tap_count++] = {.a = a, .b = b, .k = g_.kernel[2] * count_};
        continue;
      }
      for (int kw = 0; kw < g_.kernel[2]; ++kw) {
        taps[place->tap_count++] = {.a = a + int64_t{kw} * g_.dilation[2] * g_.c, .b = b + kw * count_, .k = count_};
      }
    }
  }
  return true;
}

bool ConvRows::in_place(int64_t rows) const {
  return g_.out[2] >= 4 * rows && !RowsEvictEachOther(rows, g_.stride[2] * g_.c);
}

void ConvRows::Gather(int64_t row, int64_t rows, float* out, int64_t ld) const {
  for (int64_t r = 0; r < rows; ++r) {
    const Position at = PositionOf(row + r);
    float* to = out + r * ld;
    for (int kd = 0; kd < g_.kernel[0]; ++kd) {
      const int64_t d = Source(at, 0, kd);
      for (int kh = 0; kh < g_.kernel[1]; ++kh) {
        const int64_t h = Source(at, 1, kh);
        const bool inside = d >= 0 && d < g_.in[0] && h >= 0 && h < g_.in[1];
        const int64_t line = ((at.n * g_.in[0] + d) * g_.in[1] + h) * g_.in[2];
        for (int kw = 0; kw < g_.kernel[2]; ++kw, to += count_) {
          const int64_t w = Source(at, 2, kw);
          if (inside && w >= 0 && w < g_.in[2]) {
            std::memcpy(to, x_ + (line + w) * g_.c, count_ * sizeof(float));
          } else {
            std::memset(to, 0, count_ * sizeof(float));
          }
        }
      }
    }
  }
}

}  // namespace timbre
