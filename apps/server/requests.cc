#include "apps/server/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/suggest.h"
#include "base/text.h"

namespace timbre::server {

http::Response Invalid(const std::string& pointer, const std::string& message) {
  return http::Problem(422, "invalid", message, {{pointer, message}});
}

std::optional<http::Response> CheckMembers(const Json& json, const std::vector<std::string>& known) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return Invalid("/" + Printable(key), "there is no member '" + Printable(key) + "'." + SuggestionFor(key, known));
  }
  return std::nullopt;
}

std::optional<http::Response> ReadBody(const http::Request& request, const std::vector<std::string>& known,
                                       Json& body) {
  auto read = http::ParseJsonObject(request.body);
  if (!read) return http::Problem(400, "json", read.error().message);
  body = *std::move(read);
  return CheckMembers(body, known);
}

std::optional<http::Response> ReadOptions(const http::Request& request, Json& options) {
  Json body;
  if (auto refused = ReadBody(request, {"options"}, body); refused) return refused;
  options = body.value("options", Json::object());
  if (!options.is_object()) return Invalid("/options", "'options' is an object of names and values.");
  return std::nullopt;
}

std::string UniqueName(std::string name, std::set<std::string>& taken) {
  const size_t dot = std::min(name.rfind('.'), name.size());
  const std::string stem = name.substr(0, dot), extension = name.substr(dot);
  for (int i = 2; !taken.insert(name).second; ++i) name = fmt::format("{} ({}){}", stem, i, extension);
  return name;
}

std::optional<int> LimitOf(const http::Request& request) {
  const std::string_view text = request.QueryValue("limit");
  int limit = 50;
  if (text.empty()) return limit;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > 100) return std::nullopt;
  return limit;
}

http::Response WrongLimit() { return http::Problem(422, "invalid", "'limit' is a number from 1 to 100."); }

}  // namespace timbre::server
