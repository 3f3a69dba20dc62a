// YAML from outside as JSON: bounded, plain data, which option fields read (base/fields.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace timbre {

// YAML, and so JSON too. Plain scalars become null, booleans and numbers where they look like them; what is quoted
// stays text. Errors name `name`, and line and column where the text is no YAML: it is larger than 1 MiB, has more than
// 50,000 values once aliases are followed, is nested deeper than 16, or holds a key that is no plain name, or twice.
Result<nlohmann::ordered_json> ParseYaml(std::string_view text, std::string_view name);
// The same of a file.
Result<nlohmann::ordered_json> ReadYaml(const std::string& path);

}  // namespace timbre
