#include "graph/op_rules.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

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

}  // namespace

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

ShapesOr InferEmbedding(const Attrs&, Shapes in) {
  TIMBRE_RULE(Present(in, 0, 2) && in[1]->rank() == 2 && in[0]->rank() >= 1 && in[0]->rank() < Shape::kMaxRank,
              "an embedding of " + Text(in));
  Shape y = *in[0];
  y.push_back((*in[1])[1]);
  return std::vector<Shape>{y};
}

ShapesOr InferRotary(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<RotaryAttrs>(attrs);
  TIMBRE_RULE(
      Present(in, 0, 2) && in[0]->rank() == 3 && a.heads > 0 && (*in[0])[2] % a.heads == 0 && a.dims > 0 &&
          a.dims % 2 == 0 && a.dims <= (*in[0])[2] / a.heads && *in[1] == Shape{a.dims / 2} && a.first >= 0,
      "a rotation of " + std::to_string(a.dims) + " features of " + std::to_string(a.heads) + " heads of " + Text(in));
  const Shape& x = *in[0];
  TIMBRE_RULE(in.size() < 3 || !in[2] || *in[2] == Shape{x[1]} || *in[2] == (Shape{x[0], x[1]}),
              "positions for a rotation of " + Text(in));
  return std::vector<Shape>{x};
}
double RotaryFlops(const Attrs&, Shapes, std::span<const Shape> out) { return 3 * Elements(out); }

ShapesOr InferAttention(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<AttentionAttrs>(attrs);
  const std::string what =
      "attention with " + std::to_string(a.heads) + " heads on " + std::to_string(a.key_heads()) + " over " + Text(in);
  TIMBRE_RULE(Present(in, 0, 3) && in[0]->rank() == 3 && in[1]->rank() == 3 && *in[1] == *in[2], what);
  const Shape &q = *in[0], &k = *in[1];
  const int groups = a.key_heads();
  TIMBRE_RULE(q[0] == k[0] && a.heads > 0 && groups > 0 && a.heads % groups == 0 && q[2] % a.heads == 0 &&
                  k[2] % groups == 0 && q[2] / a.heads == k[2] / groups,
              what);
  TIMBRE_RULE(a.length >= -1 && a.length != 0 && a.length <= k[1] && a.block >= 1 && a.past >= -1 &&
                  (!a.causal || a.PastOf(q[1], k[1]) >= 0),
              what + ", of whose keys " + std::to_string(a.LengthOf(k[1])) + " are valid");
  return std::vector<Shape>{q};
}
double AttentionTerms(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<AttentionAttrs>(attrs);
  return static_cast<double>(a.LengthOf((*in[1])[1])) + static_cast<double>((*in[0])[2]) / a.heads;
}
double AttentionFlops(const Attrs& attrs, Shapes in, std::span<const Shape>) {
  return 4.0 * static_cast<double>(in[0]->elements()) *
         static_cast<double>(std::get<AttentionAttrs>(attrs).LengthOf((*in[1])[1]));
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

static bool HasAxis(Shapes in, int axis) { return Present(in, 0, 1) && axis >= 0 && axis < in[0]->rank(); }

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

static double FftFlops(double transforms, int n_fft) { return transforms * 2.5 * n_fft * std::log2(n_fft); }
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

static ShapesOr InferRnn(Shapes in, int gates, size_t states) {
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

static bool IsFilter(const Shape& s) { return s.rank() == 1 && s[0] >= 2 && s[0] % 2 == 0; }
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

ShapesOr InferStateWrite(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<StateWriteAttrs>(attrs);
  TIMBRE_RULE(HasAxis(in, a.axis) && Present(in, 1, 1) && in[1]->rank() == in[0]->rank(),
              "a write into a state of " + Text(in));
  Shape fits = *in[0];
  if (a.at != kNoScalar) fits[a.axis] = std::min(fits[a.axis], (*in[1])[a.axis]);
  TIMBRE_RULE(fits == *in[1], "a write into a state of " + Text(in));
  return std::vector<Shape>{*in[0]};
}

}  // namespace timbre
