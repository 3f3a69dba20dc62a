#include "http/multipart.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "http/message.h"
#include "http/names.h"

namespace timbre::http {
namespace {

tl::unexpected<Error> Wrong(const std::string& why) {
  return Fail(ErrorCode::kInvalidArgument, "the body is no multipart/form-data: " + why + ".");
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool BeginsWith(std::string_view text, std::string_view name) {
  return text.size() >= name.size() && EqualIgnoringCase(text.substr(0, name.size()), name);
}

// What may stand in a boundary (RFC 2046, 5.1.1).
bool IsBoundary(std::string_view text) {
  constexpr std::string_view kOthers = "'()+_,-./:=? ";
  return !text.empty() && text.size() <= MultipartReader::kLongestBoundary && text.back() != ' ' &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  kOthers.find(c) != std::string_view::npos;
         });
}

// The value of a parameter of a header: name="value" or name=value; empty where it isn't there.
std::string Parameter(std::string_view header, std::string_view name) {
  for (size_t at = header.find(';'); at != std::string_view::npos;) {
    std::string_view rest = Trimmed(header.substr(at + 1));
    if (BeginsWith(rest, name) && rest.size() > name.size() && rest[name.size()] == '=') {
      rest.remove_prefix(name.size() + 1);
      if (!rest.starts_with('"')) return std::string(Trimmed(rest.substr(0, rest.find(';'))));
      std::string value;
      for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
        if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
        value += rest[i];
      }
      return value;
    }
    // Within quotation marks a semicolon is one.
    bool quoted = false;
    size_t next = at + 1;
    for (; next < header.size() && (quoted || header[next] != ';'); ++next) {
      if (header[next] == '\\' && quoted)
        ++next;
      else if (header[next] == '"')
        quoted = !quoted;
    }
    at = next < header.size() ? next : std::string_view::npos;
  }
  return "";
}

}  // namespace

Result<std::string> MultipartReader::BoundaryOf(std::string_view content_type) {
  if (!BeginsWith(content_type, "multipart/form-data")) return Wrong("its Content-Type is another");
  std::string boundary = Parameter(content_type, "boundary");
  if (!IsBoundary(boundary)) return Wrong("its Content-Type names no boundary of 1 to 70 characters");
  return boundary;
}

MultipartReader::MultipartReader(std::string_view boundary, Handler handler)
    : delimiter_("\r\n--" + std::string(boundary)), handler_(std::move(handler)) {}

Status MultipartReader::Begin(std::string_view header) {
  if (++parts_ > kMostParts) return Wrong("it has more than 100 parts");
  FormPart part;
  while (!header.empty()) {
    const size_t end = std::min(header.find("\r\n"), header.size());
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Wrong("a line of a part's header has no colon");
    if (!EqualIgnoringCase(line.substr(0, colon), "Content-Disposition")) continue;
    const std::string_view value = Trimmed(line.substr(colon + 1));
    part.name = Parameter(value, "name");
    const std::string file = Parameter(value, "filename");
    part.file_name = file.empty() ? "" : SafeFileName(file);
  }
  return handler_.begin(part);
}

// Takes one thing out of what is held, if it is all there.
Status MultipartReader::Step(bool& more) {
  more = true;
  switch (state_) {
    case State::kPreamble:
    case State::kData: {
      const bool data = state_ == State::kData;
      const size_t at = held_.find(delimiter_);
      // What might be the beginning of a delimiter stays.
      const size_t sure = at != std::string::npos ? at : held_.size() - std::min(held_.size(), delimiter_.size() - 1);
      if (data && sure > 0) TIMBRE_CHECK(handler_.data(std::string_view(held_).substr(0, sure)));
      held_.erase(0, at != std::string::npos ? at + delimiter_.size() : sure);
      more = at != std::string::npos;
      if (!more) return {};
      state_ = State::kDelimiter;
      return data ? handler_.end() : Status();
    }
    case State::kDelimiter: {
      if (held_.starts_with("--")) {
        state_ = State::kEpilogue;
        return {};
      }
      // Blanks may follow, and a line must end.
      const size_t end = held_.find("\r\n");
      const std::string_view line = std::string_view(held_).substr(0, std::min(end, held_.size()));
      const bool may_go_on = end == std::string::npos && held_.size() < 100;
      more = end != std::string::npos;
      if (!more && may_go_on) return {};
      if (!more || end > 100 || !Trimmed(line).empty()) return Wrong("something stands behind a boundary");
      held_.erase(0, end);  // the line's end stays: a header may be empty
      state_ = State::kHeader;
      return {};
    }
    case State::kHeader: {
      const size_t end = held_.find("\r\n\r\n");
      more = end != std::string::npos;
      if ((more ? end : held_.size()) > kMostHeader) return Wrong("a part's header is longer than 8 KiB");
      if (!more) return {};
      const std::string header = held_.substr(std::min<size_t>(2, end), end - std::min<size_t>(2, end));
      held_.erase(0, end + 4);
      state_ = State::kData;
      return Begin(header);
    }
    case State::kEpilogue:
    case State::kFailed:
      held_.clear();
      more = false;
      return {};
  }
  return {};
}

Status MultipartReader::Feed(std::string_view bytes) {
  if (state_ == State::kFailed) return Wrong("it was refused before");
  held_ += bytes;
  for (bool more = true; more;) {
    if (Status step = Step(more); !step) {
      state_ = State::kFailed;
      return step;
    }
  }
  return {};
}

Status MultipartReader::Finish() const {
  return state_ == State::kEpilogue ? Status() : Status(Wrong("it ends before its last boundary"));
}

}  // namespace timbre::http
