// What doctor is to have found of a device.
#pragma once

#include <string>

#include "runtime/check/verdicts.h"

namespace timbre::testing {

inline Status SetVerdict(const std::string& key, const DeviceVerdict& wanted) {
  return ChangeVerdict(key, [&](DeviceVerdict& verdict) { verdict = wanted; });
}

}  // namespace timbre::testing
