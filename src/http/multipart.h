// multipart/form-data (RFC 7578, 2046) as it comes: bytes go in as a client sends them, parts come out, and no more is
// kept of them than a delimiter and a header take.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace timbre::http {

struct FormPart {
  std::string name;       // of the field; empty where none is given
  std::string file_name;  // through SafeFileName; empty where none is given
};

class MultipartReader {
 public:
  static constexpr size_t kLongestBoundary = 70;
  static constexpr size_t kMostHeader = size_t{8} << 10;  // bytes, of a part
  static constexpr int kMostParts = 100;

  struct Handler {
    std::function<Status(const FormPart&)> begin;
    std::function<Status(std::string_view)> data;
    std::function<Status()> end;
  };

  // The boundary of a Content-Type of that kind; kInvalidArgument where there is none, or none that may be.
  static Result<std::string> BoundaryOf(std::string_view content_type);

  MultipartReader(std::string_view boundary, Handler handler);

  // kInvalidArgument where this is no such body; the handler's failures as they are. After one nothing more is taken.
  Status Feed(std::string_view bytes);
  // kInvalidArgument where the end has not come yet.
  Status Finish() const;

 private:
  enum class State : uint8_t { kPreamble, kDelimiter, kHeader, kData, kEpilogue, kFailed };
  Status Step(bool& more);
  Status Begin(std::string_view header);

  const std::string delimiter_;  // "\r\n--boundary"
  const Handler handler_;
  State state_ = State::kPreamble;
  std::string held_ = "\r\n";  // not yet understood: the first delimiter needs no line before it
  int parts_ = 0;
};

}  // namespace timbre::http
