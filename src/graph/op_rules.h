// The rules of the op table that follow from shapes alone: what comes out, what it costs, how long its sums are.
#pragma once

#include <span>
#include <vector>

#include "graph/op.h"

namespace timbre {

// Absent optional inputs are null.
using Shapes = std::span<const Shape* const>;
using ShapesOr = Result<std::vector<Shape>>;

// Output shapes, or an error that says which input does not fit.
ShapesOr InferConv(const Attrs& attrs, Shapes in);
ShapesOr InferConvTranspose(const Attrs& attrs, Shapes in);
ShapesOr InferLinear(const Attrs& attrs, Shapes in);
ShapesOr InferMatMul(const Attrs& attrs, Shapes in);
ShapesOr InferEmbedding(const Attrs& attrs, Shapes in);
ShapesOr InferRotary(const Attrs& attrs, Shapes in);
ShapesOr InferAttention(const Attrs& attrs, Shapes in);
ShapesOr InferNorm(const Attrs& attrs, Shapes in);
ShapesOr InferBatchNorm(const Attrs& attrs, Shapes in);
ShapesOr InferSame(const Attrs& attrs, Shapes in);
ShapesOr InferBinary(const Attrs& attrs, Shapes in);
ShapesOr InferPRelu(const Attrs& attrs, Shapes in);
ShapesOr InferGlu(const Attrs& attrs, Shapes in);
ShapesOr InferReduce(const Attrs& attrs, Shapes in);
ShapesOr InferReshape(const Attrs& attrs, Shapes in);
ShapesOr InferTranspose(const Attrs& attrs, Shapes in);
ShapesOr InferSlice(const Attrs& attrs, Shapes in);
ShapesOr InferConcat(const Attrs& attrs, Shapes in);
ShapesOr InferPad(const Attrs& attrs, Shapes in);
ShapesOr InferUpsample(const Attrs& attrs, Shapes in);
ShapesOr InferStft(const Attrs& attrs, Shapes in);
ShapesOr InferIstft(const Attrs& attrs, Shapes in);
ShapesOr InferGru(const Attrs& attrs, Shapes in);
ShapesOr InferLstm(const Attrs& attrs, Shapes in);
ShapesOr InferCumulativeMean(const Attrs& attrs, Shapes in);
ShapesOr InferAliasFreeSnake(const Attrs& attrs, Shapes in);
ShapesOr InferStateWrite(const Attrs& attrs, Shapes in);

// Floating-point operations.
double OneEach(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double NoFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double ConvFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double ConvTransposeFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double LinearFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double MatMulFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double RotaryFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double AttentionFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double NormFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double ReduceFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double StftFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double IstftFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double RnnFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double CumulativeMeanFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);
double AliasFreeSnakeFlops(const Attrs& attrs, Shapes in, std::span<const Shape> out);

// Terms of the sums that make one element.
double OneTerm(const Attrs& attrs, Shapes in);
double ConvTerms(const Attrs& attrs, Shapes in);
double ConvTransposeTerms(const Attrs& attrs, Shapes in);
double LinearTerms(const Attrs& attrs, Shapes in);
double MatMulTerms(const Attrs& attrs, Shapes in);
double AttentionTerms(const Attrs& attrs, Shapes in);
double NormTerms(const Attrs& attrs, Shapes in);
double ReduceTerms(const Attrs& attrs, Shapes in);
double StftTerms(const Attrs& attrs, Shapes in);
double RnnTerms(const Attrs& attrs, Shapes in);
double CumulativeMeanTerms(const Attrs& attrs, Shapes in);
double AliasFreeSnakeTerms(const Attrs& attrs, Shapes in);

}  // namespace timbre
