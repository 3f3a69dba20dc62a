// What several models share.
#pragma once

#include "graph/tensor.h"

namespace timbre {

// A convolution's weight [a, b, h, w] as [a, b, w, h]: for a network whose checkpoint has planes as [frequency, time]
// and whose graph has them as [time, frequency].
HostTensor SwapKernelAxes(const HostTensor& weight);

// Part `index` of `parts` equal ones along the first axis: of queries, keys and values that are stored as one matrix.
HostTensor PartOfRows(const HostTensor& weight, int index, int parts);

}  // namespace timbre
