// Tensors by the formula of the reference cases (FormulaValue of graph/weights.h), in every type that checkpoints hold.
#pragma once

#include <string>
#include <vector>

#include "graph/tensor.h"

namespace timbre {

// The first `count` elements of the tensor `name`, in [lo, hi).
std::vector<float> FormulaValues(const std::string& name, int64_t count, float lo, float hi);

// The same rounded to `dtype`, down for int32; blocks are random bytes with scales that bring the values to about
// [lo, hi).
HostTensor FormulaTensor(DType dtype, const std::string& name, const Shape& shape, float lo, float hi);

}  // namespace timbre
