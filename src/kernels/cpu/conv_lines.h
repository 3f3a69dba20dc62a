// What convolutions that are made line by line of results share.
#pragma once

#include "kernels/cpu/conv_rows.h"
#include "kernels/kernel.h"

namespace timbre {

// Whether a node's weights are constants and its epilogue is one that FinishThinLine can do.
bool ThinServable(const NodeRef& ref);

// Puts a line of `positions` results of `outputs` features each, `offset` floats into `out`, through the epilogue.
void FinishThinLine(const Epilogue& epilogue, int64_t positions, int64_t outputs, float* out, int64_t offset);

}  // namespace timbre
