// Whether what a network gave is numbers.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace timbre {

// An error where one of `values` is infinite or not a number: `otherwise`, as kKernelFailed, unless a file of weights
// was cut short or changed since it was opened, which the error (kCorrupt) then names instead.
Status CheckFinite(std::span<const float> values, std::string_view otherwise);

}  // namespace timbre
