// Parts of a representation, and answers that depend on what the client has already (RFC 9110, 13 and 14).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace timbre::http {

enum class RangeOutcome : uint8_t { kWhole, kPart, kUnsatisfiable };

struct RangeAnswer {
  RangeOutcome outcome = RangeOutcome::kWhole;
  int64_t first = 0, last = 0;  // of kPart, inclusive
};

// What a Range header means for `size` bytes. Of several ranges, of other units and of what is malformed the answer is
// the whole, as RFC 9110 14.2 allows.
RangeAnswer ParseRange(std::string_view header, int64_t size);

enum class Condition : uint8_t { kGo, kNotModified, kFailed };

// If-Match and If-None-Match of a request for what has the strong `etag`, quotes included; empty: there is nothing.
Condition Evaluate(const Request& request, std::string_view etag);

// A file's bytes: 200, 206, 304, 412 or 416, with Accept-Ranges and ETag. Takes the file over.
Response ServeFile(const Request& request, OwnedFile file, int64_t size, const std::string& etag,
                   const std::string& media_type);

// JSON or other text with an ETag made from it: 200, or 304.
Response WithEtag(const Request& request, Response response);

}  // namespace timbre::http
