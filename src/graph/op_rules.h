// The rules of the op table that follow from shapes alone: what comes out, what it costs, how long its sums are.
#pragma once

#include <span>
#include <vector>

#include "graph/op.h"

namespace timbre {

// Absent optional inputs are null.
using Shapes = std::span<const Shape* const>;
using ShapesOr = Result<std::vector<Shape>>;

// For each operator its output shapes, or an error that says which input does not fit; its floating-point operations;
// and the terms of the sums that make one element. Some share theirs.
#define TIMBRE_OP(op, name, infer, flops, tolerance, terms, ints)          \
  ShapesOr infer(const Attrs& attrs, Shapes in);                           \
  double flops(const Attrs& attrs, Shapes in, std::span<const Shape> out); \
  double terms(const Attrs& attrs, Shapes in);
#include "graph/op_table.inc"
#undef TIMBRE_OP

}  // namespace timbre
