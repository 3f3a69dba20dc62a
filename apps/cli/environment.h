// The environment variables that the program heeds.
#pragma once

#include "base/result.h"

namespace timbre::cli {

// Heeds TIMBRE_SIMD, and looks at the others that a typing mistake can make meaningless. Before anything is computed.
// Errors: the first that is malformed, with what is allowed. Names of devices, models and folders are looked at where
// they are used.
Status HeedEnvironment();

}  // namespace timbre::cli
