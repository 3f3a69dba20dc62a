#include "http/guard.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "http/problem.h"

namespace timbre::http {
namespace {

bool IsSafe(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

// Requests whose end two servers could see at two places (RFC 9112, 6.3).
std::optional<Response> CheckFraming(const Request& request) {
  const int lengths = request.headers.Count("Content-Length"), codings = request.headers.Count("Transfer-Encoding");
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) {
    return Problem(400, "framing", "the request says in two ways how long its body is.");
  }
  const std::string_view length = request.Header("Content-Length");
  if (lengths == 1 &&
      (length.empty() || length.size() > 18 || length.find_first_not_of("0123456789") != std::string_view::npos)) {
    return Problem(400, "framing", "the Content-Length is no number.");
  }
  if (codings == 1 && !EqualIgnoringCase(request.Header("Transfer-Encoding"), "chunked")) {
    return Problem(501, "framing", "the only Transfer-Encoding here is chunked.");
  }
  return std::nullopt;
}

}  // namespace

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | static_cast<unsigned char>(a[i] ^ b[i]));
  }
  return difference == 0;
}

std::optional<Response> Guard::CheckOrigin(const Request& request) const {
  if (auto refused = CheckFraming(request); refused) return refused;
  const std::string host = LowerCase(request.Header("Host"));
  if (request.headers.Count("Host") > 1) return Problem(400, "framing", "the request has more than one Host.");
  if (!settings_.any_host && !settings_.hosts.contains(host)) {
    return Problem(421, "host", "this server does not go by that name; --allow-host allows it.");
  }
  const std::string* origin = request.headers.Find("Origin");
  if (origin != nullptr) {
    const bool ours = *origin == "http://" + host || *origin == "https://" + host;
    const bool allowed = !settings_.allow_origin.empty() && *origin == settings_.allow_origin;
    if (allowed) return std::nullopt;
    if (!ours) return Problem(403, "origin", "pages of another origin may not ask this server.");
  }
  const std::string_view site = request.Header("Sec-Fetch-Site");
  if (!site.empty() && site != "same-origin" && site != "none" && !IsSafe(request.method)) {
    return Problem(403, "origin", "pages of another origin may not ask this server.");
  }
  return std::nullopt;
}

std::optional<Response> Guard::CheckToken(Request& request) const {
  const std::string_view authorization = request.Header("Authorization");
  std::string token;
  if (authorization.size() > 7 && EqualIgnoringCase(authorization.substr(0, 7), "Bearer ")) {
    token = authorization.substr(7);
  } else if (auto cookie = CookieValue(request.Header("Cookie"), "timbre"); cookie) {
    token = *std::move(cookie);
  }
  if (!token.empty() && token.size() <= 256) {
    if (auto client = settings_.client_of(token); client) {
      request.client = *std::move(client);
      return std::nullopt;
    }
  }
  Response response = Problem(
      401, "token",
      token.empty() ? "a token is needed: 'Authorization: Bearer TOKEN'." : "the token is not one of this server's.");
  response.headers.Set("WWW-Authenticate", token.empty() ? "Bearer" : "Bearer error=\"invalid_token\"");
  return response;
}

std::optional<Response> Guard::CheckRate(const std::string& client, std::chrono::steady_clock::time_point now) {
  if (settings_.requests_per_second <= 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = buckets_.try_emplace(client, Bucket{settings_.burst, now});
  Bucket& bucket = found->second;
  const double elapsed = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(settings_.burst, bucket.tokens + elapsed * settings_.requests_per_second);
  bucket.filled = now;
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return std::nullopt;
  }
  Response response = Problem(429, "too-many-requests", "too many requests in a short time; wait a little.");
  response.headers.Set("Retry-After", "1");
  return response;
}

}  // namespace timbre::http
