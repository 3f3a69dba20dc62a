// What there is to compute on here, for programs and people.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace timbre {

// {"devices": [{"device": "cpu", "kind": "CPU", …, "taken": true, "why_not": null}, {"device": "vulkan:0", …}],
//  "auto": "cpu", "reason": …}; where there is no Vulkan, "vulkan" says why. Of each device's memory: what this process
// may have ("memory_budget_mb", null: not known), what its sessions are promised now and were at most, and how many
// reservations there was no room for. "doctor" is what that found out about a device
// ({"wrong_kernels": […], "tile_seconds": {…}}), null where it has not looked.
Result<nlohmann::ordered_json> DevicesReport();

}  // namespace timbre
