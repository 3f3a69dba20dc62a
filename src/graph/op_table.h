// The one living definition of every operator.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace timbre {

// A tensor for oracles: float64, whatever the graph's has.
struct Tensor64 {
  Shape shape;
  std::vector<double> data;
};

// A node to test and benchmark kernels with: inputs are random in [lo, hi) or, for constants, drawn the same way, as
// far as their type allows.
struct OpCase {
  std::string name;
  Attrs attrs;
  struct Input {
    Shape shape;
    bool constant = false;  // a weight: kernels may pack it
    float lo = -1.0f, hi = 1.0f;
    bool absent = false;
    DType dtype = DType::kF32;  // int32, or what a constant is stored as
  };
  std::vector<Input> inputs;
  bool benchmark = false;             // large enough to time
  bool extent = false;                // as long along one axis as a real network's: checked without epilogues
  std::vector<ScalarInfo> scalars{};  // that the attributes name
};

struct OpRow {
  Op op;
  std::string_view name;
  // Output shapes, or an error that says which input does not fit. Absent optional inputs are null.
  Result<std::vector<Shape>> (*infer)(const Attrs& attrs, std::span<const Shape* const> inputs);
  // Plain loops in float64. Absent optional inputs are null; outputs come with their shapes set and zeroed.
  void (*oracle)(const Attrs& attrs, std::span<const Tensor64* const> inputs, std::span<Tensor64> outputs,
                 const Scalars& scalars);
  // Floating-point operations, from shapes.
  double (*flops)(const Attrs& attrs, std::span<const Shape* const> inputs, std::span<const Shape> outputs);
  // A float32 kernel's result must lie within tolerance * eps * (1 + sqrt(terms)) * rms(reference) + tiny of the
  // oracle's, where terms is the length of the sums that make one element.
  double tolerance;
  double (*terms)(const Attrs& attrs, std::span<const Shape* const> inputs);
  std::vector<OpCase> (*cases)();
  // Inputs that are int32 (bit i = input i). All others are float32; constants among these may be stored otherwise.
  uint32_t integers = 0;
};

const OpRow& RowOf(Op op);
std::span<const OpRow> OpTable();

}  // namespace timbre
