// Whether a server answers as its OpenAPI description says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/http_client.h"

namespace timbre::testing {

// What is wrong with a description itself, a line each: operations of one name, references to nothing, parameters of a
// path that are not declared, answers that are not described.
std::vector<std::string> DescriptionErrors(const nlohmann::ordered_json& description);

// What of an answer is not as described. Nothing is wrong with paths and methods that are not described, nor with what
// is neither JSON nor of another type than described.
std::vector<std::string> AnswerErrors(const nlohmann::ordered_json& description, const std::string& method,
                                      const std::string& target, const HttpAnswer& answer);

// The schema with everything that it refers to in place.
nlohmann::ordered_json Resolved(const nlohmann::ordered_json& description, const nlohmann::ordered_json& schema);

}  // namespace timbre::testing
