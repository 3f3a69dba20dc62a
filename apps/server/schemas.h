// What the API's requests and answers look like, as JSON Schemas (draft 2020-12) by name.
#pragma once

#include <nlohmann/json.hpp>

namespace timbre::server {

nlohmann::ordered_json Schemas();

}  // namespace timbre::server
