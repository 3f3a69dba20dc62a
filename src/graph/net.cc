#include "graph/net.h"

#include "graph/op_table.h"

namespace timbre {

Shape Value::shape() const { return valid() ? builder_->graph().shape(id_) : Shape(); }

int Sizes::At(int axis, int dims) const {
  if (values.size() == 1) return values[0];
  return axis < static_cast<int>(values.size()) && static_cast<int>(values.size()) == dims ? values[axis] : 0;
}

GraphBuilder::GraphBuilder(std::string name, Weights& weights) : weights_(&weights) { graph_.name = std::move(name); }

Value GraphBuilder::Input(std::string name, Shape shape, DType dtype) {
  const TensorId id = graph_.AddTensor(name, shape, TensorKind::kInput, dtype);
  graph_.inputs.push_back({std::move(name), id});
  return {this, id};
}

void GraphBuilder::Output(std::string name, Value value) {
  if (failed_) return;
  if (!value.valid()) return SetError({ErrorCode::kInternal, "the output '" + name + "' was never computed"});
  graph_.outputs.push_back({std::move(name), value.id()});
}

Value GraphBuilder::State(std::string name, Shape shape, DType dtype) {
  return {this, graph_.AddTensor(std::move(name), shape, TensorKind::kState, dtype)};
}

Value GraphBuilder::Constant(std::string name, Shape shape, std::span<const float> values) {
  if (shape.elements() != static_cast<int64_t>(values.size())) {
    SetError(
        {ErrorCode::kInternal, "the constant '" + name + "' has values for another shape than " + shape.ToString()});
    return {};
  }
  return {this, graph_.AddConstant(std::move(name), HostTensor::FromF32(shape, values))};
}

Value GraphBuilder::Integers(std::string name, Shape shape, std::span<const int32_t> values) {
  if (shape.elements() != static_cast<int64_t>(values.size())) {
    SetError(
        {ErrorCode::kInternal, "the constant '" + name + "' has values for another shape than " + shape.ToString()});
    return {};
  }
  return {this, graph_.AddConstant(std::move(name), HostTensor::FromI32(shape, values))};
}

Value GraphBuilder::Weight(const std::string& name, const Shape& shape) {
  if (failed_) return {};
  auto tensor = weights_->Get(name, shape);
  if (!tensor) {
    SetError(tensor.error());
    return {};
  }
  // Weights are numbers, whatever a checkpoint stores them as.
  if (tensor->dtype == DType::kI32) *tensor = HostTensor::FromF32(tensor->shape, tensor->ToF32());
  return {this, graph_.AddConstant(name, *std::move(tensor))};
}

std::vector<Value> GraphBuilder::Add(Op op, const Attrs& attrs, const std::vector<Value>& inputs, std::string name) {
  if (name.empty()) name = std::string(NameOf(op)) + "." + std::to_string(graph_.nodes.size());
  Node node{op, name, attrs, {}, {}, {}, {}};
  std::vector<const Shape*> shapes;
  for (const Value& input : inputs) {
    node.inputs.push_back(input.valid() ? input.id() : kNoTensor);
    shapes.push_back(input.valid() ? &graph_.shape(input.id()) : nullptr);
  }
  if (failed_) return std::vector<Value>(3);
  if (const Status types = CheckTypes(graph_, node); !types) {
    SetError(types.error());
    return std::vector<Value>(3);
  }
  auto outputs = RowOf(op).infer(node.attrs, shapes);
  if (!outputs) {
    SetError({outputs.error().code, name + ": " + outputs.error().message});
    return std::vector<Value>(3);
  }
  std::vector<Value> values;
  for (size_t i = 0; i < outputs->size(); ++i) {
    const std::string output_name = outputs->size() == 1 ? name : name + "." + std::to_string(i);
    node.outputs.push_back(
        graph_.AddTensor(output_name, (*outputs)[i], TensorKind::kActivation, OutputDType(graph_, node)));
    values.emplace_back(this, node.outputs.back());
  }
  graph_.nodes.push_back(std::move(node));
  return values;
}

Value GraphBuilder::Add1(Op op, const Attrs& attrs, const std::vector<Value>& inputs, std::string name) {
  return Add(op, attrs, inputs, std::move(name))[0];
}

void GraphBuilder::SetError(Error error) {
  if (failed_) return;
  failed_ = true;
  error_ = std::move(error);
}

Result<Graph> GraphBuilder::Finish() {
  if (failed_) return tl::unexpected<Error>(error_);
  TIMBRE_CHECK(weights_->CheckAllUsed());
  TIMBRE_CHECK(Validate(graph_));
  return std::move(graph_);
}

Net Net::operator/(std::string_view name) const { return Net(*builder_, Name(name)); }

std::string Net::Name(std::string_view name) const {
  if (name.empty()) return scope_;
  return scope_.empty() ? std::string(name) : scope_ + "." + std::string(name);
}

Value Net::Weight(std::string_view name, const Shape& shape) const { return builder_->Weight(Name(name), shape); }
bool Net::Has(std::string_view name) const { return builder_->HasWeight(Name(name)); }

namespace {

// Attributes hold depth, height, width; fewer dimensions use the last ones.
Dims3 Spread(const Sizes& sizes, int dims, int neutral) {
  Dims3 spread{neutral, neutral, neutral};
  for (int i = 0; i < dims; ++i) spread[3 - dims + i] = sizes.At(i, dims);
  return spread;
}

int SpatialDims(const Value& x) { return x.shape().rank() - 2; }

Shape WeightShape(int64_t first, int64_t second, const Dims3& kernel, int dims) {
  Shape shape{first, second};
  for (int i = 3 - dims; i < 3; ++i) shape.push_back(kernel[i]);
  return shape;
}

}  // namespace

Value Net::Conv(std::string_view name, Value x, const ConvOptions& o) const {
  if (!x.valid()) return {};
  ConvAttrs a;
  a.dims = SpatialDims(x);
  if (a.dims < 1 || a.dims > 3 || o.groups < 1 || x.shape().back() % o.groups != 0) {
    builder_->SetError(
        {ErrorCode::kInternal, Name(name) + ": a convolution of an input of shape " + x.shape().ToString()});
    return {};
  }
  a.kernel = Spread(o.kernel, a.dims, 1);
  a.stride = Spread(o.stride, a.dims, 1);
  a.dilation = Spread(o.dilation, a.dims, 1);
  a.pad_lo = Spread(o.pad, a.dims, 0);
  a.pad_hi = o.pad_hi.values == std::vector<int>{-1} ? a.pad_lo : Spread(o.pad_hi, a.dims, 0);
  a.groups = o.groups;
  const Net here = *this / name;
  const Value w = here.Weight("weight", WeightShape(o.out, x.shape().back() / o.groups, a.kernel, a.dims));
  const Value b = o.bias ? here.Weight("bias", {o.out}) : Value();
  return builder_->Add1(Op::kConv, a, {x, w, b}, Name(name));
}

Value Net::ConvTranspose(std::string_view name, Value x, const ConvTransposeOptions& o) const {
  if (!x.valid()) return {};
  ConvTransposeAttrs a;
  a.dims = SpatialDims(x);
  if (a.dims < 1 || a.dims > 3 || o.groups < 1 || o.out % o.groups != 0) {
    builder_->SetError(
        {ErrorCode::kInternal, Name(name) + ": a transposed convolution of an input of shape " + x.shape().ToString()});
    return {};
  }
  a.kernel = Spread(o.kernel, a.dims, 1);
  a.stride = Spread(o.stride, a.dims, 1);
  a.crop_lo = Spread(o.pad, a.dims, 0);
  const Dims3 extra = Spread(o.output_padding, a.dims, 0);
  for (int i = 0; i < 3; ++i) a.crop_hi[i] = a.crop_lo[i] - extra[i];
  a.groups = o.groups;
  const Net here = *this / name;
  const Value w = here.Weight("weight", WeightShape(x.shape().back(), o.out / o.groups, a.kernel, a.dims));
  const Value b = o.bias ? here.Weight("bias", {o.out}) : Value();
  return builder_->Add1(Op::kConvTranspose, a, {x, w, b}, Name(name));
}

Value Net::Linear(std::string_view name, Value x, int out, bool bias) const {
  if (!x.valid()) return {};
  const Net here = *this / name;
  const Value w = here.Weight("weight", {out, x.shape().back()});
  const Value b = bias ? here.Weight("bias", {out}) : Value();
  return builder_->Add1(Op::kLinear, LinearAttrs{}, {x, w, b}, Name(name));
}

Value Net::LinearAxis2(std::string_view name, Value x, int out, bool bias) const {
  if (!x.valid()) return {};
  const Net here = *this / name;
  const Value w = here.Weight("weight", {out, x.shape()[-2]});
  const Value b = bias ? here.Weight("bias", {out}) : Value();
  return builder_->Add1(Op::kLinear, LinearAttrs{.axis = -2}, {x, w, b}, Name(name));
}

Value Net::LayerNorm(std::string_view name, Value x, float eps) const {
  if (!x.valid()) return {};
  NormAttrs a{.groups = 1, .keep = 0, .eps = eps};
  for (int i = 1; i < x.shape().rank() - 1; ++i) a.keep |= 1u << i;
  const Net here = *this / name;
  const int64_t c = x.shape().back();
  return builder_->Add1(Op::kNorm, a, {x, here.Weight("weight", {c}), here.Weight("bias", {c})}, Name(name));
}

Value Net::RmsNorm(std::string_view name, Value x, float eps) const {
  if (!x.valid()) return {};
  NormAttrs a{.groups = 1, .keep = 0, .eps = eps, .subtract_mean = false};
  for (int i = 1; i < x.shape().rank() - 1; ++i) a.keep |= 1u << i;
  return builder_->Add1(Op::kNorm, a, {x, (*this / name).Weight("weight", {x.shape().back()}), Value()}, Name(name));
}

Value Net::Embedding(std::string_view name, Value ids, int rows, int features) const {
  if (!ids.valid()) return {};
  return builder_->Add1(Op::kEmbedding, NoAttrs{}, {ids, (*this / name).Weight("weight", {rows, features})},
                        Name(name));
}

Value Net::GroupNorm(std::string_view name, Value x, int groups, float eps, uint32_t keep) const {
  if (!x.valid()) return {};
  const Net here = *this / name;
  const int64_t c = x.shape().back();
  return builder_->Add1(Op::kNorm, NormAttrs{.groups = groups, .keep = keep, .eps = eps},
                        {x, here.Weight("weight", {c}), here.Weight("bias", {c})}, Name(name));
}

Value Net::InstanceNorm(std::string_view name, Value x, bool affine, float eps) const {
  if (!x.valid()) return {};
  const Net here = *this / name;
  const int64_t c = x.shape().back();
  const Value gamma = affine ? here.Weight("weight", {c}) : Value();
  const Value beta = affine ? here.Weight("bias", {c}) : Value();
  return builder_->Add1(Op::kNorm, NormAttrs{.groups = static_cast<int>(c), .keep = 0, .eps = eps}, {x, gamma, beta},
                        Name(name));
}

Value Net::BatchNorm(std::string_view name, Value x, float eps) const {
  if (!x.valid()) return {};
  const Net here = *this / name;
  const Shape c{x.shape().back()};
  return builder_->Add1(Op::kBatchNorm, BatchNormAttrs{.eps = eps},
                        {x, here.Weight("running_mean", c), here.Weight("running_var", c), here.Weight("weight", c),
                         here.Weight("bias", c)},
                        Name(name));
}

Value Net::PRelu(std::string_view name, Value x, int slopes) const {
  if (!x.valid()) return {};
  return builder_->Add1(Op::kPRelu, NoAttrs{}, {x, (*this / name).Weight("weight", {slopes})}, Name(name));
}

namespace {

Value Make(Op op, const Attrs& attrs, const std::vector<Value>& inputs) {
  for (const Value& input : inputs) {
    if (input.valid()) return input.builder()->Add1(op, attrs, inputs);
  }
  return {};
}

}  // namespace

Value Unary(UnaryFn fn, Value x, float alpha, float beta) { return Make(Op::kUnary, UnaryAttrs{fn, alpha, beta}, {x}); }
Value Binary(BinaryFn fn, Value a, Value b) { return Make(Op::kBinary, BinaryAttrs{fn}, {a, b}); }
Value Relu(Value x) { return Unary(UnaryFn::kRelu, x); }
Value LeakyRelu(Value x, float slope) { return Unary(UnaryFn::kLeakyRelu, x, slope); }
Value Elu(Value x, float alpha) { return Unary(UnaryFn::kElu, x, alpha); }
Value Gelu(Value x) { return Unary(UnaryFn::kGelu, x); }
Value GeluTanh(Value x) { return Unary(UnaryFn::kGeluTanh, x); }
Value Silu(Value x) { return Unary(UnaryFn::kSilu, x); }
Value Sigmoid(Value x) { return Unary(UnaryFn::kSigmoid, x); }
Value Tanh(Value x) { return Unary(UnaryFn::kTanh, x); }
Value Sqrt(Value x) { return Unary(UnaryFn::kSqrt, x); }
Value Scale(Value x, float factor, float offset) { return Unary(UnaryFn::kScale, x, factor, offset); }
Value operator+(Value a, Value b) { return Binary(BinaryFn::kAdd, a, b); }
Value operator-(Value a, Value b) { return Binary(BinaryFn::kSub, a, b); }
Value operator*(Value a, Value b) { return Binary(BinaryFn::kMul, a, b); }
Value operator/(Value a, Value b) { return Binary(BinaryFn::kDiv, a, b); }
Value Glu(Value x) { return Make(Op::kGlu, NoAttrs{}, {x}); }
Value Softmax(Value x) { return Make(Op::kSoftmax, NoAttrs{}, {x}); }
Value Rotary(Value x, Value frequencies, Value positions, const RotaryAttrs& attrs) {
  return Make(Op::kRotary, attrs, {x, frequencies, positions});
}
Value Embedding(Value ids, Value table) { return Make(Op::kEmbedding, NoAttrs{}, {ids, table}); }
Value Attention(Value q, Value k, Value v, const AttentionAttrs& attrs) {
  return Make(Op::kAttention, attrs, {q, k, v});
}
Value MatMul(Value a, Value b, const MatMulAttrs& attrs) { return Make(Op::kMatMul, attrs, {a, b}); }

Value Reduce(ReduceFn fn, Value x, std::initializer_list<int> axes, int ddof) {
  ReduceAttrs a{fn, 0, ddof};
  for (const int axis : axes) a.axes |= 1u << (axis < 0 ? axis + x.shape().rank() : axis);
  return Make(Op::kReduce, a, {x});
}

Value Reshape(Value x, Shape shape) { return Make(Op::kReshape, ReshapeAttrs{shape}, {x}); }

Value Transpose(Value x, std::initializer_list<int> perm) {
  TransposeAttrs a;
  int i = 0;
  for (const int p : perm) {
    if (i < Shape::kMaxRank) a.perm[i++] = static_cast<int8_t>(p);
  }
  return Make(Op::kTranspose, a, {x});
}

namespace {

int Axis(const Value& x, int axis) { return axis < 0 ? axis + x.shape().rank() : axis; }

}  // namespace

Value Slice(Value x, int axis, int64_t begin, int64_t end, int64_t step) {
  return Make(Op::kSlice, SliceAttrs{Axis(x, axis), begin, end, step}, {x});
}
Value Concat(const std::vector<Value>& xs, int axis) {
  if (xs.empty()) return {};
  return Make(Op::kConcat, ConcatAttrs{Axis(xs[0], axis)}, xs);
}
Value Pad(Value x, int axis, int64_t lo, int64_t hi, PadMode mode) {
  if (lo == 0 && hi == 0) return x;
  return Make(Op::kPad, PadAttrs{Axis(x, axis), lo, hi, mode}, {x});
}
Value Upsample(Value x, int axis, int factor) { return Make(Op::kUpsample, UpsampleAttrs{Axis(x, axis), factor}, {x}); }
Value Stft(Value x, Value window, const StftAttrs& attrs) { return Make(Op::kStft, attrs, {x, window}); }
Value Istft(Value x, Value window, const IstftAttrs& attrs) { return Make(Op::kIstft, attrs, {x, window}); }

GruResult Gru(Value x, Value w_ih, Value w_hh, Value b_ih, Value b_hh, Value h0, bool reverse) {
  if (!x.valid()) return {};
  auto out = x.builder()->Add(Op::kGru, RnnAttrs{reverse}, {x, w_ih, w_hh, b_ih, b_hh, h0});
  return {out[0], out[1]};
}

LstmResult Lstm(Value x, Value w_ih, Value w_hh, Value b_ih, Value b_hh, Value h0, Value c0, bool reverse) {
  if (!x.valid()) return {};
  auto out = x.builder()->Add(Op::kLstm, RnnAttrs{reverse}, {x, w_ih, w_hh, b_ih, b_hh, h0, c0});
  return {out[0], out[1], out[2]};
}

Value AliasFreeSnake(Value x, Value alpha, Value scale, Value up, Value down) {
  return Make(Op::kAliasFreeSnake, NoAttrs{}, {x, alpha, scale, up, down});
}

CumulativeMeanResult CumulativeMean(Value x, Value state, float alpha) {
  if (!x.valid()) return {};
  auto out = x.builder()->Add(Op::kCumulativeMean, CumulativeMeanAttrs{alpha}, {x, state});
  return {out[0], out[1]};
}

Value WriteState(Value state, Value x) { return Make(Op::kStateWrite, StateWriteAttrs{}, {state, x}); }
Value WriteState(Value state, Value x, int axis, ScalarId at) {
  return Make(Op::kStateWrite, StateWriteAttrs{Axis(state, axis), at}, {state, x});
}

}  // namespace timbre
