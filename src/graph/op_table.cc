#include "graph/op_table.h"

#include "graph/op_cases.h"
#include "graph/op_loops.h"
#include "graph/op_rules.h"

namespace timbre {
namespace {

template <Op op>
void Oracle(const Attrs& attrs, std::span<const Tensor64* const> in, std::span<Tensor64> out, const Scalars& scalars) {
  std::vector<loops::In<double>> ins;
  for (const Tensor64* t : in) ins.push_back(t ? loops::In<double>{t->data.data(), t->shape} : loops::In<double>{});
  std::vector<loops::Out<double>> outs;
  for (Tensor64& t : out) outs.push_back({t.data.data(), t.shape});
  loops::Run<double>(op, attrs, ins, outs, scalars);
}

constexpr double kProduct = 8, kElement = 8, kCopy = 0;

const OpRow kTable[] = {
    {Op::kConv, "conv", InferConv, Oracle<Op::kConv>, ConvFlops, kProduct, ConvTerms, ConvCases},
    {Op::kConvTranspose, "conv_transpose", InferConvTranspose, Oracle<Op::kConvTranspose>, ConvTransposeFlops, kProduct,
     ConvTransposeTerms, ConvTransposeCases},
    {Op::kLinear, "linear", InferLinear, Oracle<Op::kLinear>, LinearFlops, kProduct, LinearTerms, LinearCases},
    {Op::kMatMul, "matmul", InferMatMul, Oracle<Op::kMatMul>, MatMulFlops, kProduct, MatMulTerms, MatMulCases},
    {Op::kEmbedding, "embedding", InferEmbedding, Oracle<Op::kEmbedding>, NoFlops, kCopy, OneTerm, EmbeddingCases, 0b1},
    {Op::kRotary, "rotary", InferRotary, Oracle<Op::kRotary>, RotaryFlops, kElement, OneTerm, RotaryCases, 0b100},
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
    {Op::kStateWrite, "state_write", InferStateWrite, Oracle<Op::kStateWrite>, NoFlops, kCopy, OneTerm,
     StateWriteCases},
};
static_assert(std::size(kTable) == static_cast<size_t>(Op::kCount));

}  // namespace

const OpRow& RowOf(Op op) { return kTable[static_cast<size_t>(op)]; }
std::span<const OpRow> OpTable() { return kTable; }
std::string_view NameOf(Op op) { return op == Op::kCount ? "none" : RowOf(op).name; }

std::string_view NameOf(UnaryFn fn) {
  static constexpr std::string_view kNames[] = {
      "identity", "relu", "leaky_relu", "elu",    "gelu", "silu", "sigmoid", "tanh",  "exp",   "log", "sqrt",
      "rsqrt",    "abs",  "neg",        "square", "sin",  "cos",  "snake",   "clamp", "scale", "pow", "gelu_tanh"};
  return kNames[static_cast<size_t>(fn)];
}

std::string_view NameOf(BinaryFn fn) {
  static constexpr std::string_view kNames[] = {"add", "sub", "mul", "div", "max", "min", "complex_mul", "atan2"};
  return kNames[static_cast<size_t>(fn)];
}

}  // namespace timbre
