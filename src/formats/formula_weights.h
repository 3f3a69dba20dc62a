// Weights that are stated as a formula instead of being stored, so that a reference case of a full-size network is
// small.
#pragma once

#include <memory>
#include <string>

#include "graph/weights.h"

namespace timbre {

// Reads NAME.weights.json: a list of {"name", "shape", "lo", "hi"}, or an object of such lists, which are put together.
// Gives float32 tensors made by FormulaValue. At most 4 GiB of them.
Result<std::shared_ptr<const TensorMap>> ReadFormulaWeights(const std::string& path);

}  // namespace timbre
