#include "tests/support/open_api.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

#include "base/text.h"
#include "tests/support/json_schema.h"

namespace timbre::testing {
namespace {

using Json = nlohmann::ordered_json;
using Errors = std::vector<std::string>;

constexpr std::string_view kSchemas = "#/components/schemas/";

std::vector<std::string> Segments(const std::string& path) {
  std::vector<std::string> segments;
  std::istringstream in(path);
  for (std::string segment; std::getline(in, segment, '/');) segments.push_back(segment);
  return segments;
}

bool IsName(const std::string& segment) { return segment.size() > 2 && segment.front() == '{'; }

// The operation of a request: of the path with the fewest names that it matches; null where there is none.
const Json* FindOperation(const Json& description, std::string method, const std::string& target) {
  method = LowerCase(method);
  const std::vector<std::string> asked = Segments(target.substr(0, target.find('?')));
  const Json* found = nullptr;
  std::ptrdiff_t fewest = 1000;
  for (const auto& [path, operations] : description["paths"].items()) {
    const std::vector<std::string> parts = Segments(path);
    if (parts.size() != asked.size()) continue;
    const bool matches = std::equal(parts.begin(), parts.end(), asked.begin(), [](const auto& part, const auto& is) {
      return part == is || (IsName(part) && !is.empty());
    });
    const std::ptrdiff_t names = std::count_if(parts.begin(), parts.end(), IsName);
    if (!matches || names >= fewest) continue;
    fewest = names;
    found = operations.contains(method) ? &operations[method] : nullptr;
  }
  return found;
}

void CheckReferences(const Json& description, const Json& in, const std::string& place, Errors& errors) {
  if (!in.is_structured()) return;
  if (in.is_object() && in.contains("$ref")) {
    const std::string to = in["$ref"];
    if (!to.starts_with(kSchemas) || !description["components"]["schemas"].contains(to.substr(kSchemas.size()))) {
      errors.push_back(place + ": there is no " + to);
    }
  }
  for (const auto& [key, value] : in.items()) CheckReferences(description, value, place + "/" + key, errors);
}

}  // namespace

Json Resolved(const Json& description, const Json& schema) {
  if (!schema.is_structured()) return schema;
  if (schema.is_object() && schema.contains("$ref")) {
    const std::string to = schema["$ref"];
    return Resolved(description, description["components"]["schemas"][to.substr(kSchemas.size())]);
  }
  Json resolved = schema;
  for (auto& part : resolved) part = Resolved(description, part);
  return resolved;
}

std::vector<std::string> DescriptionErrors(const Json& description) {
  Errors errors;
  if (description.value("openapi", "") != "3.1.0") errors.emplace_back("openapi is not 3.1.0");
  for (const char* member : {"title", "version"}) {
    if (description["info"].value(member, "").empty()) errors.push_back(std::string("info has no ") + member);
  }
  std::set<std::string> names;
  for (const auto& [path, operations] : description["paths"].items()) {
    if (!path.starts_with('/') || (path.size() > 1 && path.ends_with('/'))) errors.push_back(path + " is no path");
    for (const auto& [method, operation] : operations.items()) {
      const std::string name = operation.value("operationId", "");
      if (name.empty() || !names.insert(name).second) errors.push_back(path + ": '" + name + "' is no name of its own");
      if (operation.value("summary", "").empty()) errors.push_back(name + " has no summary");
      std::set<std::string> declared;
      for (const Json& parameter : operation.value("parameters", Json::array())) {
        const std::string key = parameter["in"].get<std::string>() + " " + parameter["name"].get<std::string>();
        if (!declared.insert(key).second) errors.push_back(name + ": " + key + " comes twice");
        if (!parameter.contains("schema")) errors.push_back(name + ": " + key + " has no schema");
        if (parameter["in"] == "path" && parameter.value("required", false) != true) {
          errors.push_back(name + ": " + key + " is not required");
        }
      }
      for (const std::string& part : Segments(path)) {
        if (IsName(part) && !declared.contains("path " + part.substr(1, part.size() - 2))) {
          errors.push_back(name + ": " + part + " is not declared");
        }
      }
      const Json responses = operation.value("responses", Json::object());
      if (responses.empty()) errors.push_back(name + " has no answers");
      for (const auto& [status, answer] : responses.items()) {
        if (answer.value("description", "").empty()) errors.push_back(name + ": " + status + " has no description");
      }
    }
  }
  CheckReferences(description, description, "", errors);
  return errors;
}

std::vector<std::string> AnswerErrors(const Json& description, const std::string& method, const std::string& target,
                                      const HttpAnswer& answer) {
  const Json* operation = FindOperation(description, method, target);
  if (operation == nullptr || answer.status == 0) return {};
  const std::string where = method + " " + target + ": " + std::to_string(answer.status);
  const Json& responses = (*operation)["responses"];
  const std::string status = std::to_string(answer.status);
  // What any request may be refused with is described once for all.
  if (!responses.contains(status) && (answer.status < 400 || !responses.contains("default"))) {
    return {where + " is not described"};
  }
  const Json described = responses.contains(status) ? responses[status] : responses["default"];
  const Json content = described.value("content", Json::object());
  if (answer.body.empty()) return {};
  std::string type = answer.Header("Content-Type");
  type = type.substr(0, type.find(';'));
  // Files have types of their own.
  if (!content.contains(type)) {
    return content.contains("application/octet-stream") && answer.status < 300 ? Errors()
                                                                               : Errors{where + " is " + type};
  }
  if (!type.ends_with("json")) return {};
  const Json body = Json::parse(answer.body, nullptr, false);
  if (body.is_discarded()) return {where + " is no JSON"};
  Errors errors = SchemaErrors(Resolved(description, content[type]["schema"]), body);
  for (std::string& error : errors) error = where + error;
  return errors;
}

}  // namespace timbre::testing
