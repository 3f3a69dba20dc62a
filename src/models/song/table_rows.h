// Rows of a table that may be too large to be read whole.
#pragma once

#include <span>
#include <vector>

#include "graph/tensor.h"

namespace timbre {

// Rows of `table` [rows, features] one after the other. Errors: a row that there is not.
Result<std::vector<float>> RowsOf(const HostTensor& table, std::span<const int32_t> rows);

}  // namespace timbre
