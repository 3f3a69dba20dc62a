#include "http/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "http/problem.h"

namespace timbre::http {
namespace {

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits alone; what is beyond int64 is as good as its largest value.
std::optional<int64_t> Digits(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc::result_out_of_range ? INT64_MAX : value;
}

// Whether a list of entity tags names `etag`. Weak ones only where `weak` says so.
bool Names(std::string_view list, std::string_view etag, bool weak) {
  while (!list.empty()) {
    list = Trimmed(list);
    if (list.starts_with('*')) return !etag.empty();
    const bool is_weak = list.starts_with("W/");
    if (is_weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const size_t end = list.find('"', 1);
    if (end == std::string_view::npos) return false;
    if (list.substr(0, end + 1) == etag && (weak || !is_weak)) return true;
    list = Trimmed(list.substr(end + 1));
    if (!list.empty() && list.front() != ',') return false;
    if (!list.empty()) list.remove_prefix(1);
  }
  return false;
}

Response NotModified(const std::string& etag) {
  Response response{.status = 304};
  response.headers.Set("ETag", etag);
  return response;
}

// FNV-1a: says that a text has changed, not who made it.
std::string Digest(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("\"{:016x}-{:x}\"", hash, text.size());
}

}  // namespace

RangeAnswer ParseRange(std::string_view header, int64_t size) {
  header = Trimmed(header);
  if (header.size() < 6 || !EqualIgnoringCase(header.substr(0, 6), "bytes=")) return {};
  const std::string_view spec = Trimmed(header.substr(6));
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) return {};
  const std::string_view from = spec.substr(0, dash), to = spec.substr(dash + 1);
  if (from.empty()) {  // the last so many bytes
    const auto count = Digits(to);
    if (!count) return {};
    if (*count == 0 || size == 0) return {.outcome = RangeOutcome::kUnsatisfiable};
    return {RangeOutcome::kPart, size - std::min(*count, size), size - 1};
  }
  const auto first = Digits(from);
  const auto last = to.empty() ? INT64_MAX : Digits(to);
  if (!first || !last || *last < *first) return {};
  if (*first >= size) return {.outcome = RangeOutcome::kUnsatisfiable};
  return {RangeOutcome::kPart, *first, std::min(*last, size - 1)};
}

Condition Evaluate(const Request& request, std::string_view etag) {
  if (const std::string* match = request.headers.Find("If-Match"); match != nullptr && !Names(*match, etag, false)) {
    return Condition::kFailed;
  }
  if (const std::string* none = request.headers.Find("If-None-Match"); none != nullptr && Names(*none, etag, true)) {
    return request.method == "GET" || request.method == "HEAD" ? Condition::kNotModified : Condition::kFailed;
  }
  return Condition::kGo;
}

Response ServeFile(const Request& request, OwnedFile file, int64_t size, const std::string& etag,
                   const std::string& media_type) {
  switch (Evaluate(request, etag)) {
    case Condition::kGo: break;
    case Condition::kNotModified: return NotModified(etag);
    case Condition::kFailed: return Problem(412, "precondition-failed", "it is not what If-Match names.");
  }
  // Ranges of another version than the one the client has a part of would not fit together.
  const std::string* if_range = request.headers.Find("If-Range");
  RangeAnswer range;
  if (request.method == "GET" && (if_range == nullptr || *if_range == etag)) {
    range = ParseRange(request.Header("Range"), size);
  }
  if (range.outcome == RangeOutcome::kUnsatisfiable) {
    Response response = Problem(416, "range", fmt::format("there are {} bytes, and the range lies behind them.", size));
    response.headers.Set("Content-Range", fmt::format("bytes */{}", size));
    return response;
  }
  Response response{.file = std::move(file), .length = size};
  if (range.outcome == RangeOutcome::kPart) {
    response.status = 206;
    response.offset = range.first;
    response.length = range.last - range.first + 1;
    response.headers.Set("Content-Range", fmt::format("bytes {}-{}/{}", range.first, range.last, size));
  }
  response.headers.Set("Accept-Ranges", "bytes");
  response.headers.Set("ETag", etag);
  response.headers.Set("Content-Type", media_type);
  return response;
}

Response WithEtag(const Request& request, Response response) {
  const std::string etag = Digest(response.body);
  if (Evaluate(request, etag) == Condition::kNotModified) return NotModified(etag);
  response.headers.Set("ETag", etag);
  return response;
}

}  // namespace timbre::http
