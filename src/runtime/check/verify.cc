#include "runtime/check/verify.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/cpu/half_micro.h"

namespace timbre {
namespace {

void RunOracle(const Graph& graph, const Node& node, const Scalars& scalars, std::map<TensorId, Tensor64>& values) {
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

// What the tolerance allows, in units of eps times the value's size.
double Allowance(const Graph& graph, const Node& node) {
  std::vector<const Shape*> shapes;
  for (const TensorId id : node.inputs) shapes.push_back(id == kNoTensor ? nullptr : &graph.shape(id));
  const OpRow& row = RowOf(node.op);
  return row.tolerance * (1 + std::sqrt(row.terms(node.attrs, shapes)));
}

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

// The same where sums are made of halves. A rounding to a half is off by at most u = 2^-11 of the value, and by
// u / sqrt(3) in the mean square. Both factors of every product are rounded; and within a run of the sum, whose partial
// sum after i steps has sqrt(i) times a product's size, step i is. That makes sqrt((2 + run / 2) / 3) u of a sum of
// independent terms; runs are added up in float32. Six of those standard deviations are allowed, and what the float32
// arithmetic around it may be off.
double HalfAllowance(const Graph& graph, const Node& node, std::span<const float* const> in) {
  constexpr double kHalf = 1.0 / 2048, kDeviations = 6;
  const auto sum = [&](double terms) {
    return kDeviations * kHalf * std::sqrt((2 + std::min<double>(terms, kHalfRun) / 2) / 3);
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
    default: break;
  }
  return relative / std::numeric_limits<float>::epsilon();
}

// The size by which a sum's error is judged where its terms may cancel: that of a sum of independent ones. What the
// result happens to be says nothing then, a tensor of one value, as the mean of a signal is, least of all.
double SizeOfSum(const Graph& graph, const Node& node, std::span<const float* const> in) {
  if (node.op != Op::kReduce || in.empty() || in[0] == nullptr) return 0;
  const auto& attrs = node.As<ReduceAttrs>();
  if (attrs.fn != ReduceFn::kSum && attrs.fn != ReduceFn::kMean) return 0;
  const int64_t count = graph.shape(node.inputs[0]).elements();
  double power = 0;
  for (int64_t i = 0; i < count; ++i) power += static_cast<double>(in[0][i]) * in[0][i];
  const double results = static_cast<double>(std::max<int64_t>(1, graph.shape(node.outputs[0]).elements()));
  const double terms = static_cast<double>(count) / results;
  const double size = std::sqrt(power / results);  // sqrt(terms) times a term's
  return attrs.fn == ReduceFn::kMean ? size / std::max(1.0, terms) : size;
}

}  // namespace

std::vector<Tensor64> OracleOf(const Graph& graph, const Node& node, std::span<const float* const> in,
                               const Scalars& scalars) {
  const std::vector<uint32_t> defaults = ScalarDefaults(graph);
  const Scalars used = scalars.bits.empty() ? Scalars{defaults} : scalars;
  std::map<TensorId, Tensor64> values;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorId id = node.inputs[i];
    if (id == kNoTensor || in[i] == nullptr) continue;
    const Shape& shape = graph.shape(id);
    Tensor64& value = values[id] = {shape, std::vector<double>(in[i], in[i] + shape.elements())};
    if (graph.tensors[id].dtype != DType::kI32) continue;
    for (size_t k = 0; k < value.data.size(); ++k) value.data[k] = std::bit_cast<int32_t>(in[i][k]);
  }
  if (node.composition.empty()) {
    RunOracle(graph, node, used, values);
  } else {
    for (const Node& part : node.composition) RunOracle(graph, part, used, values);
  }
  std::vector<Tensor64> out;
  for (const TensorId id : node.outputs) out.push_back(std::move(values.at(id)));
  return out;
}

Deviation Compare(const Graph& graph, const Node& node, std::span<const float* const> out,
                  std::span<const Tensor64> expected, Precision precision, std::span<const float* const> in) {
  double allowance = 0;
  const auto add = [&](const Node& part) {
    allowance += Allowance(graph, part);
    if (precision == Precision::kF16) allowance += HalfAllowance(graph, part, in);
  };
  if (node.composition.empty()) add(node);
  for (const Node& part : node.composition) add(part);
  const double of_sum = SizeOfSum(graph, node.composition.empty() ? node : node.composition[0], in);
  Deviation deviation;
  double signal = 0, noise = 0;
  for (size_t o = 0; o < expected.size(); ++o) {
    const std::vector<double>& reference = expected[o].data;
    double power = 0;
    for (const double r : reference) power += r * r;
    const double rms = std::sqrt(power / static_cast<double>(std::max<size_t>(1, reference.size())));
    for (size_t i = 0; i < reference.size(); ++i) {
      const double error = std::abs(out[o][i] - reference[i]);
      const double allowed =
          allowance * std::numeric_limits<float>::epsilon() * std::max({std::abs(reference[i]), rms, of_sum}) + 1e-37;
      const double ratio = std::isfinite(out[o][i]) || !std::isfinite(reference[i]) ? error / allowed : INFINITY;
      if (ratio > deviation.worst || std::isnan(ratio)) {
        deviation.worst = std::isnan(ratio) ? INFINITY : ratio;
        deviation.where = "output " + std::to_string(o) + " element " + std::to_string(i) + ": " +
                          std::to_string(out[o][i]) + " where " + std::to_string(reference[i]) + " is right";
      }
      noise += error * error;
    }
    signal += power;
  }
  deviation.db = 10 * std::log10(signal / std::max(noise, 1e-300));
  return deviation;
}

double SignalToErrorDb(std::span<const float> reference, std::span<const float> value) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double error = static_cast<double>(reference[i]) - value[i];
    signal += static_cast<double>(reference[i]) * reference[i];
    noise += error * error;
  }
  if (std::isnan(noise)) return -INFINITY;
  return 10 * std::log10(signal / std::max(noise, 1e-300));
}

Status VerifyNode(const Graph& graph, const Node& node, std::span<const float* const> in,
                  std::span<const float* const> out, Precision precision, const Scalars& scalars) {
  std::vector<const float*> all(in.begin(), in.end());
  std::vector<std::vector<float>> constants;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] != nullptr || node.inputs[i] == kNoTensor) continue;
    constants.emplace_back(static_cast<size_t>(graph.shape(node.inputs[i]).elements()));
    ReadForKernels(graph.tensors[node.inputs[i]].constant, constants.back().data());
    all[i] = constants.back().data();
  }
  const Deviation deviation = Compare(graph, node, out, OracleOf(graph, node, all, scalars), precision, all);
  if (deviation.worst <= 1) return {};
  return Fail(ErrorCode::kKernelFailed, node.name + ": the result differs from the oracle by " +
                                            std::to_string(deviation.worst) + " times the tolerance; " +
                                            deviation.where);
}

}  // namespace timbre
