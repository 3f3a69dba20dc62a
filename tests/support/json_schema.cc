#include "tests/support/json_schema.h"

#include <algorithm>

namespace timbre::testing {
namespace {

using Json = nlohmann::ordered_json;
using Errors = std::vector<std::string>;

bool IsOfType(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  return type == "integer" && value.is_number_integer();
}

void CheckObject(const Json& schema, const Json& value, const std::string& place, Errors& errors) {
  const Json properties = schema.value("properties", Json::object());
  const Json others = schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
  for (const auto& [key, member] : value.items()) {
    const Json& of = properties.contains(key) ? properties[key] : others;
    const Errors below = SchemaErrors(of, member, place + "/" + key);
    errors.insert(errors.end(), below.begin(), below.end());
  }
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) errors.push_back(place + ": " + name.dump() + " is missing");
  }
}

void CheckArray(const Json& schema, const Json& value, const std::string& place, Errors& errors) {
  const Json leading = schema.value("prefixItems", Json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    const Json of = i < leading.size() ? leading[i] : schema.contains("items") ? schema["items"] : Json(true);
    const Errors below = SchemaErrors(of, value[i], place + "/" + std::to_string(i));
    errors.insert(errors.end(), below.begin(), below.end());
  }
  if (value.size() < schema.value("minItems", size_t{0})) errors.push_back(place + ": too few items");
}

}  // namespace

std::vector<std::string> SchemaErrors(const Json& schema, const Json& value, const std::string& place) {
  if (schema.is_boolean()) return schema.get<bool>() ? Errors() : Errors{place + ": must not be there"};
  static const std::vector<std::string> known = {
      "$schema",  "title", "description", "default", "type",    "enum",        "const",    "properties",
      "required", "items", "anyOf",       "minimum", "maximum", "prefixItems", "minItems", "additionalProperties"};
  Errors errors;
  for (const auto& [word, of] : schema.items()) {
    if (std::find(known.begin(), known.end(), word) == known.end()) errors.push_back(place + ": what is " + word + "?");
  }
  if (schema.contains("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    if (std::none_of(types.begin(), types.end(), [&](const Json& type) { return IsOfType(value, type); })) {
      errors.push_back(place + ": " + value.dump() + " is no " + types.dump());
    }
  }
  if (schema.contains("const") && value != schema["const"]) errors.push_back(place + ": " + value.dump());
  if (schema.contains("enum")) {
    const Json& of = schema["enum"];
    if (std::find(of.begin(), of.end(), value) == of.end()) errors.push_back(place + ": " + value.dump());
  }
  if (value.is_number() && value < schema.value("minimum", value)) errors.push_back(place + ": too small");
  if (value.is_number() && value > schema.value("maximum", value)) errors.push_back(place + ": too large");
  if (value.is_object()) CheckObject(schema, value, place, errors);
  if (value.is_array()) CheckArray(schema, value, place, errors);
  if (schema.contains("anyOf")) {
    Errors all;
    bool one = false;
    for (const Json& of : schema["anyOf"]) {
      const Errors here = SchemaErrors(of, value, place);
      one = one || here.empty();
      all.insert(all.end(), here.begin(), here.end());
    }
    if (!one) errors.insert(errors.end(), all.begin(), all.end());
  }
  return errors;
}

}  // namespace timbre::testing
