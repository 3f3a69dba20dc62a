// A web server on the loopback that does exactly what a test tells it to, good or bad.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"

namespace timbre {

struct LoopbackRequest {
  std::string path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string Header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class LoopbackConnection {
 public:
  LoopbackConnection(int socket, const std::atomic<bool>& stop) : socket_(socket), stop_(stop) {}

  void Send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }
  // A whole answer; `headers` are further lines, each with its "\r\n".
  void Answer(const std::string& status, const std::string& body, const std::string& headers = "") {
    Send("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         headers + "\r\n" + body);
  }
  // Sends nothing more and waits until the other side has had enough, or the test ends.
  void Stall() {
    while (!stop_) {
      pollfd watch{.fd = socket_, .events = POLLIN};
      char byte;
      if (poll(&watch, 1, 20) > 0 && recv(socket_, &byte, 1, 0) <= 0) return;
    }
  }

 private:
  int socket_;
  const std::atomic<bool>& stop_;
};

class LoopbackServer {
 public:
  using Handler = std::function<void(const LoopbackRequest&, LoopbackConnection&)>;

  explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
    setenv("no_proxy", "127.0.0.1", 1);
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~LoopbackServer() {
    stop_ = true;
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string Url(const std::string& path = "/file") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<LoopbackRequest> Requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Accept() {
    while (!stop_) {
      pollfd watch{.fd = listener_, .events = POLLIN};
      if (poll(&watch, 1, 20) <= 0) continue;
      const int socket = accept(listener_, nullptr, nullptr);
      if (socket >= 0) threads_.emplace_back([this, socket] { Serve(socket); });
    }
  }
  void Serve(int socket) {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos && !stop_) {
      pollfd watch{.fd = socket, .events = POLLIN};
      if (poll(&watch, 1, 20) <= 0) continue;
      char buffer[4096];
      const ssize_t n = recv(socket, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    LoopbackRequest request;
    size_t line = 0;
    while (line < text.size()) {
      const size_t end = text.find("\r\n", line);
      if (end == std::string::npos || end == line) break;
      const std::string content = text.substr(line, end - line);
      if (line == 0) {
        const size_t first = content.find(' '), second = content.find(' ', first + 1);
        request.path = content.substr(first + 1, second - first - 1);
      } else if (const size_t colon = content.find(": "); colon != std::string::npos) {
        request.headers[LowerCase(content.substr(0, colon))] = content.substr(colon + 2);
      }
      line = end + 2;
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    LoopbackConnection connection(socket, stop_);
    handler_(request, connection);
    close(socket);
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // touched by the acceptor only, until it has ended
  std::mutex mutex_;
  std::vector<LoopbackRequest> requests_;
};

// Serves `body` as a well-behaved server does: validator, ranges, If-Range.
inline LoopbackServer::Handler ServeFile(std::string body, std::string tag = "\"one\"") {
  return
      [body = std::move(body), tag = std::move(tag)](const LoopbackRequest& request, LoopbackConnection& connection) {
        const std::string range = request.Header("range"), condition = request.Header("if-range");
        const std::string headers = tag.empty() ? "" : "ETag: " + tag + "\r\n";
        if (range.starts_with("bytes=") && (condition.empty() || condition == tag)) {
          const size_t from = std::stoul(range.substr(6));
          if (from >= body.size()) return connection.Answer("416 Range Not Satisfiable", "");
          return connection.Answer("206 Partial Content", body.substr(from),
                                   headers + "Content-Range: bytes " + std::to_string(from) + "-" +
                                       std::to_string(body.size() - 1) + "/" + std::to_string(body.size()) + "\r\n");
        }
        connection.Answer("200 OK", body, headers);
      };
}

}  // namespace timbre
