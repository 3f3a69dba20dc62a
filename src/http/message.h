// What a client asks and what it gets. No type of the library that moves the bytes shows here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace timbre::http {

// Names are compared without regard to case.
class Headers {
 public:
  void Add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  // Replaces all of that name.
  void Set(const std::string& name, std::string value);
  // The first of that name; null where there is none.
  const std::string* Find(std::string_view name) const;
  int Count(std::string_view name) const;
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// "%C3%A9" to its bytes; nothing for "%", "%4" and "%00".
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space = false);
// What may stand in a path's segment or a query's value, all else as %XX.
std::string PercentEncode(std::string_view text);

using Query = std::map<std::string, std::string, std::less<>>;
// "a=1&b=%20"; at most 64 names. Nothing where an escape is wrong or a name comes twice.
std::optional<Query> ParseQuery(std::string_view text);

// The value of a cookie in a Cookie header (RFC 6265, 4.2.1); nothing where it isn't there.
std::optional<std::string> CookieValue(std::string_view header, std::string_view name);

// Bytes of a request that are not kept in memory. Written to from one thread at a time, which may wait for a disk.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // After a failure nothing more is written; the answer is the route's to make, by what it has noted.
  virtual Status Write(std::string_view bytes) = 0;
};

struct Request {
  std::string method;                                        // "GET", in capitals
  std::string path;                                          // as it was sent, without the query
  Query query;                                               // decoded
  std::map<std::string, std::string, std::less<>> captured;  // of the route's pattern, decoded
  Headers headers;
  std::string body;    // all of it, where the route takes it whole
  std::string client;  // who asks: the name of the token; empty on open routes
  std::string peer;    // the address, for the log

  std::shared_ptr<BodySink> sink = nullptr;  // that the body went into, where the route opened one

  // Empty where there is none.
  std::string_view Header(std::string_view name) const;
  std::string_view QueryValue(std::string_view name) const;
  std::string Captured(std::string_view name) const;
};

// Bytes of an answer, asked for as the client reads. Called from one thread at a time.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // Fills up to `most` bytes and says how many: 0 at the end. A failure cuts the connection: what is missing shows.
  virtual Result<size_t> Read(char* out, size_t most) = 0;
};

// The text/event-stream of one client (WHATWG HTML, 9.2). Thread-safe.
class EventStream {
 public:
  // A client that is further behind is dropped; it comes back with the id of what it saw last.
  static constexpr size_t kMostBehind = size_t{256} << 10;

  // Adds text made by FormatEvent. False where the client is gone or was dropped.
  bool Push(std::string_view text);
  // Ends the stream once what was pushed is sent.
  void Close();
  bool closed() const;

 private:
  friend class Server;
  struct Shared;
  std::shared_ptr<Shared> shared_ = MakeShared();
  static std::shared_ptr<Shared> MakeShared();
};

// An event: `id` is left out where it is negative, so that a client's Last-Event-ID stays what it was.
std::string FormatEvent(std::string_view type, std::string_view data, int64_t id = -1);

// Closes what it holds.
class OwnedFile {
 public:
  explicit OwnedFile(int fd = -1) : fd_(fd) {}
  OwnedFile(OwnedFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFile& operator=(OwnedFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFile();
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Response;
// Asked again whenever something has changed, and a last time at the deadline, when it has to answer.
using LaterAnswer = std::function<std::optional<Response>(bool last)>;

struct Response {
  int status = 200;
  Headers headers;
  // One of these: text; a part of a file; bytes as they are read, of `length` where that is known; events; an answer
  // that is not there yet.
  std::string body = {};
  OwnedFile file = OwnedFile();
  int64_t offset = 0;
  std::unique_ptr<BodySource> source = nullptr;
  int64_t length = -1;  // of `file` and of `source`; -1: not known
  std::shared_ptr<EventStream> events = nullptr;
  LaterAnswer later = nullptr;
  std::chrono::milliseconds patience{0};  // for `later`
};

// 200 with a media type.
Response Text(int status, std::string body, std::string media_type = "text/plain; charset=utf-8");

// The reason phrase of RFC 9110 and others: "Not Found".
std::string_view ReasonPhrase(int status);

}  // namespace timbre::http
