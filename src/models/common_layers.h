// What several models share.
#pragma once

#include "graph/tensor.h"

namespace timbre {

// A convolution's weight [a, b, h, w] as [a, b, w, h]: for a network whose checkpoint has planes as [frequency, time]
// and whose graph has them as [time, frequency].
HostTensor SwapKernelAxes(const HostTensor& weight);

}  // namespace timbre
