#include "models/separate/augmented.h"

namespace timbre {
namespace {

// Nodes put in front of a graph, or behind it.
class Nodes {
 public:
  Nodes(Graph& graph, std::vector<Node>& nodes) : graph_(graph), nodes_(nodes) {}

  TensorId Add(Op op, const Attrs& attrs, std::vector<TensorId> inputs, Shape shape) {
    const TensorId made = graph_.AddTensor(NextName(), shape, TensorKind::kActivation);
    AddInto(op, attrs, std::move(inputs), made);
    return made;
  }
  void AddInto(Op op, const Attrs& attrs, std::vector<TensorId> inputs, TensorId made) {
    nodes_.push_back({op, NextName(), attrs, std::move(inputs), {made}, {}, {}});
  }
  TensorId Slice(TensorId x, int axis, int64_t begin, int64_t end) {
    Shape shape = graph_.shape(x);
    shape[axis] = end - begin;
    return Add(Op::kSlice, SliceAttrs{.axis = axis, .begin = begin, .end = end}, {x}, shape);
  }
  // The two features of every pair along the last axis exchanged.
  TensorId Exchange(TensorId x) {
    const Shape whole = graph_.shape(x);
    const Shape pairs{whole[0], whole[1], whole[2] / 2, 2};
    const TensorId apart = Add(Op::kReshape, ReshapeAttrs{pairs}, {x}, pairs);
    const TensorId left = Slice(apart, 3, 0, 1), right = Slice(apart, 3, 1, 2);
    const TensorId turned = Add(Op::kConcat, ConcatAttrs{.axis = 3}, {right, left}, pairs);
    return Add(Op::kReshape, ReshapeAttrs{whole}, {turned}, whole);
  }

 private:
  std::string NextName() const { return "augmented." + std::to_string(graph_.tensors.size()); }
  Graph& graph_;
  std::vector<Node>& nodes_;
};

class AugmentedModel : public SeparationModel {
 public:
  explicit AugmentedModel(std::shared_ptr<const SeparationModel> model) : model_(std::move(model)) {}

  const SeparationInfo& info() const override { return model_->info(); }
  Result<TilePlan> Plan(int64_t length, const TilingOptions& options) const override {
    return model_->Plan(length, options);
  }

  Result<Graph> BuildTile(int64_t tile, int batch) const override {
    TIMBRE_TRY(Graph graph, model_->BuildTile(tile, 3 * batch));
    if (graph.inputs.size() != 1 || graph.outputs.size() != 1) {
      return Fail(ErrorCode::kInvalidArgument, "this model sees more than the sound; leave --tta out");
    }
    const TensorId all = graph.inputs[0].tensor, made = graph.outputs[0].tensor;
    graph.tensors[all].kind = TensorKind::kActivation;
    const Shape shape{batch, tile, 2};
    std::vector<Node> before;
    Nodes front(graph, before);
    const TensorId mix = graph.AddTensor(graph.inputs[0].name, shape, TensorKind::kInput);
    const TensorId inverted = front.Add(Op::kUnary, UnaryAttrs{UnaryFn::kNeg}, {mix}, shape);
    front.AddInto(Op::kConcat, ConcatAttrs{.axis = 0}, {mix, front.Exchange(mix), inverted}, all);
    graph.inputs[0].tensor = mix;
    graph.nodes.insert(graph.nodes.begin(), std::make_move_iterator(before.begin()),
                       std::make_move_iterator(before.end()));

    Nodes back(graph, graph.nodes);
    Shape one = graph.shape(made);
    one[0] = batch;
    const TensorId plain = back.Slice(made, 0, 0, batch);
    const TensorId exchanged = back.Exchange(back.Slice(made, 0, batch, 2 * batch));
    const TensorId negative = back.Slice(made, 0, 2 * batch, 3 * batch);
    const TensorId sum = back.Add(Op::kBinary, BinaryAttrs{BinaryFn::kAdd}, {plain, exchanged}, one);
    const TensorId rest = back.Add(Op::kBinary, BinaryAttrs{BinaryFn::kSub}, {sum, negative}, one);
    graph.outputs[0].tensor = back.Add(Op::kUnary, UnaryAttrs{UnaryFn::kScale, 1.0f / 3}, {rest}, one);
    TIMBRE_CHECK(Validate(graph));
    return graph;
  }

 private:
  const std::shared_ptr<const SeparationModel> model_;
};

}  // namespace

Result<std::shared_ptr<const SeparationModel>> Augmented(std::shared_ptr<const SeparationModel> model) {
  if (model->info().architecture == "hpss") {
    return Fail(ErrorCode::kInvalidArgument, "this model is no network, and gains nothing by --tta; leave it out");
  }
  if (model->info().channels != 2) {
    return Fail(ErrorCode::kInvalidArgument, "--tta exchanges two channels, and this model has one; leave it out");
  }
  return std::make_shared<const AugmentedModel>(std::move(model));
}

}  // namespace timbre
