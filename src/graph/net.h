// The builder that models are written with: structure, weight names and forward pass are stated once, in the same
// lines.
//
//   Value Encode(Net n, Value x, int channels) {
//     x = Gelu(n.Conv("conv", x, {.out = channels, .kernel = {8}, .stride = {4}, .pad = {2}}));
//     return Glu(n.Conv("rewrite", x, {.out = 2 * channels}));
//   }
//
// Net carries the scope of weight names (n / "encoder" / 0 asks for "encoder.0.conv.weight"). The first error (a
// missing or misshapen weight, shapes that do not fit) is kept, everything after it is inert, and GraphBuilder::Finish
// returns it.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/weights.h"

namespace timbre {

class GraphBuilder;

// A tensor of the graph being built. Cheap to copy.
class Value {
 public:
  Value() = default;
  Value(GraphBuilder* builder, TensorId id) : builder_(builder), id_(id) {}
  bool valid() const { return builder_ != nullptr && id_ != kNoTensor; }
  TensorId id() const { return id_; }
  GraphBuilder* builder() const { return builder_; }
  Shape shape() const;  // a copy: the graph moves its own as tensors are added
  int64_t dim(int i) const { return shape()[i]; }

 private:
  GraphBuilder* builder_ = nullptr;
  TensorId id_ = kNoTensor;
};

// One number for every spatial axis, or one for each.
struct Sizes {
  Sizes(int all) : values{all} {}  // NOLINT: implicit by design, {.kernel = 3}
  Sizes(std::initializer_list<int> each) : values(each) {}
  int At(int axis, int dims) const;  // axis in [0, dims)
  std::vector<int> values;
};

struct ConvOptions {
  int out = 0;
  Sizes kernel = 1;
  Sizes stride = 1;
  Sizes dilation = 1;
  Sizes pad = 0;      // on both sides
  Sizes pad_hi = -1;  // on the far side, where it differs
  int groups = 1;
  bool bias = true;
};

struct ConvTransposeOptions {
  int out = 0;
  Sizes kernel = 1;
  Sizes stride = 1;
  Sizes pad = 0;             // PyTorch's padding: cropped on both sides
  Sizes output_padding = 0;  // PyTorch's: cropped less on the far side
  int groups = 1;
  bool bias = true;
};

class GraphBuilder {
 public:
  // `weights` must outlive the builder.
  GraphBuilder(std::string name, Weights& weights);

  Value Input(std::string name, Shape shape, DType dtype = DType::kF32);  // float32 or int32
  void Output(std::string name, Value value);
  // What is kept between runs: zero at first, `shape` its capacity (graph/state.h).
  Value State(std::string name, Shape shape, DType dtype = DType::kF32);
  // Numbers set before a run (Session::SetScalar), with what they are until then.
  ScalarId IntScalar(std::string name, int32_t value = 0) { return graph_.AddScalar(std::move(name), value); }
  ScalarId FloatScalar(std::string name, float value = 0) { return graph_.AddScalar(std::move(name), value); }
  Value Constant(std::string name, Shape shape, std::span<const float> values);
  Value Integers(std::string name, Shape shape, std::span<const int32_t> values);
  Value Weight(const std::string& name, const Shape& shape);
  bool HasWeight(const std::string& name) const { return weights_->Has(name); }

  // Adds a node; its output shapes come from the op table. Absent optional inputs are Value().
  std::vector<Value> Add(Op op, const Attrs& attrs, const std::vector<Value>& inputs, std::string name = "");
  Value Add1(Op op, const Attrs& attrs, const std::vector<Value>& inputs, std::string name = "");

  void SetError(Error error);
  const Graph& graph() const { return graph_; }
  // The graph, or the first error. Every weight of the checkpoint must have been used.
  Result<Graph> Finish();

 private:
  Graph graph_;
  Weights* weights_;
  bool failed_ = false;
  Error error_;
};

// A scope of weight names within a builder.
class Net {
 public:
  explicit Net(GraphBuilder& builder, std::string scope = "") : builder_(&builder), scope_(std::move(scope)) {}
  Net operator/(std::string_view name) const;
  Net operator/(int index) const { return *this / std::to_string(index); }

  // Layers: weights "<name>.weight" and "<name>.bias" in PyTorch's layouts. name may be empty: the scope itself is the
  // layer. Convolutions take x [N, T, C], [N, H, W, C] or [N, D, H, W, C].
  Value Conv(std::string_view name, Value x, const ConvOptions& o) const;
  Value ConvTranspose(std::string_view name, Value x, const ConvTransposeOptions& o) const;
  Value Linear(std::string_view name, Value x, int out, bool bias = true) const;
  // The same along the axis before the features: x [..., in, C] -> [..., out, C].
  Value LinearAxis2(std::string_view name, Value x, int out, bool bias = true) const;
  Value LayerNorm(std::string_view name, Value x, float eps = 1e-5f) const;
  // x / sqrt(mean(x^2) + eps) times the weight, along the last axis.
  Value RmsNorm(std::string_view name, Value x, float eps = 1e-6f) const;
  // The rows of "<name>.weight" [rows, features] that int32 ids name: ids [...] -> [..., features].
  Value Embedding(std::string_view name, Value ids, int rows, int features) const;
  Value GroupNorm(std::string_view name, Value x, int groups, float eps = 1e-5f, uint32_t keep = 0) const;
  Value InstanceNorm(std::string_view name, Value x, bool affine, float eps = 1e-5f) const;
  Value BatchNorm(std::string_view name, Value x, float eps = 1e-5f) const;
  // slopes: 1 for all features, or one for each.
  Value PRelu(std::string_view name, Value x, int slopes = 1) const;

  // The raw weight "<scope>.<name>".
  Value Weight(std::string_view name, const Shape& shape) const;
  bool Has(std::string_view name) const;
  std::string Name(std::string_view name) const;
  GraphBuilder& builder() const { return *builder_; }

 private:
  GraphBuilder* builder_;
  std::string scope_;
};

// Operators without weights.
Value Unary(UnaryFn fn, Value x, float alpha = 0, float beta = 0);
Value Binary(BinaryFn fn, Value a, Value b);
Value Relu(Value x);
Value LeakyRelu(Value x, float slope);
Value Elu(Value x, float alpha = 1.0f);
Value Gelu(Value x);
Value Silu(Value x);
Value Sigmoid(Value x);
Value Tanh(Value x);
Value Sqrt(Value x);
Value Scale(Value x, float factor, float offset = 0.0f);
Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value Glu(Value x);
Value Softmax(Value x);
Value GeluTanh(Value x);  // the approximation by tanh ("gelu_new")
// frequencies: [attrs.dims / 2]; positions, int32 [T] or [N, T], may be Value().
Value Rotary(Value x, Value frequencies, Value positions, const RotaryAttrs& attrs);
Value Embedding(Value ids, Value table);
Value Attention(Value q, Value k, Value v, const AttentionAttrs& attrs);
Value MatMul(Value a, Value b, const MatMulAttrs& attrs = {});
Value Reduce(ReduceFn fn, Value x, std::initializer_list<int> axes, int ddof = 0);
Value Reshape(Value x, Shape shape);
Value Transpose(Value x, std::initializer_list<int> perm);
Value Slice(Value x, int axis, int64_t begin, int64_t end, int64_t step = 1);
Value Concat(const std::vector<Value>& xs, int axis);
Value Pad(Value x, int axis, int64_t lo, int64_t hi, PadMode mode = PadMode::kZero);
Value Upsample(Value x, int axis, int factor);
// window: [win] with win <= n_fft.
Value Stft(Value x, Value window, const StftAttrs& attrs);
Value Istft(Value x, Value window, const IstftAttrs& attrs);
struct GruResult {
  Value y, h;
};
// Any of the biases may be Value().
GruResult Gru(Value x, Value w_ih, Value w_hh, Value b_ih, Value b_hh, Value h0, bool reverse = false);
struct LstmResult {
  Value y, h, c;
};
LstmResult Lstm(Value x, Value w_ih, Value w_hh, Value b_ih, Value b_hh, Value h0, Value c0, bool reverse = false);
struct CumulativeMeanResult {
  Value y, state;
};
CumulativeMeanResult CumulativeMean(Value x, Value state, float alpha);
Value AliasFreeSnake(Value x, Value alpha, Value scale, Value up, Value down);
// The state after x was written into it: whole, or from place `at` along `axis` on. Whatever reads the state as it was
// before comes first.
Value WriteState(Value state, Value x);
Value WriteState(Value state, Value x, int axis, ScalarId at);

}  // namespace timbre
