// What a kernel's packed weights are known by before they are packed.
#pragma once

#include <string>

#include "kernels/kernel.h"

namespace timbre {

// Nodes of a graph whose keys are equal have the same weights packed alike, by what can be told beforehand: one kernel,
// the same constants, the same attributes and shapes. Empty where nothing is packed, or no more is known than that.
std::string PackedKey(const KernelRow& row, const NodeRef& ref);

}  // namespace timbre
