// Whether JSON is as a schema says: the parts of JSON Schema (draft 2020-12) that the program's schemas use.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace timbre::testing {

// What is wrong, a line each, with the place: "/tracks/0/seconds: a string, not a number". A schema that uses a word
// that is not known here is wrong too.
std::vector<std::string> SchemaErrors(const nlohmann::ordered_json& schema, const nlohmann::ordered_json& value,
                                      const std::string& place = "");

}  // namespace timbre::testing
