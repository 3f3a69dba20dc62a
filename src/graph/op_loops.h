// Every operator as plain loops over a number type: in float64 the oracle, in float32 the reference CPU kernel. Slow,
// short, and the only place where what an operator means is written out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

#include "graph/op.h"

namespace timbre::loops {

// A tensor to read; data is null where an optional input is absent.
template <typename T>
struct In {
  const T* data = nullptr;
  Shape shape;
  explicit operator bool() const { return data != nullptr; }
};
template <typename T>
struct Out {
  T* data = nullptr;
  Shape shape;
};
template <typename T>
using Ins = std::span<const In<T>>;
template <typename T>
using Outs = std::span<const Out<T>>;

// [N, spatial..., C] with the spatial sizes spread to depth, height, width.
struct Volume {
  int64_t n, d, h, w, c;
  int64_t At(int64_t in, int64_t id, int64_t ih, int64_t iw, int64_t ic) const {
    return (((in * d + id) * h + ih) * w + iw) * c + ic;
  }
};
inline Volume AsVolume(const Shape& s) {
  const int dims = s.rank() - 2;
  return {s[0], dims > 2 ? s[-4] : 1, dims > 1 ? s[-3] : 1, s[-2], s[-1]};
}

template <typename T>
void Conv(const ConvAttrs& a, Ins<T> in, Outs<T> out) {
  const Volume x = AsVolume(in[0].shape), y = AsVolume(out[0].shape);
  const int64_t gi = x.c / a.groups, go = y.c / a.groups;
  const auto [kd, kh, kw] = a.kernel;
  for (int64_t n = 0; n < y.n; ++n)
    for (int64_t d = 0; d < y.d; ++d)
      for (int64_t h = 0; h < y.h; ++h)
        for (int64_t w = 0; w < y.w; ++w)
          for (int64_t o = 0; o < y.c; ++o) {
            T sum = in.size() > 2 && in[2] ? in[2].data[o] : T(0);
            for (int64_t i = 0; i < gi; ++i)
              for (int64_t a0 = 0; a0 < kd; ++a0) {
                const int64_t id = d * a.stride[0] - a.pad_lo[0] + a0 * a.dilation[0];
                if (id < 0 || id >= x.d) continue;
                for (int64_t a1 = 0; a1 < kh; ++a1) {
                  const int64_t ih = h * a.stride[1] - a.pad_lo[1] + a1 * a.dilation[1];
                  if (ih < 0 || ih >= x.h) continue;
                  for (int64_t a2 = 0; a2 < kw; ++a2) {
                    const int64_t iw = w * a.stride[2] - a.pad_lo[2] + a2 * a.dilation[2];
                    if (iw < 0 || iw >= x.w) continue;
                    sum += in[0].data[x.At(n, id, ih, iw, o / go * gi + i)] *
                           in[1].data[(((o * gi + i) * kd + a0) * kh + a1) * kw + a2];
                  }
                }
              }
            out[0].data[y.At(n, d, h, w, o)] = sum;
          }
}

template <typename T>
void ConvTranspose(const ConvTransposeAttrs& a, Ins<T> in, Outs<T> out) {
  const Volume x = AsVolume(in[0].shape), y = AsVolume(out[0].shape);
  const int64_t gi = x.c / a.groups, go = y.c / a.groups;
  const auto [kd, kh, kw] = a.kernel;
  for (int64_t p = 0; p < y.n * y.d * y.h * y.w; ++p)
    for (int64_t o = 0; o < y.c; ++o) out[0].data[p * y.c + o] = in.size() > 2 && in[2] ? in[2].data[o] : T(0);
  for (int64_t n = 0; n < x.n; ++n)
    for (int64_t d = 0; d < x.d; ++d)
      for (int64_t h = 0; h < x.h; ++h)
        for (int64_t w = 0; w < x.w; ++w)
          for (int64_t a0 = 0; a0 < kd; ++a0) {
            const int64_t od = d * a.stride[0] + a0 - a.crop_lo[0];
            if (od < 0 || od >= y.d) continue;
            for (int64_t a1 = 0; a1 < kh; ++a1) {
              const int64_t oh = h * a.stride[1] + a1 - a.crop_lo[1];
              if (oh < 0 || oh >= y.h) continue;
              for (int64_t a2 = 0; a2 < kw; ++a2) {
                const int64_t ow = w * a.stride[2] + a2 - a.crop_lo[2];
                if (ow < 0 || ow >= y.w) continue;
                for (int64_t o = 0; o < y.c; ++o) {
                  T sum = 0;
                  const int64_t g = o / go;
                  for (int64_t i = 0; i < gi; ++i)
                    sum += in[0].data[x.At(n, d, h, w, g * gi + i)] *
                           in[1].data[((((g * gi + i) * go + o % go) * kd + a0) * kh + a1) * kw + a2];
                  out[0].data[y.At(n, od, oh, ow, o)] += sum;
                }
              }
            }
          }
}

template <typename T>
void Linear(const LinearAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape& xs = in[0].shape;
  if (a.axis == -2) {
    const int64_t ni = xs[-2], no = out[0].shape[-2], c = xs[-1], rows = xs.Product(0, xs.rank() - 2);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < no; ++o)
        for (int64_t f = 0; f < c; ++f) {
          T sum = in.size() > 2 && in[2] ? in[2].data[o] : T(0);
          for (int64_t i = 0; i < ni; ++i) sum += in[1].data[o * ni + i] * in[0].data[(r * ni + i) * c + f];
          out[0].data[(r * no + o) * c + f] = sum;
        }
    return;
  }
  const int64_t ni = xs[-1], no = out[0].shape[-1], rows = xs.Product(0, xs.rank() - 1);
  const int64_t gi = ni / a.groups, go = no / a.groups;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < no; ++o) {
      T sum = in.size() > 2 && in[2] ? in[2].data[o] : T(0);
      for (int64_t i = 0; i < gi; ++i) sum += in[1].data[o * gi + i] * in[0].data[r * ni + o / go * gi + i];
      out[0].data[r * no + o] = sum;
    }
}

template <typename T>
void MatMul(const MatMulAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape& as = in[0].shape;
  const int64_t m = as[-2], k = as[-1], n = out[0].shape[-1], batches = as.Product(0, as.rank() - 2);
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        T sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += in[0].data[(b * m + i) * k + l] *
                 (a.transpose_b ? in[1].data[(b * n + j) * k + l] : in[1].data[(b * k + l) * n + j]);
        out[0].data[(b * m + i) * n + j] = sum * T(a.scale);
      }
}

// Element i of an int32 tensor. Among float32 ones it lies as its own bits; in float64 it is a number like others.
template <typename T>
int64_t Integer(const In<T>& in, int64_t i) {
  if constexpr (std::is_same_v<T, float>) {
    int32_t value;
    std::memcpy(&value, in.data + i, sizeof(value));
    return value;
  } else {
    return static_cast<int64_t>(in.data[i]);
  }
}

// Ids that no row has give zeros.
template <typename T>
void Embedding(Ins<T> in, Outs<T> out) {
  const int64_t rows = in[1].shape[0], c = in[1].shape[1];
  for (int64_t i = 0; i < in[0].shape.elements(); ++i) {
    const int64_t id = Integer(in[0], i);
    for (int64_t f = 0; f < c; ++f) out[0].data[i * c + f] = id < 0 || id >= rows ? T(0) : in[1].data[id * c + f];
  }
}

template <typename T>
void Rotary(const RotaryAttrs& a, Ins<T> in, Outs<T> out, const Scalars& scalars) {
  const Shape& s = in[0].shape;
  const int64_t t = s[1], width = s[2] / a.heads, pairs = a.dims / 2;
  for (int64_t r = 0; r < s[0] * t; ++r) {
    int64_t position = a.First(scalars) + r % t;
    if (in.size() > 2 && in[2]) position = Integer(in[2], in[2].shape.rank() == 1 ? r % t : r);
    for (int64_t h = 0; h < a.heads; ++h) {
      const T* x = in[0].data + r * s[2] + h * width;
      T* y = out[0].data + r * s[2] + h * width;
      for (int64_t i = 0; i < pairs; ++i) {
        const float angle = static_cast<float>(position) * static_cast<float>(in[1].data[i]);
        const T c = static_cast<T>(std::cos(double{angle})), q = static_cast<T>(std::sin(double{angle}));
        const int64_t first = a.interleaved ? 2 * i : i, second = a.interleaved ? 2 * i + 1 : i + pairs;
        const T u = x[first], v = x[second];  // the output may lie where the input does
        y[first] = u * c - v * q;
        y[second] = v * c + u * q;
      }
      for (int64_t f = a.dims; f < width; ++f) y[f] = x[f];
    }
  }
}

template <typename T>
void Attention(const AttentionAttrs& attrs, Ins<T> in, Outs<T> out, const Scalars& scalars) {
  const AttentionAttrs a = attrs.At(scalars, in[0].shape[1], in[1].shape[1]);
  const int64_t batch = in[0].shape[0], tq = in[0].shape[1], tk = in[1].shape[1];
  const int64_t features = in[0].shape[2], kv_features = in[1].shape[2], d = features / a.heads;
  const int64_t length = a.LengthOf(tk), past = a.PastOf(tq, tk);
  std::vector<T> p(static_cast<size_t>(tk));
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t i = 0; i < tq; ++i) {
        const int64_t group = h / (a.heads / a.key_heads());
        const T* q = in[0].data + (n * tq + i) * features + h * d;
        const T* keys = in[1].data + n * tk * kv_features + group * d;
        const T* values = in[2].data + n * tk * kv_features + group * d;
        const int64_t visible = a.causal ? std::min(length, past + (i / a.block + 1) * a.block) : length;
        T top = -std::numeric_limits<T>::infinity(), sum = 0;
        for (int64_t j = 0; j < visible; ++j) {
          T dot = 0;
          for (int64_t e = 0; e < d; ++e) dot += q[e] * keys[j * kv_features + e];
          p[j] = dot * T(a.scale);
          top = std::max(top, p[j]);
        }
        for (int64_t j = 0; j < visible; ++j) sum += p[j] = std::exp(p[j] - top);
        for (int64_t e = 0; e < d; ++e) {
          T y = 0;
          for (int64_t j = 0; j < visible; ++j) y += p[j] * values[j * kv_features + e];
          out[0].data[(n * tq + i) * features + h * d + e] = y / sum;
        }
      }
}

template <typename T>
void Norm(const NormAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape& s = in[0].shape;
  const int rank = s.rank();
  const int64_t c = s[-1], per_group = c / a.groups, rows = s.Product(0, rank - 1);
  // The statistics that row r belongs to: its batch and its index along each kept axis.
  std::vector<int64_t> bucket(static_cast<size_t>(rows));
  int64_t buckets = 1;
  for (int i = 0; i < rank - 1; ++i)
    if (i == 0 || (a.keep >> i & 1)) buckets *= s[i];
  for (int64_t r = 0; r < rows; ++r) {
    int64_t rest = r, index = 0, scale = 1;
    for (int i = rank - 2; i >= 0; --i) {
      if (i == 0 || (a.keep >> i & 1)) {
        index += rest % s[i] * scale;
        scale *= s[i];
      }
      rest /= s[i];
    }
    bucket[r] = index;
  }
  // Sums in double even for float32: a kernel that is only to be right has no reason to cancel.
  const int64_t count = rows / buckets * per_group;
  std::vector<double> mean(static_cast<size_t>(buckets * a.groups)), var(mean.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t f = 0; f < c; ++f) mean[bucket[r] * a.groups + f / per_group] += in[0].data[r * c + f];
  for (double& m : mean) m = a.subtract_mean ? m / static_cast<double>(count) : 0.0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t f = 0; f < c; ++f) {
      const double e = in[0].data[r * c + f] - mean[bucket[r] * a.groups + f / per_group];
      var[bucket[r] * a.groups + f / per_group] += e * e;
    }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t f = 0; f < c; ++f) {
      const int64_t b = bucket[r] * a.groups + f / per_group;
      const double inv = 1.0 / std::sqrt(var[b] / static_cast<double>(count) + static_cast<double>(a.eps));
      T y = static_cast<T>((in[0].data[r * c + f] - mean[b]) * inv);
      if (in.size() > 1 && in[1]) y *= in[1].data[f];
      if (in.size() > 2 && in[2]) y += in[2].data[f];
      out[0].data[r * c + f] = y;
    }
}

template <typename T>
void BatchNorm(const BatchNormAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t c = in[0].shape.back(), n = in[0].shape.elements();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t f = i % c;
    T y = (in[0].data[i] - in[1].data[f]) / std::sqrt(in[2].data[f] + T(a.eps));
    if (in.size() > 3 && in[3]) y *= in[3].data[f];
    if (in.size() > 4 && in[4]) y += in[4].data[f];
    out[0].data[i] = y;
  }
}

template <typename T>
T Apply(const UnaryAttrs& a, T x) {
  const T alpha = a.alpha, beta = a.beta;
  switch (a.fn) {
    case UnaryFn::kIdentity: return x;
    case UnaryFn::kRelu: return x > 0 ? x : T(0);
    case UnaryFn::kLeakyRelu: return x > 0 ? x : alpha * x;
    case UnaryFn::kElu: return x > 0 ? x : alpha * std::expm1(x);
    case UnaryFn::kGelu: return x * T(0.5) * (T(1) + std::erf(x * (std::numbers::sqrt2_v<T> / T(2))));
    case UnaryFn::kSilu: return x / (T(1) + std::exp(-x));
    case UnaryFn::kSigmoid: return T(1) / (T(1) + std::exp(-x));
    case UnaryFn::kTanh: return std::tanh(x);
    case UnaryFn::kExp: return std::exp(x);
    case UnaryFn::kLog: return std::log(x);
    case UnaryFn::kSqrt: return std::sqrt(x);
    case UnaryFn::kRsqrt: return T(1) / std::sqrt(x);
    case UnaryFn::kAbs: return std::abs(x);
    case UnaryFn::kNeg: return -x;
    case UnaryFn::kSquare: return x * x;
    case UnaryFn::kSin: return std::sin(x);
    case UnaryFn::kCos: return std::cos(x);
    case UnaryFn::kSnake: return x + std::sin(alpha * x) * std::sin(alpha * x) / alpha;
    case UnaryFn::kClamp: return std::min(std::max(x, alpha), beta);
    case UnaryFn::kScale: return alpha * x + beta;
    case UnaryFn::kPow: return std::pow(x, alpha);
    case UnaryFn::kGeluTanh: {
      const T u = std::sqrt(T(2) / std::numbers::pi_v<T>) * (x + T(0.044715) * x * x * x);
      return x * T(0.5) * (T(1) + std::tanh(u));
    }
    case UnaryFn::kCount: break;
  }
  return x;
}

template <typename T>
void Unary(const UnaryAttrs& a, Ins<T> in, Outs<T> out) {
  for (int64_t i = 0; i < in[0].shape.elements(); ++i) out[0].data[i] = Apply(a, in[0].data[i]);
}

template <typename T>
T Apply(BinaryFn fn, T a, T b) {
  switch (fn) {
    case BinaryFn::kAdd: return a + b;
    case BinaryFn::kSub: return a - b;
    case BinaryFn::kMul: return a * b;
    case BinaryFn::kDiv: return a / b;
    case BinaryFn::kMax: return std::max(a, b);
    case BinaryFn::kMin: return std::min(a, b);
    case BinaryFn::kAtan2: return std::atan2(a, b);
    case BinaryFn::kComplexMul: return T(0);  // takes two elements at once; see Binary
  }
  return T(0);
}

// The element of `in` that lies under element `index` of a tensor of shape `out`, as numpy broadcasts.
inline int64_t BroadcastIndex(const Shape& in, const Shape& out, int64_t index) {
  int64_t offset = 0, stride = 1;
  for (int i = 1; i <= out.rank(); ++i) {
    const int64_t position = index % out[-i];
    index /= out[-i];
    if (i <= in.rank()) {
      if (in[-i] != 1) offset += position * stride;
      stride *= in[-i];
    }
  }
  return offset;
}

template <typename T>
void Binary(const BinaryAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape& s = out[0].shape;
  if (a.fn == BinaryFn::kComplexMul) {
    for (int64_t i = 0; i < s.elements(); i += 2) {
      const T* p = in[0].data + BroadcastIndex(in[0].shape, s, i);
      const T* q = in[1].data + BroadcastIndex(in[1].shape, s, i);
      const T re = p[0] * q[0] - p[1] * q[1], im = p[0] * q[1] + p[1] * q[0];
      out[0].data[i] = re;  // the output may lie where an input does
      out[0].data[i + 1] = im;
    }
    return;
  }
  for (int64_t i = 0; i < s.elements(); ++i)
    out[0].data[i] =
        Apply(a.fn, in[0].data[BroadcastIndex(in[0].shape, s, i)], in[1].data[BroadcastIndex(in[1].shape, s, i)]);
}

template <typename T>
void PRelu(Ins<T> in, Outs<T> out) {
  const int64_t slopes = in[1].shape.elements();
  for (int64_t i = 0; i < in[0].shape.elements(); ++i) {
    const T x = in[0].data[i];
    out[0].data[i] = x > 0 ? x : x * in[1].data[i % slopes];
  }
}

template <typename T>
void Glu(Ins<T> in, Outs<T> out) {
  const int64_t c = out[0].shape.back(), rows = out[0].shape.elements() / std::max<int64_t>(c, 1);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t f = 0; f < c; ++f)
      out[0].data[r * c + f] = in[0].data[2 * r * c + f] / (T(1) + std::exp(-in[0].data[(2 * r + 1) * c + f]));
}

template <typename T>
void Softmax(Ins<T> in, Outs<T> out) {
  const int64_t c = in[0].shape.back(), rows = in[0].shape.elements() / std::max<int64_t>(c, 1);
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = in[0].data + r * c;
    T* y = out[0].data + r * c;
    const T top = *std::max_element(x, x + c);
    double sum = 0;  // of a long row: more than float's digits hold
    for (int64_t f = 0; f < c; ++f) sum += static_cast<double>(y[f] = std::exp(x[f] - top));
    for (int64_t f = 0; f < c; ++f) y[f] = static_cast<T>(static_cast<double>(y[f]) / sum);
  }
}

template <typename T>
void Reduce(const ReduceAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape &s = in[0].shape, &o = out[0].shape;
  const int64_t n = s.elements(), m = o.elements();
  const double count = static_cast<double>(n) / static_cast<double>(m);
  std::vector<double> acc(static_cast<size_t>(m)), mean;
  if (a.fn == ReduceFn::kMax) acc.assign(acc.size(), -std::numeric_limits<double>::infinity());
  if (a.fn == ReduceFn::kMin) acc.assign(acc.size(), std::numeric_limits<double>::infinity());
  if (a.fn == ReduceFn::kStd) {
    mean.resize(acc.size());
    for (int64_t i = 0; i < n; ++i) mean[BroadcastIndex(o, s, i)] += in[0].data[i] / count;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t j = BroadcastIndex(o, s, i);
    const double x = in[0].data[i];
    switch (a.fn) {
      case ReduceFn::kSum:
      case ReduceFn::kMean: acc[j] += x; break;
      case ReduceFn::kMax: acc[j] = std::max(acc[j], x); break;
      case ReduceFn::kMin: acc[j] = std::min(acc[j], x); break;
      case ReduceFn::kStd: acc[j] += (x - mean[j]) * (x - mean[j]); break;
    }
  }
  for (int64_t j = 0; j < m; ++j) {
    if (a.fn == ReduceFn::kMean) acc[j] /= count;
    if (a.fn == ReduceFn::kStd) acc[j] = std::sqrt(acc[j] / (count - a.ddof));
    out[0].data[j] = static_cast<T>(acc[j]);
  }
}

template <typename T>
void Reshape(Ins<T> in, Outs<T> out) {
  std::copy_n(in[0].data, in[0].shape.elements(), out[0].data);
}

template <typename T>
void Transpose(const TransposeAttrs& a, Ins<T> in, Outs<T> out) {
  const Shape& o = out[0].shape;
  for (int64_t i = 0; i < o.elements(); ++i) {
    int64_t rest = i, offset = 0;
    for (int axis = o.rank() - 1; axis >= 0; --axis) {
      offset += rest % o[axis] * in[0].shape.stride(a.perm[axis]);
      rest /= o[axis];
    }
    out[0].data[i] = in[0].data[offset];
  }
}

// The three copies along one axis see a tensor as [outer, size, inner].
template <typename T>
void CopyAxis(const In<T>& in, const Out<T>& out, int axis, int64_t begin, int64_t count, auto&& source) {
  const int64_t inner = out.shape.Product(axis + 1, out.shape.rank()), outer = out.shape.Product(0, axis);
  const int64_t ni = in.shape[axis], no = out.shape[axis];
  for (int64_t p = 0; p < outer; ++p)
    for (int64_t j = 0; j < count; ++j) {
      const int64_t s = source(j);
      for (int64_t q = 0; q < inner; ++q)
        out.data[(p * no + begin + j) * inner + q] = s < 0 ? T(0) : in.data[(p * ni + s) * inner + q];
    }
}

template <typename T>
void Slice(const SliceAttrs& a, Ins<T> in, Outs<T> out) {
  CopyAxis(in[0], out[0], a.axis, 0, out[0].shape[a.axis], [&](int64_t j) { return a.begin + j * a.step; });
}

template <typename T>
void Concat(const ConcatAttrs& a, Ins<T> in, Outs<T> out) {
  int64_t begin = 0;
  for (const In<T>& x : in) {
    CopyAxis(x, out[0], a.axis, begin, x.shape[a.axis], [](int64_t j) { return j; });
    begin += x.shape[a.axis];
  }
}

template <typename T>
void Pad(const PadAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t n = in[0].shape[a.axis];
  CopyAxis(in[0], out[0], a.axis, 0, out[0].shape[a.axis], [&](int64_t j) {
    const int64_t i = j - a.lo;
    if (i >= 0 && i < n) return i;
    if (a.mode == PadMode::kReflect) return i < 0 ? -i : 2 * (n - 1) - i;
    if (a.mode == PadMode::kReplicate) return i < 0 ? int64_t{0} : n - 1;
    return int64_t{-1};
  });
}

template <typename T>
void Upsample(const UpsampleAttrs& a, Ins<T> in, Outs<T> out) {
  CopyAxis(in[0], out[0], a.axis, 0, out[0].shape[a.axis], [&](int64_t j) { return j / a.factor; });
}

template <typename T>
std::vector<double> CenteredWindow(const In<T>& window, int n_fft) {
  std::vector<double> w(static_cast<size_t>(n_fft));
  const int64_t n = window.shape.elements(), lo = (n_fft - n) / 2;
  for (int64_t i = 0; i < n; ++i) w[lo + i] = window.data[i];
  return w;
}

// The n-th roots of unity: cos and sin of 2 pi k / n.
inline std::vector<std::pair<double, double>> Roots(int n) {
  std::vector<std::pair<double, double>> roots(static_cast<size_t>(n));
  for (int k = 0; k < n; ++k) {
    const double angle = 2.0 * std::numbers::pi * k / n;
    roots[k] = {std::cos(angle), std::sin(angle)};
  }
  return roots;
}

template <typename T>
void Stft(const StftAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], t = in[0].shape[1], c = in[0].shape[2];
  const int64_t frames = out[0].shape[1], bins = out[0].shape[2];
  const auto w = CenteredWindow(in[1], a.n_fft);
  const auto roots = Roots(a.n_fft);
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < frames; ++f)
      for (int64_t ch = 0; ch < c; ++ch)
        for (int64_t k = 0; k < bins; ++k) {
          double re = 0, im = 0;
          for (int64_t i = 0; i < a.n_fft; ++i) {
            const double x = w[i] * in[0].data[(n * t + f * a.hop + i) * c + ch];
            const auto& [cosine, sine] = roots[k * i % a.n_fft];
            re += x * cosine;
            im -= x * sine;
          }
          T* y = out[0].data + ((n * frames + f) * bins + k) * 2 * c + 2 * ch;
          y[0] = static_cast<T>(re * a.scale);
          y[1] = static_cast<T>(im * a.scale);
        }
}

template <typename T>
void Istft(const IstftAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], frames = in[0].shape[1], bins = in[0].shape[2], c = out[0].shape[2];
  const auto w = CenteredWindow(in[1], a.n_fft);
  const auto roots = Roots(a.n_fft);
  std::vector<double> sum(static_cast<size_t>((frames - 1) * a.hop + a.n_fft)), norm(sum.size());
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t ch = 0; ch < c; ++ch) {
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(norm.begin(), norm.end(), 0.0);
      for (int64_t f = 0; f < frames; ++f)
        for (int64_t i = 0; i < a.n_fft; ++i) {
          double x = 0;
          for (int64_t k = 0; k < bins; ++k) {
            // The imaginary parts of the first and the last bin do not exist in a real signal's spectrum; both count
            // once.
            const T* z = in[0].data + ((n * frames + f) * bins + k) * 2 * c + 2 * ch;
            const auto& [cosine, sine] = roots[k * i % a.n_fft];
            const bool edge = k == 0 || 2 * k == a.n_fft;
            x += edge ? z[0] * cosine : 2.0 * (z[0] * cosine - z[1] * sine);
          }
          sum[f * a.hop + i] += x / a.n_fft * a.scale * w[i];
          norm[f * a.hop + i] += w[i] * w[i];
        }
      for (int64_t i = 0; i < a.length; ++i)
        out[0].data[(n * a.length + i) * c + ch] =
            static_cast<T>(a.normalize ? sum[a.crop + i] / norm[a.crop + i] : sum[a.crop + i]);
    }
}

template <typename T>
T SigmoidOf(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// gates[g] = w_ih x + b_ih and w_hh h + b_hh, for all gates of one step.
template <typename T>
void Gates(Ins<T> in, const T* x, const T* h, int64_t ni, int64_t nh, int64_t rows, std::vector<T>& gi,
           std::vector<T>& gh) {
  for (int64_t r = 0; r < rows; ++r) {
    T a = in[3] ? in[3].data[r] : T(0), b = in[4] ? in[4].data[r] : T(0);
    for (int64_t i = 0; i < ni; ++i) a += in[1].data[r * ni + i] * x[i];
    for (int64_t i = 0; i < nh; ++i) b += in[2].data[r * nh + i] * h[i];
    gi[r] = a;
    gh[r] = b;
  }
}

template <typename T>
void Gru(const RnnAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], t = in[0].shape[1], ni = in[0].shape[2], nh = in[2].shape[1];
  std::vector<T> gi(static_cast<size_t>(3 * nh)), gh(gi.size());
  for (int64_t n = 0; n < batch; ++n) {
    std::vector<T> h(in[5].data + n * nh, in[5].data + (n + 1) * nh);
    for (int64_t s = 0; s < t; ++s) {
      const int64_t step = n * t + (a.reverse ? t - 1 - s : s);
      Gates(in, in[0].data + step * ni, h.data(), ni, nh, 3 * nh, gi, gh);
      for (int64_t j = 0; j < nh; ++j) {
        const T r = SigmoidOf(gi[j] + gh[j]), z = SigmoidOf(gi[nh + j] + gh[nh + j]);
        const T candidate = std::tanh(gi[2 * nh + j] + r * gh[2 * nh + j]);
        h[j] = (T(1) - z) * candidate + z * h[j];
        out[0].data[step * nh + j] = h[j];
      }
    }
    std::copy(h.begin(), h.end(), out[1].data + n * nh);
  }
}

template <typename T>
void Lstm(const RnnAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], t = in[0].shape[1], ni = in[0].shape[2], nh = in[2].shape[1];
  std::vector<T> gi(static_cast<size_t>(4 * nh)), gh(gi.size());
  for (int64_t n = 0; n < batch; ++n) {
    std::vector<T> h(in[5].data + n * nh, in[5].data + (n + 1) * nh), c(in[6].data + n * nh, in[6].data + (n + 1) * nh);
    for (int64_t s = 0; s < t; ++s) {
      const int64_t step = n * t + (a.reverse ? t - 1 - s : s);
      Gates(in, in[0].data + step * ni, h.data(), ni, nh, 4 * nh, gi, gh);
      for (int64_t j = 0; j < nh; ++j) {
        const T i = SigmoidOf(gi[j] + gh[j]), f = SigmoidOf(gi[nh + j] + gh[nh + j]);
        const T g = std::tanh(gi[2 * nh + j] + gh[2 * nh + j]), o = SigmoidOf(gi[3 * nh + j] + gh[3 * nh + j]);
        c[j] = f * c[j] + i * g;
        h[j] = o * std::tanh(c[j]);
        out[0].data[step * nh + j] = h[j];
      }
    }
    std::copy(h.begin(), h.end(), out[1].data + n * nh);
    std::copy(c.begin(), c.end(), out[2].data + n * nh);
  }
}

template <typename T>
void CumulativeMean(const CumulativeMeanAttrs& a, Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], t = in[0].shape[1], c = in[0].shape[2];
  const T alpha = a.alpha;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < c; ++f) {
      T state = in[1].data[n * c + f];
      for (int64_t s = 0; s < t; ++s) {
        state = in[0].data[(n * t + s) * c + f] * (T(1) - alpha) + state * alpha;
        out[0].data[(n * t + s) * c + f] = state;
      }
      out[1].data[n * c + f] = state;
    }
}

// With K taps, padded by K/2 - 1 and cropped by 3 (K/2 - 1): y[2t] and y[2t + 1] lie around x[t].
template <typename T>
void AliasFreeSnake(Ins<T> in, Outs<T> out) {
  const int64_t batch = in[0].shape[0], t = in[0].shape[1], c = in[0].shape[2], taps = in[3].shape.elements();
  const int64_t pad = taps / 2 - 1;
  std::vector<T> y(static_cast<size_t>(2 * t));
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t f = 0; f < c; ++f) {
      const T alpha = in[1].data[f], scale = in[2].data[f];
      for (int64_t j = 0; j < 2 * t; ++j) {
        T sum = 0;
        for (int64_t k = (j + 3 * pad) % 2; k < taps; k += 2) {
          const int64_t i = (j + 3 * pad - k) / 2;
          sum += in[3].data[k] * in[0].data[(n * t + std::clamp<int64_t>(i - pad, 0, t - 1)) * c + f];
        }
        const T s = std::sin(alpha * 2 * sum);
        y[j] = 2 * sum + scale * s * s;
      }
      for (int64_t j = 0; j < t; ++j) {
        T sum = 0;
        for (int64_t k = 0; k < taps; ++k) sum += in[4].data[k] * y[std::clamp<int64_t>(2 * j + k - pad, 0, 2 * t - 1)];
        out[0].data[(n * t + j) * c + f] = sum;
      }
    }
}

// The result may lie where the state does; places that it does not have are left out.
template <typename T>
void StateWrite(const StateWriteAttrs& a, Ins<T> in, Outs<T> out, const Scalars& scalars) {
  if (out[0].data != in[0].data) std::copy_n(in[0].data, in[0].shape.elements(), out[0].data);
  const int64_t outer = in[0].shape.Product(0, a.axis), inner = in[0].shape.stride(a.axis);
  const int64_t places = in[0].shape[a.axis], taken = in[1].shape[a.axis], at = scalars.I32(a.at);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t t = 0; t < taken; ++t) {
      if (at + t < 0 || at + t >= places) continue;
      for (int64_t i = 0; i < inner; ++i)
        out[0].data[(o * places + at + t) * inner + i] = in[1].data[(o * taken + t) * inner + i];
    }
}

// Runs `op`: the one dispatch over all of them.
template <typename T>
void Run(Op op, const Attrs& attrs, Ins<T> in, Outs<T> out, const Scalars& scalars = {}) {
  switch (op) {
    case Op::kConv: return Conv<T>(std::get<ConvAttrs>(attrs), in, out);
    case Op::kConvTranspose: return ConvTranspose<T>(std::get<ConvTransposeAttrs>(attrs), in, out);
    case Op::kLinear: return Linear<T>(std::get<LinearAttrs>(attrs), in, out);
    case Op::kMatMul: return MatMul<T>(std::get<MatMulAttrs>(attrs), in, out);
    case Op::kEmbedding: return Embedding<T>(in, out);
    case Op::kRotary: return Rotary<T>(std::get<RotaryAttrs>(attrs), in, out, scalars);
    case Op::kAttention: return Attention<T>(std::get<AttentionAttrs>(attrs), in, out, scalars);
    case Op::kNorm: return Norm<T>(std::get<NormAttrs>(attrs), in, out);
    case Op::kBatchNorm: return BatchNorm<T>(std::get<BatchNormAttrs>(attrs), in, out);
    case Op::kUnary: return Unary<T>(std::get<UnaryAttrs>(attrs), in, out);
    case Op::kBinary: return Binary<T>(std::get<BinaryAttrs>(attrs), in, out);
    case Op::kPRelu: return PRelu<T>(in, out);
    case Op::kGlu: return Glu<T>(in, out);
    case Op::kSoftmax: return Softmax<T>(in, out);
    case Op::kReduce: return Reduce<T>(std::get<ReduceAttrs>(attrs), in, out);
    case Op::kReshape: return Reshape<T>(in, out);
    case Op::kTranspose: return Transpose<T>(std::get<TransposeAttrs>(attrs), in, out);
    case Op::kSlice: return Slice<T>(std::get<SliceAttrs>(attrs), in, out);
    case Op::kConcat: return Concat<T>(std::get<ConcatAttrs>(attrs), in, out);
    case Op::kPad: return Pad<T>(std::get<PadAttrs>(attrs), in, out);
    case Op::kUpsample: return Upsample<T>(std::get<UpsampleAttrs>(attrs), in, out);
    case Op::kStft: return Stft<T>(std::get<StftAttrs>(attrs), in, out);
    case Op::kIstft: return Istft<T>(std::get<IstftAttrs>(attrs), in, out);
    case Op::kGru: return Gru<T>(std::get<RnnAttrs>(attrs), in, out);
    case Op::kLstm: return Lstm<T>(std::get<RnnAttrs>(attrs), in, out);
    case Op::kCumulativeMean: return CumulativeMean<T>(std::get<CumulativeMeanAttrs>(attrs), in, out);
    case Op::kAliasFreeSnake: return AliasFreeSnake<T>(in, out);
    case Op::kStateWrite: return StateWrite<T>(std::get<StateWriteAttrs>(attrs), in, out, scalars);
    case Op::kCount: return;
  }
}

}  // namespace timbre::loops
