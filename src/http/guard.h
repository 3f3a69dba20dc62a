// Who may ask at all: before a body is read, and before any handler.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "http/message.h"

namespace timbre::http {

// Takes as long whatever the texts are, of one length.
bool EqualInConstantTime(std::string_view a, std::string_view b);

struct GuardSettings {
  // "localhost:7433": what a Host header may say. A page of another name that resolves to this machine (DNS rebinding)
  // sends its own.
  std::set<std::string, std::less<>> hosts;
  bool any_host = false;     // of a socket that no browser reaches
  std::string allow_origin;  // one more origin that may ask; empty: none
  // The name of whom a token belongs to.
  std::function<std::optional<std::string>(std::string_view token)> client_of;
  double requests_per_second = 50;  // of one client; 0: no limit
  double burst = 200;
};

// Thread-safe.
class Guard {
 public:
  explicit Guard(GuardSettings settings) : settings_(std::move(settings)) {}

  // Whether the request comes from where it may: framing, Host, Origin and Sec-Fetch-Site. The answer that refuses it,
  // or nothing.
  std::optional<Response> CheckOrigin(const Request& request) const;
  // Whether it has a token, as a bearer's (RFC 6750) or in the cookie "timbre"; sets Request::client.
  std::optional<Response> CheckToken(Request& request) const;
  // Whether the client asks too often.
  std::optional<Response> CheckRate(const std::string& client, std::chrono::steady_clock::time_point now);

 private:
  struct Bucket {
    double tokens = 0;
    std::chrono::steady_clock::time_point filled;
  };
  const GuardSettings settings_;
  std::mutex mutex_;
  std::map<std::string, Bucket> buckets_;  // guarded by mutex_; a client each, of those that have tokens
};

}  // namespace timbre::http
