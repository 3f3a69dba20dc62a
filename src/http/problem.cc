#include "http/problem.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace timbre::http {
namespace {

using JsonValue = nlohmann::ordered_json;

// The levels of arrays and objects in it, without parsing: the parser calls itself for each.
int Depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

struct Meaning {
  int status;
  std::string_view kind;
};

Meaning MeaningOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return {422, "invalid"};
    case ErrorCode::kNotFound: return {404, "not-found"};
    case ErrorCode::kCorrupt: return {422, "corrupt"};
    case ErrorCode::kUnsupported: return {422, "unsupported"};
    case ErrorCode::kIo: return {503, "input-output"};
    case ErrorCode::kOutOfMemory: return {503, "out-of-memory"};
    case ErrorCode::kDeviceLost: return {503, "device-lost"};
    case ErrorCode::kKernelFailed: return {503, "kernel-failed"};
    case ErrorCode::kCancelled: return {409, "cancelled"};
    case ErrorCode::kInternal: break;
  }
  return {500, "internal"};
}

}  // namespace

nlohmann::ordered_json ProblemJson(int status, std::string_view kind, std::string_view detail,
                                   const std::vector<ProblemPart>& parts) {
  JsonValue json = {{"type", "/problems/" + std::string(kind)},
                    {"title", ReasonPhrase(status)},
                    {"status", status},
                    {"detail", PrintableLines(detail, ' ')}};
  for (const ProblemPart& part : parts) {
    json["errors"].push_back({{"pointer", part.pointer}, {"message", PrintableLines(part.message, ' ')}});
  }
  return json;
}

Response Problem(int status, std::string_view kind, std::string_view detail, const std::vector<ProblemPart>& parts) {
  Response response = Json(status, ProblemJson(status, kind, detail, parts));
  response.headers.Set("Content-Type", "application/problem+json");
  return response;
}

Response ProblemOf(const Error& error) {
  const Meaning meaning = MeaningOf(error.code);
  if (meaning.status == 500) {
    Log(LogLevel::kWarning, error.message);
    return Problem(500, "internal", "something went wrong inside; the server's log says what.");
  }
  return Problem(meaning.status, meaning.kind, error.message);
}

Result<nlohmann::ordered_json> ParseJsonObject(std::string_view text) {
  constexpr int kMostLevels = 64;
  if (Depth(text) > kMostLevels) {
    return Fail(ErrorCode::kInvalidArgument, "the JSON is nested too deeply; 64 levels are allowed.");
  }
  try {
    JsonValue json = JsonValue::parse(text);
    if (!json.is_object()) return Fail(ErrorCode::kInvalidArgument, "the body has to be a JSON object.");
    return json;
  } catch (const JsonValue::parse_error& error) {
    return Fail(ErrorCode::kInvalidArgument,
                "the body is no JSON from its byte " + std::to_string(error.byte) + " on.");
  } catch (const JsonValue::exception&) {
    return Fail(ErrorCode::kInvalidArgument, "the body holds a number that is beyond what JSON here can hold.");
  }
}

Response Json(int status, const nlohmann::ordered_json& json) {
  return Text(status, json.dump(-1, ' ', false, JsonValue::error_handler_t::replace) + "\n", "application/json");
}

}  // namespace timbre::http
