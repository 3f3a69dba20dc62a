#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"

namespace timbre::testing {
namespace {

constexpr int kPatience = 30000;  // milliseconds without a byte

}  // namespace

std::string HttpAnswer::Header(const std::string& name) const {
  const std::string wanted = "\r\n" + LowerCase(name) + ": ";
  const size_t at = LowerCase(headers).find(wanted);
  if (at == std::string::npos) return "";
  const size_t begin = at + wanted.size();
  return headers.substr(begin, headers.find("\r\n", begin) - begin);
}

HttpAnswer AskServer(int port, const std::string& method, const std::string& target, const std::string& headers,
                     const std::string& body, const std::string& until) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  HttpAnswer answer;
  std::string got;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
                       "\r\nConnection: close\r\n" + headers;
    if (!body.empty() || method != "GET") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    text += "\r\n" + body;
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    pollfd watch{.fd = fd, .events = POLLIN};
    while ((until.empty() || got.find(until) == std::string::npos) && poll(&watch, 1, kPatience) > 0) {
      char buffer[65536];
      const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      got.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  const size_t end = got.find("\r\n\r\n");
  if (!got.starts_with("HTTP/1.1 ") || end == std::string::npos) return answer;
  answer.status = std::atoi(got.c_str() + 9);
  answer.headers = got.substr(0, end + 2);
  answer.body = got.substr(end + 4);
  return answer;
}

}  // namespace timbre::testing
