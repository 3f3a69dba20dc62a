#include "http/router.h"

#include <algorithm>

#include "base/text.h"

namespace timbre::http {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

bool IsName(std::string_view segment) { return segment.size() > 2 && segment.front() == '{' && segment.back() == '}'; }

bool Matches(const std::string& pattern, const std::vector<std::string_view>& segments,
             std::map<std::string, std::string, std::less<>>& captured) {
  const std::vector<std::string_view> parts = Segments(pattern);
  if (parts.size() != segments.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!IsName(parts[i])) {
      if (parts[i] != segments[i]) return false;
      continue;
    }
    const auto decoded = PercentDecode(segments[i]);
    if (!decoded || decoded->empty()) return false;
    captured[std::string(parts[i].substr(1, parts[i].size() - 2))] = *decoded;
  }
  return true;
}

Json Content(const std::string& gives) {
  if (gives.find('/') == std::string::npos) {
    return {{"application/json", {{"schema", {{"$ref", "#/components/schemas/" + gives}}}}}};
  }
  return {{gives, {{"schema", Json::object()}}}};
}

Json Operation(const Route& route) {
  Json operation = {{"operationId", route.name}, {"summary", route.summary}};
  Json parameters = Json::array();
  for (const std::string_view part : Segments(route.pattern)) {
    if (!IsName(part)) continue;
    parameters.push_back({{"name", part.substr(1, part.size() - 2)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}}}});
  }
  for (const QueryParameter& query : route.query) {
    parameters.push_back(
        {{"name", query.name}, {"in", "query"}, {"description", query.summary}, {"schema", {{"type", query.type}}}});
  }
  if (!parameters.empty()) operation["parameters"] = parameters;
  if (route.body == BodyKind::kJson) {
    operation["requestBody"] = {{"required", true}, {"content", Content(route.takes)}};
  } else if (route.body == BodyKind::kStream || route.body == BodyKind::kText) {
    operation["requestBody"] = {{"required", true}, {"content", Content(route.takes.empty() ? "*/*" : route.takes)}};
  }
  Json responses = Json::object();
  for (const int status : route.statuses) {
    Json answer = {{"description", ReasonPhrase(status)}};
    const bool bare = status == 204 || status == 304 || route.gives.empty();
    if (status < 300 && !bare) answer["content"] = Content(route.gives);
    if (status < 300 && !route.also_gives.empty()) answer["content"].update(Content(route.also_gives));
    if (status >= 400 && !route.problems) answer["content"] = Content(route.gives);
    if (status >= 400 && route.problems)
      answer["content"] = {{"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}};
    responses[std::to_string(status)] = answer;
  }
  responses["default"] = {
      {"description", "what went wrong"},
      {"content", {{"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}}};
  operation["responses"] = responses;
  if (route.open) operation["security"] = Json::array();
  return operation;
}

}  // namespace

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  const std::vector<std::string_view> segments = Segments(path);
  for (const Route& route : routes_) {
    std::map<std::string, std::string, std::less<>> captured;
    if (!Matches(route.pattern, segments, captured)) continue;
    match.allowed.push_back(route.method);
    if (route.method == "GET") match.allowed.emplace_back("HEAD");
    if (match.route == nullptr && (route.method == method || (route.method == "GET" && method == "HEAD"))) {
      match.route = &route;
      match.captured = std::move(captured);
    }
  }
  // A route that has its own HEAD beside GET is listed once.
  std::sort(match.allowed.begin(), match.allowed.end());
  match.allowed.erase(std::unique(match.allowed.begin(), match.allowed.end()), match.allowed.end());
  return match;
}

nlohmann::ordered_json Router::OpenApi(const std::string& version, const nlohmann::ordered_json& schemas) const {
  Json paths = Json::object();
  for (const Route& route : routes_) {
    if (route.described) paths[route.pattern][LowerCase(route.method)] = Operation(route);
  }
  return {{"openapi", "3.1.0"},
          {"jsonSchemaDialect", "https://json-schema.org/draft/2020-12/schema"},
          {"info", {{"title", "timbre"}, {"version", version}, {"description", "Audio models as jobs."}}},
          {"security", Json::array({{{"bearer", Json::array()}}, {{"cookie", Json::array()}}})},
          {"paths", paths},
          {"components",
           {{"schemas", schemas},
            {"securitySchemes",
             {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
              {"cookie", {{"type", "apiKey"}, {"in", "cookie"}, {"name", "timbre"}}}}}}}};
}

}  // namespace timbre::http
