#include "runtime/check/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/cpu/half_micro.h"

namespace timbre {
namespace {

// The largest euclidean length of `rows` vectors, `step` apart.
double LongestOf(const float* x, int64_t rows, int64_t step, int64_t count) {
  double longest = 0;
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[r * step + i]) * x[r * step + i];
    longest = std::max(longest, sum);
  }
  return std::sqrt(longest);
}

// What Allowance is more by where factors are rounded, and where sums are made of halves. A rounding is off by at most
// u of the value, 2^-11 for a half and 2^-8 for a bfloat16, and by u / sqrt(3) in the mean square. Both factors of
// every product are rounded, which makes sqrt(2 / 3) u of a sum of independent terms. Halves are besides added up in
// runs, whose partial sum after i steps has sqrt(i) times a product's size, and step i is rounded: sqrt((2 + run / 2) /
// 3) u; runs, and products of bfloat16, are added up in float32. Where a factor is the sum of two bfloat16, the second
// holds the first's rounding but for u / sqrt(3) of it, and the product of both second ones is left out: sqrt(3) u^2
// / 3. Six of those standard deviations are allowed, which one normal deviate in 5e8 exceeds.
double NarrowAllowance(const Graph& graph, const Node& node, Precision precision, std::span<const float* const> in) {
  constexpr double kHalf = 1.0 / 2048, kBf16 = 1.0 / 256, kDeviations = 6;
  const auto sum = [&](double terms) {
    switch (precision) {
      case Precision::kF32: break;
      case Precision::kF16: return kDeviations * kHalf * std::sqrt((2 + std::min<double>(terms, kHalfRun) / 2) / 3);
      case Precision::kBf16x3: return kDeviations * kBf16 * kBf16 / std::sqrt(3.0);
      case Precision::kBf16: return kDeviations * kBf16 * std::sqrt(2.0 / 3);
    }
    return 0.0;
  };
  double relative = 0;
  switch (node.op) {
    case Op::kConv:
    case Op::kConvTranspose:
    case Op::kLinear:
    case Op::kMatMul: relative = sum(kHalfRun); break;
    case Op::kAttention: {
      // An error of a score is one of the exponent. It is relative to what a score of independent terms would be.
      const auto& attrs = node.As<AttentionAttrs>();
      const int64_t features = graph.shape(node.inputs[0])[-1], head = features / attrs.heads;
      double score = 0;
      for (int64_t h = 0; h < attrs.heads && in.size() >= 2; ++h) {
        const auto longest = [&](int i) {
          return LongestOf(in[i] + h * head, graph.shape(node.inputs[i]).elements() / features, features, head);
        };
        score = std::max(score, attrs.scale * longest(0) * longest(1) / std::sqrt(static_cast<double>(head)));
      }
      relative = sum(kHalfRun) + std::expm1(sum(static_cast<double>(head)) * score);
      break;
    }
    case Op::kGru: {
      // The state's weights alone are rounded. A gate's error is that of a sum as long as its row of them, and of the
      // step before as much error is kept as of its state.
      const int64_t hidden = graph.shape(node.inputs[2])[1];
      const double u = precision == Precision::kF16 ? kHalf : kBf16;
      const bool known = in.size() > 2 && in[2] != nullptr;
      const double row = known ? LongestOf(in[2], 3 * hidden, hidden, hidden) : 1;
      relative = kDeviations * u / std::sqrt(3.0) * std::max(1.0, row);
      break;
    }
    default: break;
  }
  return relative / std::numeric_limits<float>::epsilon();
}

bool Has(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != kNoTensor; }

// The result with every input squared, and its root: of a sum of products, the size of a sum of independent ones.
Tensor64 RootOfSquares(const Graph& graph, Node node, const OracleValues& values, const Scalars& scalars) {
  if (node.op == Op::kMatMul) std::get<MatMulAttrs>(node.attrs).scale *= node.As<MatMulAttrs>().scale;
  OracleValues squared;
  for (const TensorId id : node.inputs) {
    if (id == kNoTensor || squared.contains(id)) continue;
    Tensor64& square = squared[id] = values.at(id);
    for (double& v : square.data) v *= v;
  }
  RunOracle(graph, node, scalars, squared);
  Tensor64 root = std::move(squared.at(node.outputs[0]));
  for (double& v : root.data) v = std::sqrt(v);
  return root;
}

// A norm's statistics: of each row those that it belongs to, as an index that `groups` sets follow on.
struct NormSets {
  const NormAttrs& attrs;
  int64_t features, rows, sets = 1;
  std::vector<int64_t> of_row;

  NormSets(const NormAttrs& a, const Shape& s)
      : attrs(a), features(s.back()), rows(s.elements() / std::max<int64_t>(1, s.back())), of_row(rows) {
    for (int i = 0; i < s.rank() - 1; ++i) {
      const bool kept = i == 0 || (a.keep >> i & 1) != 0;
      if (!kept) continue;
      const int64_t stride = s.stride(i) / features;
      for (int64_t r = 0; r < rows; ++r) of_row[r] = of_row[r] * s[i] + r / stride % s[i];
      sets *= s[i];
    }
    sets *= a.groups;
  }
  // Of element `i`.
  int64_t At(int64_t i) const { return of_row[i / features] * attrs.groups + i % features / (features / attrs.groups); }
  double count() const { return static_cast<double>(rows * features) / static_cast<double>(sets); }
  // For each set the mean of f(element).
  template <typename F>
  std::vector<double> Means(const F& f) const {
    std::vector<double> means(static_cast<size_t>(sets));
    for (int64_t i = 0; i < rows * features; ++i) means[At(i)] += f(i) / count();
    return means;
  }
};

// What a norm does: y = (x - mean) gain + beta.
struct NormMade {
  NormSets sets;
  const std::vector<double>& x;
  std::vector<double> mean, rstd;
  const Tensor64 *gamma = nullptr, *beta = nullptr;

  NormMade(const Node& node, const OracleValues& values)
      : sets(node.As<NormAttrs>(), values.at(node.inputs[0]).shape), x(values.at(node.inputs[0]).data) {
    if (Has(node, 1)) gamma = &values.at(node.inputs[1]);
    if (Has(node, 2)) beta = &values.at(node.inputs[2]);
    mean.resize(static_cast<size_t>(sets.sets));
    if (sets.attrs.subtract_mean) mean = sets.Means([&](int64_t i) { return x[i]; });
    rstd = sets.Means([&](int64_t i) { return (x[i] - mean[sets.At(i)]) * (x[i] - mean[sets.At(i)]); });
    for (double& r : rstd) r = 1 / std::sqrt(r + static_cast<double>(sets.attrs.eps));
  }
  double Gain(int64_t i) const {
    return rstd[sets.At(i)] * (gamma == nullptr ? 1.0 : std::abs(gamma->data[i % sets.features]));
  }
};

// A Fourier transform's window: `i` counts from the beginning of a frame.
double WindowAt(const Tensor64& window, int64_t n_fft, int64_t i) {
  const int64_t size = window.shape.back(), at = i - (n_fft - size) / 2;
  return at < 0 || at >= size ? 0.0 : window.data[at];
}

// Every bin of a frame is a sum over all of its samples, and may be off by what the frame holds: of one loud frame
// among silent ones that is more than the size of the whole result shows.
std::vector<double> StftTerms(const Node& node, const OracleValues& values) {
  const auto& a = node.As<StftAttrs>();
  const Tensor64 &x = values.at(node.inputs[0]), &window = values.at(node.inputs[1]), &y = values.at(node.outputs[0]);
  const int64_t samples = x.shape[1], channels = x.shape[2], frames = y.shape[1], features = y.shape.back();
  std::vector<double> terms(y.data.size());
  for (int64_t row = 0; row < y.shape[0] * frames; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      double power = 0;
      for (int64_t i = 0; i < a.n_fft; ++i) {
        const double v =
            WindowAt(window, a.n_fft, i) * x.data[(row / frames * samples + row % frames * a.hop + i) * channels + c];
        power += v * v;
      }
      for (int64_t k = 0; k < y.shape[2]; ++k) {
        double* const bin = terms.data() + (row * y.shape[2] + k) * features + 2 * c;
        bin[0] = bin[1] = std::sqrt(power) * std::abs(static_cast<double>(a.scale));
      }
    }
  }
  return terms;
}

// And every sample of an inverse frame one over all of its bins.
std::vector<double> IstftTerms(const Node& node, const OracleValues& values) {
  const auto& a = node.As<IstftAttrs>();
  const Tensor64 &z = values.at(node.inputs[0]), &window = values.at(node.inputs[1]), &y = values.at(node.outputs[0]);
  const int64_t frames = z.shape[1], bins = z.shape[2], channels = y.shape[2];
  std::vector<double> terms(y.data.size());
  std::vector<double> sum(static_cast<size_t>((frames - 1) * a.hop + a.n_fft)), squares(sum.size());
  for (int64_t n = 0; n < z.shape[0]; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(squares.begin(), squares.end(), 0.0);
      for (int64_t f = 0; f < frames; ++f) {
        double power = 0;
        for (int64_t k = 0; k < bins; ++k) {
          const double* const bin = z.data.data() + ((n * frames + f) * bins + k) * 2 * channels + 2 * c;
          power += (k == 0 || 2 * k == a.n_fft ? 1 : 2) * (bin[0] * bin[0] + bin[1] * bin[1]);
        }
        const double size = std::sqrt(power) / a.n_fft * std::abs(static_cast<double>(a.scale));
        for (int64_t i = 0; i < a.n_fft; ++i) {
          const double w = WindowAt(window, a.n_fft, i);
          sum[f * a.hop + i] += size * std::abs(w);
          squares[f * a.hop + i] += w * w;
        }
      }
      for (int64_t i = 0; i < a.length; ++i) {
        terms[(n * a.length + i) * channels + c] = sum[a.crop + i] / (a.normalize ? squares[a.crop + i] : 1.0);
      }
    }
  }
  return terms;
}

// By how much a result's own arithmetic may be off: the size of each element, as `Allowance` means it.
std::vector<double> SizesOf(const Graph& graph, const Node& node, size_t output, const OracleValues& values,
                            const Scalars& scalars) {
  std::vector<double> sizes = values.at(node.outputs[output]).data;
  double power = 0;
  for (double& v : sizes) power += v * v, v = std::abs(v);
  const double rms = std::sqrt(power / static_cast<double>(std::max<size_t>(1, sizes.size())));
  std::vector<double> terms(sizes.size());
  switch (node.op) {
    case Op::kConv:
    case Op::kConvTranspose:
    case Op::kLinear:
    case Op::kMatMul: terms = RootOfSquares(graph, node, values, scalars).data; break;
    case Op::kStft: terms = StftTerms(node, values); break;
    case Op::kIstft: terms = IstftTerms(node, values); break;
    case Op::kReduce: {
      const auto& attrs = node.As<ReduceAttrs>();
      if (attrs.fn == ReduceFn::kMax || attrs.fn == ReduceFn::kMin) break;
      Node sum = node;
      std::get<ReduceAttrs>(sum.attrs).fn = ReduceFn::kSum;
      terms = RootOfSquares(graph, sum, values, scalars).data;
      const double count = static_cast<double>(graph.shape(node.inputs[0]).elements()) /
                           static_cast<double>(std::max<size_t>(1, terms.size()));
      for (double& v : terms)
        v /= attrs.fn == ReduceFn::kMean ? count : attrs.fn == ReduceFn::kStd ? std::sqrt(count) : 1;
      break;
    }
    case Op::kNorm: {
      const NormMade made(node, values);
      for (size_t i = 0; i < terms.size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        terms[i] = (std::abs(made.x[i]) + std::abs(made.mean[made.sets.At(at)])) * made.Gain(at);
        if (made.beta != nullptr) terms[i] += std::abs(made.beta->data[i % made.sets.features]);
      }
      break;
    }
    case Op::kBatchNorm: {
      const std::vector<double>& x = values.at(node.inputs[0]).data;
      const auto of = [&](size_t k, size_t f, double otherwise) {
        return Has(node, k) ? values.at(node.inputs[k]).data[f] : otherwise;
      };
      for (size_t i = 0; i < terms.size(); ++i) {
        const size_t f = i % static_cast<size_t>(graph.shape(node.outputs[0]).back());
        const double gain = of(3, f, 1) / std::sqrt(of(2, f, 1) + static_cast<double>(node.As<BatchNormAttrs>().eps));
        terms[i] = (std::abs(x[i]) + std::abs(of(1, f, 0))) * std::abs(gain) + std::abs(of(4, f, 0));
      }
      break;
    }
    default: break;
  }
  for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = std::max({sizes[i], rms, terms[i]});
  return sizes;
}

// What a part makes of the errors of its input `changed`.
std::vector<double> Carried(const Graph& graph, const Node& node, TensorId changed, const std::vector<double>& errors,
                            const OracleValues& values, const Scalars& scalars) {
  const Tensor64& y = values.at(node.outputs[0]);
  std::vector<double> carried(y.data.size());
  if (node.op == Op::kNorm) {
    // dy = gain (dx - mean(dx) - z mean(z dx)), where z is the normalised value.
    const NormMade made(node, values);
    const auto z = [&](int64_t i) {
      return std::abs(made.x[i] - made.mean[made.sets.At(i)]) * made.rstd[made.sets.At(i)];
    };
    const std::vector<double> mean = made.sets.Means([&](int64_t i) { return errors[i]; });
    const std::vector<double> along = made.sets.Means([&](int64_t i) { return z(i) * errors[i]; });
    for (int64_t i = 0; i < static_cast<int64_t>(carried.size()); ++i) {
      const int64_t set = made.sets.At(i);
      carried[i] = made.Gain(i) * (errors[i] + mean[set] + z(i) * along[set]);
    }
    return carried;
  }
  // Element by element, so that it can be tried: with all values too large, and too small; of a GLU one half at a time.
  const auto features = static_cast<size_t>(graph.shape(changed).back());
  for (const int half : node.op == Op::kGlu ? std::vector<int>{0, 1} : std::vector<int>{-1}) {
    std::vector<double> worst(carried.size());
    for (const double sign : {1.0, -1.0}) {
      OracleValues tried;
      for (const TensorId id : node.inputs) {
        if (id != kNoTensor) tried[id] = values.at(id);
      }
      std::vector<double>& x = tried.at(changed).data;
      for (size_t i = 0; i < x.size(); ++i) {
        if (half < 0 || (i % features >= features / 2) == (half == 1)) x[i] += sign * errors[i];
      }
      RunOracle(graph, node, scalars, tried);
      const std::vector<double>& moved = tried.at(node.outputs[0]).data;
      for (size_t i = 0; i < worst.size(); ++i) worst[i] = std::max(worst[i], std::abs(moved[i] - y.data[i]));
    }
    for (size_t i = 0; i < carried.size(); ++i) carried[i] += worst[i];
  }
  return carried;
}

}  // namespace

void RunOracle(const Graph& graph, const Node& node, const Scalars& scalars, OracleValues& values) {
  std::vector<const Tensor64*> in;
  for (const TensorId id : node.inputs) in.push_back(id == kNoTensor ? nullptr : &values.at(id));
  std::vector<Tensor64> out;
  for (const TensorId id : node.outputs) {
    const Shape& shape = graph.shape(id);
    out.push_back({shape, std::vector<double>(static_cast<size_t>(shape.elements()))});
  }
  RowOf(node.op).oracle(node.attrs, in, out, scalars);
  for (size_t i = 0; i < out.size(); ++i) values[node.outputs[i]] = std::move(out[i]);
}

double Allowance(const Graph& graph, const Node& node, Precision precision, std::span<const float* const> in) {
  std::vector<const Shape*> shapes;
  for (const TensorId id : node.inputs) shapes.push_back(id == kNoTensor ? nullptr : &graph.shape(id));
  const OpRow& row = RowOf(node.op);
  const double allowance = row.tolerance * (1 + std::sqrt(row.terms(node.attrs, shapes)));
  return precision == Precision::kF32 ? allowance : allowance + NarrowAllowance(graph, node, precision, in);
}

std::vector<Tensor64> ErrorsAllowed(const Graph& graph, const Node& node, const OracleValues& values,
                                    Precision precision, std::span<const float* const> in, const Scalars& scalars) {
  std::map<TensorId, std::vector<double>> errors;
  const auto add = [&](const Node& part) {
    const double own = Allowance(graph, part, precision, in) * std::numeric_limits<float>::epsilon();
    for (size_t o = 0; o < part.outputs.size(); ++o) {
      std::vector<double> sum = SizesOf(graph, part, o, values, scalars);
      for (double& e : sum) e *= own;
      for (const TensorId id : part.inputs) {
        const auto before = errors.find(id);
        if (before == errors.end()) continue;
        const std::vector<double> carried = Carried(graph, part, id, before->second, values, scalars);
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += carried[i];
      }
      errors[part.outputs[o]] = std::move(sum);
    }
  };
  if (node.composition.empty()) add(node);
  for (const Node& part : node.composition) add(part);
  std::vector<Tensor64> allowed;
  for (const TensorId id : node.outputs) allowed.push_back({graph.shape(id), std::move(errors.at(id))});
  return allowed;
}

}  // namespace timbre
