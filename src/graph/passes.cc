#include "graph/passes.h"

#include <algorithm>
#include <cmath>

#include "graph/state.h"

namespace timbre {
namespace {

// For each tensor, the indices of the nodes that read it; a graph output counts as a reader of its own.
struct Uses {
  explicit Uses(const Graph& graph) : readers(graph.tensors.size()), maker(graph.tensors.size(), -1) {
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const TensorId id : graph.nodes[i].inputs) {
        if (id != kNoTensor) readers[id].push_back(static_cast<int>(i));
      }
      for (const TensorId id : graph.nodes[i].outputs) maker[id] = static_cast<int>(i);
    }
    for (const GraphPort& port : graph.outputs) readers[port.tensor].push_back(-1);
  }
  // The only reader of a tensor, or -1.
  int OnlyReader(TensorId id) const { return readers[id].size() == 1 ? readers[id][0] : -1; }

  std::vector<std::vector<int>> readers;
  std::vector<int> maker;
};

void EraseMarked(Graph& graph, const std::vector<bool>& dead) {
  size_t kept = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (dead[i]) continue;
    if (kept != i) graph.nodes[kept] = std::move(graph.nodes[i]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

bool TakesEpilogue(Op op) {
  return op == Op::kConv || op == Op::kConvTranspose || op == Op::kLinear || op == Op::kMatMul || op == Op::kNorm ||
         op == Op::kBinary || op == Op::kBatchNorm;
}

// The step that `next` is when its input is `value`, with its extra inputs in `extra` and `shift`; false where it is
// none.
bool AsStep(const Graph& graph, const Node& next, TensorId value, EpilogueStep& step, TensorId& extra,
            TensorId& shift) {
  extra = shift = kNoTensor;
  if (next.outputs.size() != 1) return false;
  switch (next.op) {
    case Op::kUnary:
      step.kind = EpilogueStep::Kind::kUnary;
      step.unary = next.As<UnaryAttrs>();
      return true;
    case Op::kGlu: step.kind = EpilogueStep::Kind::kGlu; return true;
    case Op::kNorm:
      for (size_t i = 1; i < next.inputs.size(); ++i) {
        if (next.inputs[i] != kNoTensor && !graph.IsConstant(next.inputs[i])) return false;
      }
      step.kind = EpilogueStep::Kind::kNorm;
      step.norm = next.As<NormAttrs>();
      if (next.inputs.size() > 1) extra = next.inputs[1];
      if (next.inputs.size() > 2) shift = next.inputs[2];
      return true;
    case Op::kPRelu:
      if (next.inputs[0] != value || !graph.IsConstant(next.inputs[1])) return false;
      step.kind = EpilogueStep::Kind::kPRelu;
      extra = next.inputs[1];
      return true;
    case Op::kBinary: {
      const TensorId other = next.inputs[0] == value ? next.inputs[1] : next.inputs[0];
      if (other == value || !(graph.shape(next.outputs[0]) == graph.shape(value))) return false;
      const BinaryFn fn = next.As<BinaryAttrs>().fn;
      extra = other;
      if (fn == BinaryFn::kMul && graph.IsConstant(other) && graph.shape(other) == Shape{graph.shape(value).back()}) {
        step.kind = EpilogueStep::Kind::kMulConst;
        return true;
      }
      if (fn == BinaryFn::kAdd && graph.shape(other) == graph.shape(value)) {
        step.kind = EpilogueStep::Kind::kAdd;
        return true;
      }
      return false;
    }
    default: return false;
  }
}

}  // namespace

void RemoveDeadNodes(Graph& graph) {
  std::vector<bool> needed(graph.tensors.size()), dead(graph.nodes.size());
  for (const GraphPort& port : graph.outputs) needed[port.tensor] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    dead[i] = node.op != Op::kStateWrite &&
              std::none_of(node.outputs.begin(), node.outputs.end(), [&](TensorId id) { return needed[id]; });
    if (dead[i]) continue;
    for (const TensorId id : node.inputs) {
      if (id != kNoTensor) needed[id] = true;
    }
  }
  EraseMarked(graph, dead);
}

int FoldBatchNorm(Graph& graph) {
  const Uses uses(graph);
  std::vector<bool> dead(graph.nodes.size());
  int folded = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& layer = graph.nodes[i];
    const bool product = layer.op == Op::kConv || layer.op == Op::kConvTranspose ||
                         (layer.op == Op::kLinear && layer.As<LinearAttrs>().axis == -1);
    if (!product || !graph.IsConstant(layer.inputs[1])) continue;
    if (layer.inputs.size() > 2 && layer.inputs[2] != kNoTensor && !graph.IsConstant(layer.inputs[2])) continue;
    const int next = uses.OnlyReader(layer.outputs[0]);
    if (next < 0 || graph.nodes[next].op != Op::kBatchNorm || graph.nodes[next].inputs[0] != layer.outputs[0]) continue;
    const Node& norm = graph.nodes[next];
    if (!std::all_of(norm.inputs.begin() + 1, norm.inputs.end(),
                     [&](TensorId id) { return id == kNoTensor || graph.IsConstant(id); }))
      continue;

    auto values = [&](size_t k, float otherwise) {
      if (k >= norm.inputs.size() || norm.inputs[k] == kNoTensor) {
        return std::vector<float>(static_cast<size_t>(graph.shape(norm.outputs[0]).back()), otherwise);
      }
      return graph.tensors[norm.inputs[k]].constant.ToF32();
    };
    const auto mean = values(1, 0), var = values(2, 1), gamma = values(3, 1), beta = values(4, 0);
    const double eps = norm.As<BatchNormAttrs>().eps;
    const HostTensor weight = graph.tensors[layer.inputs[1]].constant;
    std::vector<float> bias(mean.size());
    if (layer.inputs.size() > 2 && layer.inputs[2] != kNoTensor) bias = graph.tensors[layer.inputs[2]].constant.ToF32();

    // Which output feature a weight belongs to: row-major [out, ...], but [in, out/groups, k...] for the transposed
    // one.
    const auto features = static_cast<int64_t>(mean.size());
    const bool transposed = layer.op == Op::kConvTranspose;
    const int64_t groups = transposed ? layer.As<ConvTransposeAttrs>().groups : 1;
    auto feature_of = [=, ws = weight.shape](int64_t index) {
      if (!transposed) return index / (ws.elements() / features);
      const int64_t taps = ws.Product(2, ws.rank());
      const int64_t per_group = features / groups, in_per_group = ws[0] / groups;
      return index / taps / per_group / in_per_group * per_group + index / taps % per_group;
    };
    std::vector<double> gain(mean.size());
    for (size_t f = 0; f < gain.size(); ++f) {
      gain[f] = gamma[f] / std::sqrt(static_cast<double>(var[f]) + eps);
      bias[f] = static_cast<float>((static_cast<double>(bias[f]) - mean[f]) * gain[f] + beta[f]);
    }
    // Made when it is wanted: a copy would stay beside its packed form for as long as the graph lives.
    HostTensor scaled = HostTensor::Made(weight.shape, [weight, gain, feature_of](float* out) {
      weight.ReadF32(out);
      weight.ReleasePages();
      for (int64_t k = 0; k < weight.shape.elements(); ++k) out[k] = static_cast<float>(out[k] * gain[feature_of(k)]);
    });
    const std::string name = graph.tensors[layer.inputs[1]].name;
    layer.inputs.resize(3, kNoTensor);
    layer.inputs[1] = graph.AddConstant(name + " (folded)", std::move(scaled));
    layer.inputs[2] = graph.AddConstant(layer.name + ".bias (folded)", HostTensor::FromF32({features}, bias));
    layer.outputs[0] = norm.outputs[0];
    dead[next] = true;
    ++folded;
  }
  EraseMarked(graph, dead);
  return folded;
}

int FuseEpilogues(Graph& graph, const CanRun& can_run) {
  const Uses uses(graph);
  const std::vector<StateVersion> versions = StateVersions(graph);
  std::vector<bool> dead(graph.nodes.size());
  // A fused node runs where the last node of its chain stood, so that residuals made in between exist by then.
  std::vector<Node> moved(graph.nodes.size());
  std::vector<bool> has_moved(graph.nodes.size());
  int gone = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (dead[i] || has_moved[i] || !TakesEpilogue(graph.nodes[i].op) || graph.nodes[i].outputs.size() != 1) continue;
    Node fused = graph.nodes[i];
    if (!fused.epilogue.empty()) continue;
    std::vector<size_t> absorbed;
    size_t place = i;
    for (;;) {
      const int next = uses.OnlyReader(fused.outputs[0]);
      if (next < 0 || dead[next] || has_moved[next]) break;
      EpilogueStep step;
      TensorId extra, shift;
      if (!AsStep(graph, graph.nodes[next], fused.outputs[0], step, extra, shift)) break;
      Node longer = fused;
      if (longer.composition.empty()) longer.composition.push_back(graph.nodes[i]);
      longer.composition.push_back(graph.nodes[next]);
      for (const auto& [id, index] : {std::pair(extra, &step.input), std::pair(shift, &step.shift)}) {
        if (id == kNoTensor) continue;
        *index = static_cast<int>(longer.inputs.size());
        longer.inputs.push_back(id);
      }
      longer.epilogue.push_back(step);
      longer.outputs = graph.nodes[next].outputs;
      // Later, a state that it reads may have been written over.
      if (std::any_of(longer.inputs.begin(), longer.inputs.end(),
                      [&](TensorId id) { return id != kNoTensor && versions[id].until < next; }))
        break;
      if (!can_run(graph, longer)) break;
      fused = std::move(longer);
      absorbed.push_back(place);
      place = static_cast<size_t>(next);
    }
    if (absorbed.empty()) continue;
    for (const size_t a : absorbed) dead[a] = true;
    gone += static_cast<int>(absorbed.size());
    moved[place] = std::move(fused);
    has_moved[place] = true;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (has_moved[i]) graph.nodes[i] = std::move(moved[i]);
  }
  EraseMarked(graph, dead);
  return gone;
}

}  // namespace timbre
