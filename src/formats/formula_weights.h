// Weights that are stated as a formula instead of being stored, so that a reference case of a full-size network is
// small.
#pragma once

#include <memory>
#include <string>

#include "graph/weights.h"

namespace timbre {

// Reads NAME.weights.json: a list of {"name", "shape", "lo", "hi"}, or an object of such lists, which are put together.
// Gives float32 tensors by FormulaValue, which take no memory before they are read. At most 2^36 values.
Result<std::shared_ptr<const TensorMap>> ReadFormulaWeights(const std::string& path);

}  // namespace timbre
