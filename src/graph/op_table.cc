#include "graph/op_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "graph/op_loops.h"

namespace timbre {
namespace {

using Shapes = std::span<const Shape* const>;
using ShapesOr = Result<std::vector<Shape>>;

ShapesOr Wrong(std::string what) { return Fail(ErrorCode::kInvalidArgument, std::move(what)); }

// Text only when a check fails: shape rules run for every node.
#define TIMBRE_RULE(condition, what) \
  if (!(condition)) return Wrong(what)

std::string Text(Shapes in) {
  std::string text;
  for (const Shape* s : in) text += (text.empty() ? "" : ", ") + (s ? s->ToString() : std::string("none"));
  return text;
}

bool Present(Shapes in, size_t first, size_t count) {
  for (size_t i = first; i < first + count; ++i)
    if (i >= in.size() || in[i] == nullptr) return false;
  return true;
}

bool IsVector(Shapes in, size_t i, int64_t n) { return i >= in.size() || !in[i] || *in[i] == Shape{n}; }

double Elements(std::span<const Shape> out) {
  double sum = 0;
  for (const Shape& s : out) sum += static_cast<double>(s.elements());
  return sum;
}

double OneEach(const Attrs&, Shapes, std::span<const Shape> out) { return Elements(out); }
double NoFlops(const Attrs&, Shapes, std::span<const Shape>) { return 0; }
double OneTerm(const Attrs&, Shapes) { return 1; }

ShapesOr InferConv(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ConvAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() == a.dims + 2 && in[1]->rank() == a.dims + 2,
              "a " + std::to_string(a.dims) + "-d convolution of " + Text(in));
  const Shape &x = *in[0], &w = *in[1];
  TIMBRE_RULE(a.groups > 0 && w[0] % a.groups == 0 && w[1] * a.groups == x[-1] && IsVector(in, 2, w[0]),
              "a convolution in " + std::to_string(a.groups) + " groups of " + Text(in));
  Shape y{x[0]};
  for (int i = 0; i < a.dims; ++i) {
    const int j = 3 - a.dims + i;
    const int64_t reach = int64_t{a.dilation[j]} * (a.kernel[j] - 1) + 1;
    const int64_t room = x[1 + i] + a.pad_lo[j] + a.pad_hi[j] - reach;
    TIMBRE_RULE(a.kernel[j] == w[2 + i] && a.stride[j] > 0 && a.dilation[j] > 0 && a.pad_lo[j] >= 0 &&
                    a.pad_hi[j] >= 0 && room >= 0,
                "a convolution whose kernel does not fit " + Text(in));
    y.push_back(room / a.stride[j] + 1);
  }
  y.push_back(w[0]);
  return std::vector<Shape>{y};
}

double ConvTerms(const Attrs&, Shapes in) { return static_cast<double>(in[1]->Product(1, in[1]->rank())); }
double ConvFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out) {
  return 2 * Elements(out) * ConvTerms(attrs, in);
}

ShapesOr InferConvTranspose(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ConvTransposeAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() == a.dims + 2 && in[1]->rank() == a.dims + 2,
              "a " + std::to_string(a.dims) + "-d transposed convolution of " + Text(in));
  const Shape &x = *in[0], &w = *in[1];
  TIMBRE_RULE(a.groups > 0 && w[0] == x[-1] && x[-1] % a.groups == 0 && IsVector(in, 2, w[1] * a.groups),
              "a transposed convolution in " + std::to_string(a.groups) + " groups of " + Text(in));
  Shape y{x[0]};
  for (int i = 0; i < a.dims; ++i) {
    const int j = 3 - a.dims + i;
    const int64_t size = (x[1 + i] - 1) * a.stride[j] + a.kernel[j] - a.crop_lo[j] - a.crop_hi[j];
    TIMBRE_RULE(a.kernel[j] == w[2 + i] && a.stride[j] > 0 && a.crop_lo[j] >= 0 && size > 0,
                "a transposed convolution whose kernel does not fit " + Text(in));
    y.push_back(size);
  }
  y.push_back(w[1] * a.groups);
  return std::vector<Shape>{y};
}

double ConvTransposeTerms(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ConvTransposeAttrs>(attrs);
  double taps = 1;
  for (int i = 0; i < 3; ++i) taps *= std::ceil(static_cast<double>(a.kernel[i]) / a.stride[i]);
  return taps * static_cast<double>((*in[1])[0]) / a.groups;
}
double ConvTransposeFlops(const Attrs&, Shapes in, std::span<const Shape>) {
  return 2.0 * static_cast<double>(in[0]->elements()) * static_cast<double>(in[1]->Product(1, in[1]->rank()));
}

ShapesOr InferLinear(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<LinearAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2), "a linear layer of " + Text(in));
  const Shape &x = *in[0], &w = *in[1];
  Shape y = x;
  if (a.axis == -2) {
    TIMBRE_RULE(x.rank() >= 2 && w.rank() == 2 && w[1] == x[-2] && IsVector(in, 2, w[0]),
                "a linear layer of " + Text(in));
    y[-2] = w[0];
    return std::vector<Shape>{y};
  }
  TIMBRE_RULE(a.axis == -1 && x.rank() >= 1 && a.groups > 0, "a linear layer of " + Text(in));
  const int64_t out = a.groups == 1 ? w[0] : w[0] * w[1];
  const bool fits =
      a.groups == 1 ? w.rank() == 2 && w[1] == x[-1] : w.rank() == 3 && w[0] == a.groups && w[2] * a.groups == x[-1];
  TIMBRE_RULE(fits && IsVector(in, 2, out), "a linear layer of " + Text(in));
  y[-1] = out;
  return std::vector<Shape>{y};
}
double LinearTerms(const Attrs&, Shapes in) { return static_cast<double>((*in[1])[-1]); }
double LinearFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out) {
  return 2 * Elements(out) * LinearTerms(attrs, in);
}

ShapesOr InferMatMul(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<MatMulAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() >= 2 && in[0]->rank() == in[1]->rank(),
              "a matrix product of " + Text(in));
  const Shape &x = *in[0], &w = *in[1];
  for (int i = 0; i < x.rank() - 2; ++i) TIMBRE_RULE(x[i] == w[i], "a matrix product of " + Text(in));
  TIMBRE_RULE(x[-1] == (a.transpose_b ? w[-1] : w[-2]), "a matrix product of " + Text(in));
  Shape y = x;
  y[-1] = a.transpose_b ? w[-2] : w[-1];
  return std::vector<Shape>{y};
}
double MatMulTerms(const Attrs&, Shapes in) { return static_cast<double>((*in[0])[-1]); }
double MatMulFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out) {
  return 2 * Elements(out) * MatMulTerms(attrs, in);
}

ShapesOr InferAttention(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<AttentionAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 3) && in[0]->rank() == 3 && in[1]->rank() == 3 && *in[1] == *in[2] &&
                  (*in[0])[0] == (*in[1])[0] && (*in[0])[2] == (*in[1])[2] && a.heads > 0 &&
                  (*in[0])[2] % a.heads == 0 && (!a.causal || (*in[1])[1] >= (*in[0])[1]),
              "attention with " + std::to_string(a.heads) + " heads over " + Text(in));
  return std::vector<Shape>{*in[0]};
}
double AttentionTerms(const Attrs& attrs, Shapes in) {
  return static_cast<double>((*in[1])[1]) + static_cast<double>((*in[0])[2]) / std::get<AttentionAttrs>(attrs).heads;
}
double AttentionFlops(const Attrs&, Shapes in, std::span<const Shape>) {
  return 4.0 * static_cast<double>(in[0]->elements()) * static_cast<double>((*in[1])[1]);
}

ShapesOr InferNorm(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<NormAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 1) && in[0]->rank() >= 2 && a.groups > 0 && in[0]->back() % a.groups == 0 &&
                  IsVector(in, 1, in[0]->back()) && IsVector(in, 2, in[0]->back()),
              "a norm in " + std::to_string(a.groups) + " groups of " + Text(in));
  return std::vector<Shape>{*in[0]};
}
double NormFlops(const Attrs&, Shapes, std::span<const Shape> out) { return 5 * Elements(out); }
// An error of the mean or the variance reaches every element: it counts as a few roundings, not as the length of the
// sum.
double NormTerms(const Attrs&, Shapes) { return 16; }

ShapesOr InferBatchNorm(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 3), "a batch norm of " + Text(in));
  for (size_t i = 1; i < 5; ++i) TIMBRE_RULE(IsVector(in, i, in[0]->back()), "a batch norm of " + Text(in));
  return std::vector<Shape>{*in[0]};
}

ShapesOr InferSame(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 1), "an element-wise operator without an input");
  return std::vector<Shape>{*in[0]};
}

ShapesOr InferBinary(const Attrs& attrs, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 2), "a binary operator of " + Text(in));
  const Shape &p = *in[0], &q = *in[1];
  const int rank = std::max(p.rank(), q.rank());
  Shape y;
  for (int i = 0; i < rank; ++i) {
    const int64_t a = i < rank - p.rank() ? 1 : p[i - rank + p.rank()];
    const int64_t b = i < rank - q.rank() ? 1 : q[i - rank + q.rank()];
    TIMBRE_RULE(a == b || a == 1 || b == 1, "shapes that do not broadcast: " + Text(in));
    y.push_back(std::max(a, b));
  }
  if (std::get<BinaryAttrs>(attrs).fn == BinaryFn::kComplexMul)
    TIMBRE_RULE(p.back() == 2 && q.back() == 2 && p.rank() > 0 && q.rank() > 0, "a complex product of " + Text(in));
  return std::vector<Shape>{y};
}

ShapesOr InferPRelu(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 2) && in[1]->rank() == 1 && ((*in[1])[0] == 1 || (*in[1])[0] == in[0]->back()),
              "a PReLU of " + Text(in));
  return std::vector<Shape>{*in[0]};
}

ShapesOr InferGlu(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 1) && in[0]->rank() > 0 && in[0]->back() % 2 == 0, "a gated unit of " + Text(in));
  Shape y = *in[0];
  y[-1] /= 2;
  return std::vector<Shape>{y};
}

ShapesOr InferReduce(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ReduceAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 1) && a.axes != 0 && a.axes >> in[0]->rank() == 0, "a reduction of " + Text(in));
  Shape y = *in[0];
  for (int i = 0; i < y.rank(); ++i)
    if (a.axes >> i & 1) y[i] = 1;
  return std::vector<Shape>{y};
}
double ReduceFlops(const Attrs&, Shapes in, std::span<const Shape>) { return static_cast<double>(in[0]->elements()); }
double ReduceTerms(const Attrs& attrs, Shapes in) {
  double n = 1;
  for (int i = 0; i < in[0]->rank(); ++i)
    if (std::get<ReduceAttrs>(attrs).axes >> i & 1) n *= static_cast<double>((*in[0])[i]);
  return n;
}

ShapesOr InferReshape(const Attrs& attrs, Shapes in) {
  const Shape& y = std::get<ReshapeAttrs>(attrs).shape;
  TIMBRE_RULE(Present(in, 0, 1) && y.elements() == in[0]->elements(),
              "a reshape of " + Text(in) + " to " + y.ToString());
  return std::vector<Shape>{y};
}

ShapesOr InferTranspose(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<TransposeAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 1), "a transpose of nothing");
  Shape y;
  uint32_t seen = 0;
  for (int i = 0; i < in[0]->rank(); ++i) {
    TIMBRE_RULE(a.perm[i] >= 0 && a.perm[i] < in[0]->rank(), "a transpose of " + Text(in) + " by axes it lacks");
    seen |= 1u << a.perm[i];
    y.push_back((*in[0])[a.perm[i]]);
  }
  TIMBRE_RULE(seen + 1 == 1u << in[0]->rank(), "a transpose of " + Text(in) + " that names an axis twice");
  return std::vector<Shape>{y};
}

bool HasAxis(Shapes in, int axis) { return Present(in, 0, 1) && axis >= 0 && axis < in[0]->rank(); }

ShapesOr InferSlice(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<SliceAttrs>(attrs);
  TIMBRE_RULE(HasAxis(in, a.axis) && a.begin >= 0 && a.end > a.begin && a.end <= (*in[0])[a.axis] && a.step > 0,
              "a slice [" + std::to_string(a.begin) + ", " + std::to_string(a.end) + ") along axis " +
                  std::to_string(a.axis) + " of " + Text(in));
  Shape y = *in[0];
  y[a.axis] = (a.end - a.begin + a.step - 1) / a.step;
  return std::vector<Shape>{y};
}

ShapesOr InferConcat(const Attrs& attrs, Shapes in) {
  const int axis = std::get<ConcatAttrs>(attrs).axis;
  TIMBRE_RULE(HasAxis(in, axis) && Present(in, 0, in.size()), "a concatenation of " + Text(in));
  Shape y = *in[0];
  for (size_t i = 1; i < in.size(); ++i) {
    Shape expect = y;
    TIMBRE_RULE(in[i]->rank() == y.rank(), "a concatenation of " + Text(in));
    expect[axis] = (*in[i])[axis];
    TIMBRE_RULE(expect == *in[i], "a concatenation of " + Text(in));
    y[axis] += (*in[i])[axis];
  }
  return std::vector<Shape>{y};
}

ShapesOr InferPad(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<PadAttrs>(attrs);
  TIMBRE_RULE(HasAxis(in, a.axis) && a.lo >= 0 && a.hi >= 0, "a padding of " + Text(in));
  const int64_t n = (*in[0])[a.axis];
  TIMBRE_RULE(a.mode != PadMode::kReflect || (a.lo < n && a.hi < n),
              "a reflection of " + std::to_string(std::max(a.lo, a.hi)) + " along axis " + std::to_string(a.axis) +
                  " of " + Text(in));
  Shape y = *in[0];
  y[a.axis] = n + a.lo + a.hi;
  return std::vector<Shape>{y};
}

ShapesOr InferUpsample(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<UpsampleAttrs>(attrs);
  TIMBRE_RULE(HasAxis(in, a.axis) && a.factor > 0, "an upsampling of " + Text(in));
  Shape y = *in[0];
  y[a.axis] *= a.factor;
  return std::vector<Shape>{y};
}

ShapesOr InferStft(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<StftAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() == 3 && in[1]->rank() == 1 && a.n_fft > 0 && a.n_fft % 2 == 0 &&
                  a.hop > 0 && (*in[0])[1] >= a.n_fft && (*in[1])[0] <= a.n_fft,
              "a Fourier transform of " + std::to_string(a.n_fft) + " samples of " + Text(in));
  const Shape& x = *in[0];
  return std::vector<Shape>{Shape{x[0], (x[1] - a.n_fft) / a.hop + 1, a.n_fft / 2 + 1, 2 * x[2]}};
}

ShapesOr InferIstft(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<IstftAttrs>(attrs);
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() == 4 && in[1]->rank() == 1 && a.n_fft > 0 && a.n_fft % 2 == 0 &&
                  a.hop > 0 && (*in[0])[2] == a.n_fft / 2 + 1 && (*in[0])[3] % 2 == 0 && (*in[1])[0] <= a.n_fft &&
                  a.crop >= 0 && a.length > 0 && a.crop + a.length <= ((*in[0])[1] - 1) * a.hop + a.n_fft,
              "an inverse Fourier transform to " + std::to_string(a.length) + " samples of " + Text(in));
  return std::vector<Shape>{Shape{(*in[0])[0], a.length, (*in[0])[3] / 2}};
}

double FftFlops(double transforms, int n_fft) { return transforms * 2.5 * n_fft * std::log2(n_fft); }
double StftFlops(const Attrs& attrs, Shapes, std::span<const Shape> out) {
  return FftFlops(static_cast<double>(out[0][0] * out[0][1] * out[0][3]) / 2, std::get<StftAttrs>(attrs).n_fft);
}
double IstftFlops(const Attrs& attrs, Shapes in, std::span<const Shape>) {
  const Shape& x = *in[0];
  return FftFlops(static_cast<double>(x[0] * x[1] * x[3]) / 2, std::get<IstftAttrs>(attrs).n_fft);
}
// A fast transform rounds log2(n) times, a plain sum n times; the oracle's tolerance has to admit the reference
// kernel's sum.
double StftTerms(const Attrs&, Shapes) { return 64; }

ShapesOr InferRnn(Shapes in, int gates, size_t states) {
  TIMBRE_RULE(
      Present(in, 0, 3) && Present(in, 5, states) && in[0]->rank() == 3 && in[1]->rank() == 2 && in[2]->rank() == 2,
      "a recurrent layer of " + Text(in));
  const int64_t h = (*in[2])[1], n = (*in[0])[0];
  TIMBRE_RULE((*in[1] == Shape{gates * h, (*in[0])[2]}) && (*in[2] == Shape{gates * h, h}) &&
                  IsVector(in, 3, gates * h) && IsVector(in, 4, gates * h),
              "a recurrent layer of " + Text(in));
  std::vector<Shape> out{Shape{n, (*in[0])[1], h}};
  for (size_t i = 0; i < states; ++i) {
    TIMBRE_RULE((*in[5 + i] == Shape{n, h}), "a recurrent layer of " + Text(in));
    out.push_back(*in[5 + i]);
  }
  return out;
}
ShapesOr InferGru(const Attrs&, Shapes in) { return InferRnn(in, 3, 1); }
ShapesOr InferLstm(const Attrs&, Shapes in) { return InferRnn(in, 4, 2); }
double RnnFlops(const Attrs&, Shapes in, std::span<const Shape>) {
  const double steps = static_cast<double>((*in[0])[0] * (*in[0])[1]);
  return 2 * steps * static_cast<double>(in[1]->elements() + in[2]->elements());
}
// Errors of early steps live on in the state.
double RnnTerms(const Attrs&, Shapes in) {
  return static_cast<double>(((*in[1])[1] + (*in[2])[1]) * std::min<int64_t>((*in[0])[1], 16));
}

ShapesOr InferCumulativeMean(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 2) && in[0]->rank() == 3 && (*in[1] == Shape{(*in[0])[0], (*in[0])[2]}),
              "a running mean of " + Text(in));
  return std::vector<Shape>{*in[0], *in[1]};
}
double CumulativeMeanFlops(const Attrs&, Shapes in, std::span<const Shape>) {
  return 3.0 * static_cast<double>(in[0]->elements());
}
double CumulativeMeanTerms(const Attrs& attrs, Shapes) {
  return 1 / (1 - std::get<CumulativeMeanAttrs>(attrs).alpha + 1e-3);
}

bool IsFilter(const Shape& s) { return s.rank() == 1 && s[0] >= 2 && s[0] % 2 == 0; }
ShapesOr InferAliasFreeSnake(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 5) && in[0]->rank() == 3 && (*in[0])[1] > 0 && IsVector(in, 1, (*in[0])[2]) &&
                  IsVector(in, 2, (*in[0])[2]) && IsFilter(*in[3]) && *in[3] == *in[4],
              "an alias-free Snake of " + Text(in));
  return std::vector<Shape>{*in[0]};
}
// A multiply-add for each tap of the three filters that make one sample, and a handful for each of two sines.
double AliasFreeSnakeFlops(const Attrs&, Shapes in, std::span<const Shape> out) {
  return Elements(out) * (4.0 * static_cast<double>(in[3]->elements()) + 2 * 10);
}
double AliasFreeSnakeTerms(const Attrs&, Shapes in) { return static_cast<double>(in[3]->elements()); }

template <Op op>
void Oracle(const Attrs& attrs, std::span<const Tensor64* const> in, std::span<Tensor64> out) {
  std::vector<loops::In<double>> ins;
  for (const Tensor64* t : in) ins.push_back(t ? loops::In<double>{t->data.data(), t->shape} : loops::In<double>{});
  std::vector<loops::Out<double>> outs;
  for (Tensor64& t : out) outs.push_back({t.data.data(), t.shape});
  loops::Run<double>(op, attrs, ins, outs);
}

// ---- cases: small shapes around every edge, what is as long along one axis as in the real networks, and a few of
// theirs for timing ----

using Cases = std::vector<OpCase>;
OpCase::Input X(Shape shape, float lo = -1, float hi = 1) { return {shape, false, lo, hi}; }
OpCase::Input W(Shape shape) {
  const float bound =
      std::sqrt(3.0f / static_cast<float>(std::max<int64_t>(1, shape.Product(shape.rank() > 1 ? 1 : 0, shape.rank()))));
  return {shape, true, -bound, bound};
}
OpCase::Input V(int64_t n, float lo = -0.5f, float hi = 0.5f) { return {Shape{n}, true, lo, hi}; }
OpCase::Input None() { return {{}, false, 0, 0, true}; }
// Small but for one axis. Found to be worth it: Mesa's software driver ends all loops of a thread after 65,535 turns.
OpCase Extent(std::string name, Attrs attrs, std::vector<OpCase::Input> inputs) {
  return {std::move(name), attrs, std::move(inputs), false, true};
}

ConvAttrs Conv1(int k, int stride = 1, int pad = 0, int dilation = 1, int groups = 1) {
  return {1, {1, 1, k}, {1, 1, stride}, {1, 1, dilation}, {0, 0, pad}, {0, 0, pad}, groups};
}
ConvAttrs Conv2(int kh, int kw, int sh, int sw, int ph, int pw, int groups = 1) {
  return {2, {1, kh, kw}, {1, sh, sw}, {1, 1, 1}, {0, ph, pw}, {0, ph, pw}, groups};
}

Cases ConvCases() {
  Cases cases{
      {"k1", Conv1(1), {X({2, 5, 3}), W({4, 3, 1}), V(4)}},
      {"k1_wide", Conv1(1), {X({1, 37, 48}), W({96, 48, 1}), V(96)}},
      {"k1_widens", Conv1(1), {X({2, 157, 6}), W({96, 6, 1}), V(96)}},
      {"2d_1x1_widens", Conv2(1, 1, 1, 1, 0, 0), {X({2, 83, 5, 12}, 3, 5), W({50, 12, 1, 1}), None()}},
      {"2d_1x1_widens_much", Conv2(1, 1, 1, 1, 0, 0), {X({1, 130, 3, 48}), W({192, 48, 1, 1}), V(192)}},
      {"k8s4", Conv1(8, 4, 2), {X({1, 64, 2}), W({48, 2, 8}), V(48)}},
      {"k8s4_wide", Conv1(8, 4, 2), {X({2, 61, 48}), W({96, 48, 8}), V(96)}},
      {"k3_dilated", Conv1(3, 1, 2, 2), {X({1, 33, 24}), W({6, 24, 3}), V(6)}},
      {"k3_no_bias", Conv1(3, 1, 1), {X({1, 9, 16}), W({33, 16, 3}), None()}},
      {"causal",
       ConvAttrs{1, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 2}, {0, 0, 0}, 1},
       {X({1, 12, 8}), W({8, 8, 3}), V(8)}},
      {"depthwise", Conv1(3, 1, 1, 1, 16), {X({1, 20, 16}), W({16, 1, 3}), V(16)}},
      {"grouped", Conv1(5, 2, 2, 1, 4), {X({1, 20, 16}), W({24, 4, 5}), V(24)}},
      {"one_row", Conv1(3, 1, 1), {X({1, 1, 7}), W({5, 7, 3}), V(5)}},
      {"2d_3x3", Conv2(3, 3, 1, 1, 1, 1), {X({1, 9, 11, 8}), W({12, 8, 3, 3}), V(12)}},
      {"2d_3x3_wide", Conv2(3, 3, 1, 1, 1, 1), {X({2, 13, 18, 32}), W({48, 32, 3, 3}), None()}},
      {"2d_2x2s2", Conv2(2, 2, 2, 2, 0, 0), {X({1, 8, 10, 16}), W({32, 16, 2, 2}), None()}},
      {"2d_5x5s2", Conv2(5, 5, 2, 2, 2, 2), {X({1, 17, 20, 2}), W({16, 2, 5, 5}), V(16)}},
      {"2d_1x8s4", Conv2(1, 8, 1, 4, 0, 2), {X({1, 5, 32, 4}), W({8, 4, 1, 8}), V(8)}},
      {"2d_3x1_dilated",
       ConvAttrs{2, {1, 3, 1}, {1, 1, 1}, {1, 2, 1}, {0, 2, 0}, {0, 2, 0}, 1},
       {X({1, 9, 6, 16}), W({4, 16, 3, 1}), V(4)}},
      {"2d_4x4_dilated_thin",
       ConvAttrs{2, {1, 4, 4}, {1, 1, 1}, {1, 2, 2}, {0, 3, 3}, {0, 3, 3}, 1},
       {X({1, 4, 480, 2}), W({2, 2, 4, 4}), V(2)}},
      {"pairs", Conv1(4, 1, 2), {X({2, 7, 2}), W({2, 2, 4}), V(2)}},
      {"2d_3x3s2_thin", Conv2(3, 3, 2, 2, 1, 1), {X({1, 5, 960, 3}), W({1, 3, 3, 3}), V(1)}},
      {"2d_depthwise", Conv2(3, 3, 1, 1, 1, 1, 64), {X({1, 6, 8, 64}), W({64, 1, 3, 3}), None()}},
      {"2d_1x3_depthwise_s2", Conv2(1, 3, 1, 2, 0, 1, 16), {X({1, 6, 8, 16}), W({16, 1, 1, 3}), None()}},
      {"2d_grouped", Conv2(1, 5, 1, 2, 0, 2, 2), {X({1, 4, 33, 16}), W({16, 8, 1, 5}), V(16)}},
      {"2d_few_inputs", Conv2(3, 3, 1, 1, 0, 1), {X({2, 4, 11, 2}), W({40, 2, 3, 3}), V(40)}},
      {"2d_few_inputs_wide", Conv2(3, 3, 1, 1, 2, 1), {X({1, 3, 33, 2}), W({64, 2, 3, 3}), None()}},
      {"2d_one_output", Conv2(1, 3, 1, 1, 0, 1), {X({1, 3, 33, 64}), W({1, 64, 1, 3}), V(1)}},
      {"2d_few_outputs", Conv2(3, 3, 2, 2, 1, 1), {X({2, 5, 13, 16}), W({6, 16, 3, 3}), V(6)}},
      {"2d_few_outputs_grouped",
       ConvAttrs{2, {1, 5, 1}, {1, 1, 1}, {1, 1, 1}, {0, 1, 0}, {0, 0, 0}, 2},
       {X({1, 7, 9, 64}), W({10, 32, 5, 1}), None()}},
      {"3d",
       ConvAttrs{3, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}, 1},
       {X({1, 4, 5, 6, 8}), W({16, 8, 3, 3, 3}), V(16)}},
      {"3d_many_planes",
       ConvAttrs{3, {3, 2, 2}, {1, 1, 1}, {1, 1, 1}, {2, 0, 1}, {0, 1, 0}, 1},
       {X({1, 50, 3, 4, 5}), W({6, 5, 3, 2, 2}), V(6)}},
      {"3d_strided",
       ConvAttrs{3, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1},
       {X({1, 5, 6, 7, 4}), W({8, 4, 3, 3, 3}), None()}},
  };
  cases.push_back(Extent("deep", Conv2(3, 3, 1, 1, 1, 1), {X({1, 3, 5, 1536}), W({20, 1536, 3, 3}), V(20)}));
  cases.push_back({"bench_htdemucs_encoder", Conv1(8, 4, 2), {X({1, 21495, 96}), W({192, 96, 8}), V(192)}, true});
  cases.push_back({"bench_htdemucs_rewrite", Conv1(1), {X({1, 85995, 48}), W({96, 48, 1}), V(96)}, true});
  cases.push_back(
      {"bench_mdx23c_3x3", Conv2(3, 3, 1, 1, 1, 1), {X({1, 128, 128, 128}), W({128, 128, 3, 3}), None()}, true});
  return cases;
}

Cases ConvTransposeCases() {
  return {
      {"k8s4",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 2}, 1},
       {X({1, 13, 24}), W({24, 12, 8}), V(12)}},
      {"k8s4_uncropped",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({2, 5, 8}), W({8, 17, 8}), V(17)}},
      {"2d_2x2s2",
       ConvTransposeAttrs{2, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 5, 7, 16}), W({16, 32, 2, 2}), None()}},
      {"2d_5x5s2",
       ConvTransposeAttrs{2, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {0, 1, 1}, 1},
       {X({1, 6, 7, 16}), W({16, 8, 5, 5}), V(8)}},
      {"2d_1x8s4",
       ConvTransposeAttrs{2, {1, 1, 8}, {1, 1, 4}, {0, 0, 2}, {0, 0, 2}, 1},
       {X({1, 3, 8, 16}), W({16, 8, 1, 8}), V(8)}},
      {"2d_depthwise",
       ConvTransposeAttrs{2, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 0}, 16},
       {X({1, 4, 8, 16}), W({16, 1, 1, 3}), None()}},
      {"2d_grouped",
       ConvTransposeAttrs{2, {1, 1, 5}, {1, 1, 2}, {0, 0, 2}, {0, 0, 2}, 2},
       {X({1, 4, 9, 16}), W({16, 8, 1, 5}), V(16)}},
      {"2d_3x3_dense",
       ConvTransposeAttrs{2, {1, 3, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1}, 1},
       {X({1, 4, 9, 8}), W({8, 8, 3, 3}), V(8)}},
      {"2d_5x5s2_few_outputs",
       ConvTransposeAttrs{2, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {0, 1, 1}, 1},
       {X({2, 5, 11, 32}), W({32, 2, 5, 5}), V(2)}},
      {"2d_4x5s2_few_outputs_grouped",
       ConvTransposeAttrs{2, {1, 4, 5}, {1, 1, 2}, {0, 1, 0}, {0, 2, 3}, 2},
       {X({1, 4, 9, 64}), W({64, 3, 4, 5}), None()}},
      {"3d",
       ConvTransposeAttrs{3, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 3, 4, 5, 8}), W({8, 6, 2, 2, 2}), V(6)}},
      Extent("deep", ConvTransposeAttrs{2, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 1},
             {X({1, 3, 5, 1536}), W({1536, 20, 3, 3}), V(20)}),
      {"bench_htdemucs_decoder",
       ConvTransposeAttrs{1, {1, 1, 8}, {1, 1, 4}, {0, 0, 0}, {0, 0, 0}, 1},
       {X({1, 21499, 96}), W({96, 48, 8}), V(48)},
       true},
  };
}

Cases LinearCases() {
  return {
      {"small", LinearAttrs{}, {X({3, 5}), W({7, 5}), V(7)}},
      {"batch", LinearAttrs{}, {X({2, 9, 64}), W({96, 64}), V(96)}},
      {"no_bias", LinearAttrs{}, {X({1, 31, 33}), W({65, 33}), None()}},
      {"one_row", LinearAttrs{}, {X({1, 1, 256}), W({96, 256}), V(96)}},
      {"grouped", LinearAttrs{.groups = 8}, {X({1, 6, 64}), W({8, 4, 8}), None()}},
      {"grouped_wide", LinearAttrs{.groups = 4}, {X({2, 15, 64}), W({4, 60, 16}), V(240)}},
      {"many_rows", LinearAttrs{}, {X({1, 700, 5}), W({6, 5}), V(6)}},
      {"axis2", LinearAttrs{.axis = -2}, {X({2, 3, 32, 20}), W({8, 32}), None()}},
      {"axis2_bias", LinearAttrs{.axis = -2}, {X({1, 4, 17, 5}), W({33, 17}), V(33)}},
      Extent("deep", LinearAttrs{}, {X({1, 3, 16384}), W({20, 16384}), V(20)}),
      Extent("axis2_deep", LinearAttrs{.axis = -2}, {X({1, 16384, 5}), W({20, 16384}), V(20)}),
      {"bench_512x2048", LinearAttrs{}, {X({1, 2688, 512}), W({2048, 512}), V(2048)}, true},
      {"bench_2048x512", LinearAttrs{}, {X({1, 2688, 2048}), W({512, 2048}), V(512)}, true},
      {"bench_axis2", LinearAttrs{.axis = -2}, {X({1, 256, 256, 128}), W({64, 256}), None()}, true},
  };
}

Cases MatMulCases() {
  return {
      {"plain", MatMulAttrs{}, {X({2, 5, 7}), X({2, 7, 9})}},
      {"transposed", MatMulAttrs{.transpose_b = true, .scale = 0.125f}, {X({1, 3, 17, 32}), X({1, 3, 19, 32})}},
      {"constant", MatMulAttrs{}, {X({40, 96}), W({96, 32})}},
      Extent("deep", MatMulAttrs{}, {X({1, 5, 16384}), X({1, 16384, 20})}),
  };
}

Cases AttentionCases() {
  return {
      {"one_head", AttentionAttrs{1, 0.25f}, {X({1, 5, 16}), X({1, 7, 16}), X({1, 7, 16})}},
      {"heads", AttentionAttrs{4, 0.3535534f}, {X({2, 37, 32}), X({2, 37, 32}), X({2, 37, 32})}},
      {"cross", AttentionAttrs{8, 0.125f}, {X({1, 70, 512}, -3, 3), X({1, 131, 512}, -3, 3), X({1, 131, 512})}},
      {"causal", AttentionAttrs{2, 0.5f, true}, {X({1, 9, 8}), X({1, 9, 8}), X({1, 9, 8})}},
      {"causal_cached", AttentionAttrs{2, 0.5f, true}, {X({1, 3, 8}), X({1, 9, 8}), X({1, 9, 8})}},
      {"sharp", AttentionAttrs{1, 8.0f}, {X({1, 20, 8}, -4, 4), X({1, 40, 8}, -4, 4), X({1, 40, 8})}},
      Extent("many_keys", AttentionAttrs{1, 0.125f},
             {X({1, 40, 64}, -3, 3), X({1, 8192, 64}, -3, 3), X({1, 8192, 64})}),
      {"bench_htdemucs", AttentionAttrs{8, 0.125f}, {X({1, 1344, 512}), X({1, 1344, 512}), X({1, 1344, 512})}, true},
  };
}

Cases NormCases() {
  return {
      {"layer", NormAttrs{1, 1u << 1}, {X({2, 9, 48}), V(48, 0.5f, 1.5f), V(48)}},
      {"layer_odd", NormAttrs{1, 1u << 1}, {X({1, 5, 7}, 9, 11), V(7), V(7)}},
      {"group1", NormAttrs{1, 0}, {X({2, 33, 24}), V(24), V(24)}},
      {"group4", NormAttrs{4, 0}, {X({1, 33, 32}), V(32), V(32)}},
      {"instance", NormAttrs{16, 0}, {X({2, 5, 9, 16}), V(16), V(16)}},
      {"instance_plain", NormAttrs{20, 0}, {X({1, 6, 7, 20}), None(), None()}},
      {"keep_rows", NormAttrs{1, 1u << 2}, {X({1, 12, 5, 6}), V(6), V(6)}},
      {"keep_rows_wide", NormAttrs{1, 1u << 2}, {X({2, 12, 8, 96}), V(96), V(96)}},
      {"keep_time", NormAttrs{1, 1u << 1}, {X({1, 7, 33, 16}), V(16), V(16)}},
      {"rms", NormAttrs{1, 1u << 1, 1e-6f, false}, {X({1, 5, 32}), V(32), None()}},
      {"offset", NormAttrs{1, 0}, {X({1, 200, 16}, 9, 11), V(16), V(16)}},
      {"narrow_long", NormAttrs{1, 0}, {X({1, 11003, 6}), V(6), V(6)}},
      Extent("many_rows", NormAttrs{1, 0}, {X({1, 85995, 96}), V(96), V(96)}),
      {"bench_layer", NormAttrs{1, 1u << 1}, {X({1, 2688, 512}), V(512), V(512)}, true},
      {"bench_instance", NormAttrs{128, 0}, {X({1, 256, 256, 128}), V(128), V(128)}, true},
  };
}

Cases BatchNormCases() {
  return {{"affine", BatchNormAttrs{}, {X({2, 5, 6, 24}), V(24), V(24, 0.5f, 2), V(24), V(24)}},
          {"narrow", BatchNormAttrs{}, {X({1, 6, 6, 2}), V(2), V(2, 0.5f, 2), V(2), V(2)}},
          {"plain", BatchNormAttrs{1e-3f}, {X({1, 5, 7}), V(7), V(7, 0.5f, 2), None(), None()}},
          {"many_rows", BatchNormAttrs{}, {X({1, 700, 3}), V(3), V(3, 0.5f, 2), V(3), V(3)}}};
}

Cases UnaryCases() {
  struct Range {
    UnaryFn fn;
    float lo, hi, alpha, beta;
  };
  const Range ranges[] = {
      {UnaryFn::kIdentity, -1, 1, 0, 0},  {UnaryFn::kRelu, -1, 1, 0, 0},   {UnaryFn::kLeakyRelu, -1, 1, 0.2f, 0},
      {UnaryFn::kElu, -6, 2, 1, 0},       {UnaryFn::kGelu, -7, 7, 0, 0},   {UnaryFn::kSilu, -20, 20, 0, 0},
      {UnaryFn::kSigmoid, -30, 30, 0, 0}, {UnaryFn::kTanh, -6, 6, 0, 0},   {UnaryFn::kExp, -20, 4, 0, 0},
      {UnaryFn::kLog, 1e-6f, 10, 0, 0},   {UnaryFn::kSqrt, 0, 10, 0, 0},   {UnaryFn::kRsqrt, 0.01f, 10, 0, 0},
      {UnaryFn::kAbs, -1, 1, 0, 0},       {UnaryFn::kNeg, -1, 1, 0, 0},    {UnaryFn::kSquare, -3, 3, 0, 0},
      {UnaryFn::kSin, -6, 6, 0, 0},       {UnaryFn::kCos, -6, 6, 0, 0},    {UnaryFn::kSnake, -3, 3, 0.7f, 0},
      {UnaryFn::kClamp, -2, 2, -0.5f, 1}, {UnaryFn::kScale, -2, 2, 3, -1}, {UnaryFn::kPow, 0.01f, 2, 0.6f, 0},
  };
  Cases cases;
  for (const Range& r : ranges)
    cases.push_back({std::string(NameOf(r.fn)), UnaryAttrs{r.fn, r.alpha, r.beta}, {X({3, 41}, r.lo, r.hi)}});
  cases.push_back({"many", UnaryAttrs{UnaryFn::kTanh}, {X({2, 1501}, -6, 6)}});
  cases.push_back({"bench_gelu", UnaryAttrs{UnaryFn::kGelu}, {X({1, 2688, 2048}, -4, 4)}, true});
  return cases;
}

Cases BinaryCases() {
  Cases cases;
  for (const BinaryFn fn : {BinaryFn::kAdd, BinaryFn::kSub, BinaryFn::kMul, BinaryFn::kDiv, BinaryFn::kMax,
                            BinaryFn::kMin, BinaryFn::kAtan2}) {
    const std::string name(NameOf(fn));
    const float lo = fn == BinaryFn::kDiv ? 0.5f : -1;
    cases.push_back({name, BinaryAttrs{fn}, {X({2, 9, 13}), X({2, 9, 13}, lo, 2)}});
    cases.push_back({name + "_features", BinaryAttrs{fn}, {X({2, 9, 13}), X({13}, lo, 2)}});
    cases.push_back({name + "_scalar", BinaryAttrs{fn}, {X({2, 9, 13}), X({1}, lo, 2)}});
    cases.push_back({name + "_middle", BinaryAttrs{fn}, {X({2, 4, 9, 8}), X({2, 1, 9, 1}, lo, 2)}});
    cases.push_back({name + "_pairs", BinaryAttrs{fn}, {X({2, 9, 13, 2}), X({2, 9, 13, 1}, lo, 2)}});
    cases.push_back({name + "_left", BinaryAttrs{fn}, {X({1, 9, 1}), X({3, 9, 5}, lo, 2)}});
  }
  cases.push_back({"complex", BinaryAttrs{BinaryFn::kComplexMul}, {X({3, 5, 2}), X({3, 5, 2})}});
  cases.push_back({"complex_left", BinaryAttrs{BinaryFn::kComplexMul}, {X({3, 1, 2}), X({3, 5, 2})}});
  cases.push_back({"bench_add", BinaryAttrs{BinaryFn::kAdd}, {X({1, 85995, 48}), X({1, 85995, 48})}, true});
  return cases;
}

Cases PReluCases() {
  return {{"one", NoAttrs{}, {X({2, 5, 9}), V(1)}},
          {"each", NoAttrs{}, {X({2, 5, 9}), V(9)}},
          {"many_rows", NoAttrs{}, {X({1, 700, 3}), V(3)}}};
}
Cases GluCases() {
  return {{"small", NoAttrs{}, {X({2, 5, 6}, -9, 9)}},
          {"wide", NoAttrs{}, {X({1, 7, 96}, -9, 9)}},
          {"many_rows", NoAttrs{}, {X({1, 700, 6}, -9, 9)}}};
}
Cases SoftmaxCases() {
  return {{"small", NoAttrs{}, {X({3, 5}, -9, 9)}},
          {"wide", NoAttrs{}, {X({2, 7, 100}, -30, 30)}},
          Extent("long", NoAttrs{}, {X({2, 100003}, -9, 9)})};
}

Cases ReduceCases() {
  Cases cases;
  int i = 0;
  for (const ReduceFn fn : {ReduceFn::kSum, ReduceFn::kMean, ReduceFn::kMax, ReduceFn::kMin, ReduceFn::kStd}) {
    const std::string name = "fn" + std::to_string(i++);
    cases.push_back({name + "_all", ReduceAttrs{fn, 0b1110, 1}, {X({2, 5, 6, 7})}});
    cases.push_back({name + "_last", ReduceAttrs{fn, 0b100, 1}, {X({2, 5, 37})}});
    cases.push_back({name + "_middle", ReduceAttrs{fn, 0b010, 0}, {X({2, 5, 37})}});
  }
  cases.push_back(Extent("spectrogram", ReduceAttrs{ReduceFn::kStd, 0b1110, 1}, {X({1, 336, 2048, 4})}));
  return cases;
}

Cases ReshapeCases() { return {{"merge", ReshapeAttrs{Shape{2, 15}}, {X({2, 3, 5})}}}; }
Cases TransposeCases() {
  return {{"matrix", TransposeAttrs{{1, 0}}, {X({33, 17})}},
          {"swap_inner", TransposeAttrs{{0, 2, 1}}, {X({2, 33, 70})}},
          {"swap_outer", TransposeAttrs{{0, 2, 1, 3}}, {X({2, 5, 7, 24})}},
          {"reverse", TransposeAttrs{{3, 2, 1, 0}}, {X({2, 3, 4, 5})}}};
}
Cases SliceCases() {
  return {{"last", SliceAttrs{2, 1, 4, 1}, {X({2, 5, 6})}},
          {"first", SliceAttrs{0, 1, 2, 1}, {X({2, 5, 6})}},
          {"step", SliceAttrs{1, 0, 5, 2}, {X({2, 5, 6})}},
          {"many_rows", SliceAttrs{2, 1, 4, 1}, {X({1, 700, 5})}}};
}
Cases ConcatCases() {
  return {{"features", ConcatAttrs{2}, {X({2, 5, 6}), X({2, 5, 3})}},
          {"rows", ConcatAttrs{1}, {X({2, 5, 6}), X({2, 1, 6}), X({2, 2, 6})}},
          {"many_rows", ConcatAttrs{2}, {X({1, 700, 2}), X({1, 700, 3})}}};
}
Cases PadCases() {
  return {{"zero", PadAttrs{1, 2, 3, PadMode::kZero}, {X({2, 5, 6})}},
          {"reflect", PadAttrs{1, 4, 3, PadMode::kReflect}, {X({2, 5, 6})}},
          {"replicate", PadAttrs{2, 7, 8, PadMode::kReplicate}, {X({2, 5, 6})}},
          {"many_rows", PadAttrs{2, 1, 1, PadMode::kReflect}, {X({1, 700, 3})}}};
}
Cases UpsampleCases() {
  return {{"rows", UpsampleAttrs{1, 2}, {X({2, 5, 6})}},
          {"features", UpsampleAttrs{2, 3}, {X({2, 5, 6})}},
          {"many_rows", UpsampleAttrs{2, 2}, {X({1, 700, 3})}}};
}

OpCase::Input Window(int64_t n) { return {Shape{n}, true, 0.1f, 1.0f}; }
Cases StftCases() {
  return {{"512", StftAttrs{512, 256, 1}, {X({1, 1500, 1}), Window(512)}},
          {"960", StftAttrs{960, 480, 0.5f}, {X({1, 2880, 1}), Window(960)}},
          {"64_stereo", StftAttrs{64, 16, 0.125f}, {X({2, 200, 2}), Window(64)}},
          {"short_window", StftAttrs{64, 16, 1}, {X({1, 200, 3}), Window(48)}},
          Extent("8192", StftAttrs{8192, 1024, 1}, {X({1, 9216, 1}), Window(8192)}),
          {"bench_htdemucs", StftAttrs{4096, 1024, 1 / 64.0f}, {X({1, 350208, 2}), Window(4096)}, true}};
}
Cases IstftCases() {
  return {
      {"512", IstftAttrs{512, 256, 256, 1024, 1, true}, {X({1, 5, 257, 2}), Window(512)}},
      {"960_raw", IstftAttrs{960, 480, 0, 2880, 2, false}, {X({1, 5, 481, 2}), Window(960)}},
      {"64_stereo", IstftAttrs{64, 16, 32, 100, 8, true}, {X({2, 9, 33, 4}), Window(64)}},
      Extent("8192", IstftAttrs{8192, 1024, 7168, 1024, 1, true}, {X({1, 9, 4097, 2}), Window(8192)}),
      {"bench_htdemucs", IstftAttrs{4096, 1024, 2048, 343980, 64, true}, {X({1, 340, 2049, 4}), Window(4096)}, true}};
}

Cases RnnCases(int64_t gates, int states) {
  Cases cases;
  struct Size {
    const char* name;
    int64_t n, t, i, h;
    bool reverse, bias, extent = false;
  };
  for (const Size& s : {Size{"one_step", 1, 1, 16, 16, false, true}, Size{"steps", 2, 9, 5, 7, false, true},
                        Size{"reverse", 1, 8, 8, 8, true, true}, Size{"no_bias", 1, 4, 33, 20, false, false},
                        Size{"many_rows", 40, 5, 16, 8, false, true}, Size{"wide", 1, 6, 256, 256, false, true},
                        Size{"many_steps", 2, 20000, 4, 8, false, true, true},
                        Size{"many_steps_reverse", 1, 20000, 4, 8, true, true, true},
                        Size{"wide_steps", 1, 64, 256, 256, false, true, true}}) {
    OpCase c{s.name, RnnAttrs{s.reverse}, {X({s.n, s.t, s.i}), W({gates * s.h, s.i}), W({gates * s.h, s.h})}};
    for (int b = 0; b < 2; ++b) c.inputs.push_back(s.bias ? V(gates * s.h) : None());
    for (int k = 0; k < states; ++k) c.inputs.push_back(X({s.n, s.h}));
    c.extent = s.extent;
    cases.push_back(std::move(c));
  }
  return cases;
}
Cases GruCases() { return RnnCases(3, 1); }
Cases LstmCases() { return RnnCases(4, 2); }
Cases CumulativeMeanCases() {
  return {{"features", CumulativeMeanAttrs{0.99f}, {X({2, 30, 33}, 0, 1), X({2, 33})}},
          Extent("many_steps", CumulativeMeanAttrs{0.99f}, {X({1, 70000, 3}, 0, 1), X({1, 3})})};
}
OpCase::Input Filter() { return {Shape{12}, true, -0.1f, 0.3f}; }
OpCase SnakeCase(std::string name, int64_t n, int64_t t, int64_t c) {
  return {std::move(name), NoAttrs{}, {X({n, t, c}), V(c, 0.5f, 3), V(c, 0.2f, 1), Filter(), Filter()}};
}
Cases AliasFreeSnakeCases() {
  Cases cases{SnakeCase("one_sample", 1, 1, 3),    SnakeCase("short", 2, 5, 16),  SnakeCase("odd", 1, 70, 7),
              SnakeCase("two_blocks", 2, 131, 24), SnakeCase("wide", 1, 33, 100), SnakeCase("bench_24", 1, 48000, 24)};
  cases.back().benchmark = true;
  cases.push_back(
      {"other_taps",
       NoAttrs{},
       {X({1, 9, 8}), V(8, 0.5f, 3), V(8, 0.2f, 1), {Shape{6}, true, -0.1f, 0.3f}, {Shape{6}, true, -0.1f, 0.3f}}});
  // Phases of many turns: the sine's argument is reduced.
  cases.push_back({"fast_phase", NoAttrs{}, {X({1, 40, 16}, -9, 9), V(16, 5, 20), V(16, 0.2f, 1), Filter(), Filter()}});
  return cases;
}

constexpr double kProduct = 8, kElement = 8, kCopy = 0;

const OpRow kTable[] = {
    {Op::kConv, "conv", InferConv, Oracle<Op::kConv>, ConvFlops, kProduct, ConvTerms, ConvCases},
    {Op::kConvTranspose, "conv_transpose", InferConvTranspose, Oracle<Op::kConvTranspose>, ConvTransposeFlops, kProduct,
     ConvTransposeTerms, ConvTransposeCases},
    {Op::kLinear, "linear", InferLinear, Oracle<Op::kLinear>, LinearFlops, kProduct, LinearTerms, LinearCases},
    {Op::kMatMul, "matmul", InferMatMul, Oracle<Op::kMatMul>, MatMulFlops, kProduct, MatMulTerms, MatMulCases},
    {Op::kAttention, "attention", InferAttention, Oracle<Op::kAttention>, AttentionFlops, kProduct, AttentionTerms,
     AttentionCases},
    {Op::kNorm, "norm", InferNorm, Oracle<Op::kNorm>, NormFlops, kProduct, NormTerms, NormCases},
    {Op::kBatchNorm, "batch_norm", InferBatchNorm, Oracle<Op::kBatchNorm>, OneEach, kElement, OneTerm, BatchNormCases},
    {Op::kUnary, "unary", InferSame, Oracle<Op::kUnary>, OneEach, kElement, OneTerm, UnaryCases},
    {Op::kBinary, "binary", InferBinary, Oracle<Op::kBinary>, OneEach, kElement, OneTerm, BinaryCases},
    {Op::kPRelu, "prelu", InferPRelu, Oracle<Op::kPRelu>, OneEach, kElement, OneTerm, PReluCases},
    {Op::kGlu, "glu", InferGlu, Oracle<Op::kGlu>, OneEach, kElement, OneTerm, GluCases},
    {Op::kSoftmax, "softmax", InferSame, Oracle<Op::kSoftmax>, OneEach, kElement, OneTerm, SoftmaxCases},
    {Op::kReduce, "reduce", InferReduce, Oracle<Op::kReduce>, ReduceFlops, kProduct, ReduceTerms, ReduceCases},
    {Op::kReshape, "reshape", InferReshape, Oracle<Op::kReshape>, NoFlops, kCopy, OneTerm, ReshapeCases},
    {Op::kTranspose, "transpose", InferTranspose, Oracle<Op::kTranspose>, NoFlops, kCopy, OneTerm, TransposeCases},
    {Op::kSlice, "slice", InferSlice, Oracle<Op::kSlice>, NoFlops, kCopy, OneTerm, SliceCases},
    {Op::kConcat, "concat", InferConcat, Oracle<Op::kConcat>, NoFlops, kCopy, OneTerm, ConcatCases},
    {Op::kPad, "pad", InferPad, Oracle<Op::kPad>, NoFlops, kCopy, OneTerm, PadCases},
    {Op::kUpsample, "upsample", InferUpsample, Oracle<Op::kUpsample>, NoFlops, kCopy, OneTerm, UpsampleCases},
    {Op::kStft, "stft", InferStft, Oracle<Op::kStft>, StftFlops, kProduct, StftTerms, StftCases},
    {Op::kIstft, "istft", InferIstft, Oracle<Op::kIstft>, IstftFlops, kProduct, StftTerms, IstftCases},
    {Op::kGru, "gru", InferGru, Oracle<Op::kGru>, RnnFlops, kProduct, RnnTerms, GruCases},
    {Op::kLstm, "lstm", InferLstm, Oracle<Op::kLstm>, RnnFlops, kProduct, RnnTerms, LstmCases},
    {Op::kCumulativeMean, "cumulative_mean", InferCumulativeMean, Oracle<Op::kCumulativeMean>, CumulativeMeanFlops,
     kElement, CumulativeMeanTerms, CumulativeMeanCases},
    {Op::kAliasFreeSnake, "alias_free_snake", InferAliasFreeSnake, Oracle<Op::kAliasFreeSnake>, AliasFreeSnakeFlops,
     kProduct, AliasFreeSnakeTerms, AliasFreeSnakeCases},
};
static_assert(std::size(kTable) == static_cast<size_t>(Op::kCount));

}  // namespace

const OpRow& RowOf(Op op) { return kTable[static_cast<size_t>(op)]; }
std::span<const OpRow> OpTable() { return kTable; }
std::string_view NameOf(Op op) { return op == Op::kCount ? "none" : RowOf(op).name; }

std::string_view NameOf(UnaryFn fn) {
  static constexpr std::string_view kNames[] = {"identity", "relu", "leaky_relu", "elu",   "gelu",  "silu",  "sigmoid",
                                                "tanh",     "exp",  "log",        "sqrt",  "rsqrt", "abs",   "neg",
                                                "square",   "sin",  "cos",        "snake", "clamp", "scale", "pow"};
  return kNames[static_cast<size_t>(fn)];
}

std::string_view NameOf(BinaryFn fn) {
  static constexpr std::string_view kNames[] = {"add", "sub", "mul", "div", "max", "min", "complex_mul", "atan2"};
  return kNames[static_cast<size_t>(fn)];
}

}  // namespace timbre
