#include "runtime/check/verify.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/check/rounding.h"

namespace timbre {
namespace {

// What the node reads, and all that the oracles of its parts make of it.
OracleValues ValuesOf(const Graph& graph, const Node& node, std::span<const float* const> in, const Scalars& scalars) {
  OracleValues values;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorId id = node.inputs[i];
    if (id == kNoTensor || in[i] == nullptr) continue;
    const Shape& shape = graph.shape(id);
    Tensor64& value = values[id] = {shape, std::vector<double>(in[i], in[i] + shape.elements())};
    if (graph.tensors[id].dtype != DType::kI32) continue;
    for (size_t k = 0; k < value.data.size(); ++k) value.data[k] = std::bit_cast<int32_t>(in[i][k]);
  }
  if (node.composition.empty()) RunOracle(graph, node, scalars, values);
  for (const Node& part : node.composition) RunOracle(graph, part, scalars, values);
  return values;
}

// Holds every element against what is right, where allowed(output, element) says by how much it may be off.
template <typename Allowed>
Deviation Hold(std::span<const float* const> out, std::span<const Tensor64> expected, const Allowed& allowed) {
  Deviation deviation;
  double signal = 0, noise = 0;
  for (size_t o = 0; o < expected.size(); ++o) {
    const std::vector<double>& reference = expected[o].data;
    for (size_t i = 0; i < reference.size(); ++i) {
      const double error = std::abs(out[o][i] - reference[i]);
      const double ratio =
          std::isfinite(out[o][i]) || !std::isfinite(reference[i]) ? error / (allowed(o, i) + 1e-37) : INFINITY;
      if (ratio > deviation.worst || std::isnan(ratio)) {
        deviation.worst = std::isnan(ratio) ? INFINITY : ratio;
        deviation.where = "output " + std::to_string(o) + " element " + std::to_string(i) + ": " +
                          std::to_string(out[o][i]) + " where " + std::to_string(reference[i]) + " is right";
      }
      noise += error * error;
      signal += reference[i] * reference[i];
    }
  }
  deviation.db = 10 * std::log10(signal / std::max(noise, 1e-300));
  return deviation;
}

}  // namespace

std::vector<Tensor64> OracleOf(const Graph& graph, const Node& node, std::span<const float* const> in,
                               const Scalars& scalars) {
  const std::vector<uint32_t> defaults = ScalarDefaults(graph);
  OracleValues values = ValuesOf(graph, node, in, scalars.bits.empty() ? Scalars{defaults} : scalars);
  std::vector<Tensor64> out;
  for (const TensorId id : node.outputs) out.push_back(std::move(values.at(id)));
  return out;
}

Deviation Compare(const Graph& graph, const Node& node, std::span<const float* const> out,
                  std::span<const Tensor64> expected, Precision precision, std::span<const float* const> in,
                  const Scalars& scalars) {
  double allowance = 0;
  if (node.composition.empty()) allowance = Allowance(graph, node, precision, in);
  for (const Node& part : node.composition) allowance += Allowance(graph, part, precision, in);
  std::vector<double> rms;
  for (const Tensor64& reference : expected) {
    double power = 0;
    for (const double r : reference.data) power += r * r;
    rms.push_back(std::sqrt(power / static_cast<double>(std::max<size_t>(1, reference.data.size()))));
  }
  Deviation deviation = Hold(out, expected, [&](size_t o, size_t i) {
    return allowance * std::numeric_limits<float>::epsilon() * std::max(std::abs(expected[o].data[i]), rms[o]);
  });
  if (deviation.worst <= 1 || in.empty()) return deviation;
  // By the result's size that is wrong. Where terms cancel the result is small and rounding is not: what each part may
  // be off is added up then. That takes several times as long, and few nodes need it.
  const std::vector<uint32_t> defaults = ScalarDefaults(graph);
  const Scalars used = scalars.bits.empty() ? Scalars{defaults} : scalars;
  const std::vector<Tensor64> errors = ErrorsAllowed(graph, node, ValuesOf(graph, node, in, used), precision, in, used);
  Deviation closer = Hold(out, expected, [&](size_t o, size_t i) { return errors[o].data[i]; });
  return closer.worst < deviation.worst ? closer : deviation;
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
  const Deviation deviation = Compare(graph, node, out, OracleOf(graph, node, all, scalars), precision, all, scalars);
  if (deviation.worst <= 1) return {};
  return Fail(ErrorCode::kKernelFailed, node.name + ": the result differs from the oracle by " +
                                            std::to_string(deviation.worst) + " times the tolerance; " +
                                            deviation.where);
}

}  // namespace timbre
