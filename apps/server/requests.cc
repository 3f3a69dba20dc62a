#include "apps/server/requests.h"

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
