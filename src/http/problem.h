// What went wrong, as application/problem+json (RFC 9457).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace timbre::http {

// A member of a request that is wrong: where it is (RFC 6901), and why.
struct ProblemPart {
  std::string pointer;
  std::string message;
};

// {"type": "/problems/queue-full", "title", "status", "detail"}: `kind` is the last part of the type, `detail` the
// sentence for a person.
nlohmann::ordered_json ProblemJson(int status, std::string_view kind, std::string_view detail,
                                   const std::vector<ProblemPart>& parts = {});
Response Problem(int status, std::string_view kind, std::string_view detail,
                 const std::vector<ProblemPart>& parts = {});

// The same of an error of a library layer. Of kInternal nothing is told but that it happened: its words go to the log.
Response ProblemOf(const Error& error);

// A JSON object of at most 64 levels; kInvalidArgument says where it is wrong.
Result<nlohmann::ordered_json> ParseJsonObject(std::string_view text);

// 200 and others with JSON. What a name holds that is no UTF-8 is replaced.
Response Json(int status, const nlohmann::ordered_json& json);

}  // namespace timbre::http
