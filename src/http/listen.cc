#include "http/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <type_traits>

#include "base/text.h"

namespace timbre::http {
namespace {

constexpr int kBacklog = 128;

tl::unexpected<Error> Refused(const std::string& where, int error) {
  return Fail(ErrorCode::kIo, "'" + where + "' can't be listened to: " + std::strerror(error) + ".");
}

Result<Listening> ListenToPath(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) return Refused(path, ENAMETOOLONG);
  std::memcpy(name.sun_path, path.data(), path.size());
  const auto* address = reinterpret_cast<const sockaddr*>(&name);
  OwnedFile probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (probe.get() >= 0 && connect(probe.get(), address, sizeof(name)) == 0) return Refused(path, EADDRINUSE);
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path.c_str());
  OwnedFile socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket_.get() < 0) return Refused(path, errno);
  // The mode is the socket's from the beginning, not after somebody could have connected.
  const mode_t old = umask(0177);
  const bool bound = bind(socket_.get(), address, sizeof(name)) == 0;
  const int error = errno;
  umask(old);
  if (!bound) return Refused(path, error);
  if (listen(socket_.get(), kBacklog) != 0) return Refused(path, errno);
  return Listening{std::move(socket_), 0};
}

template <typename Address>
Result<Listening> ListenToAddress(Address name, const std::string& shown) {
  OwnedFile socket_(socket(reinterpret_cast<const sockaddr*>(&name)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket_.get() < 0) return Refused(shown, errno);
  const int on = 1;
  setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  socklen_t length = sizeof(name);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), length) != 0) return Refused(shown, errno);
  if (listen(socket_.get(), kBacklog) != 0) return Refused(shown, errno);
  if (getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) return Refused(shown, errno);
  if constexpr (std::is_same_v<Address, sockaddr_in6>) {
    return Listening{std::move(socket_), ntohs(name.sin6_port)};
  } else {
    return Listening{std::move(socket_), ntohs(name.sin_port)};
  }
}

}  // namespace

Result<ListenAddress> ParseListenAddress(const std::string& text) {
  ListenAddress address;
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    address.loopback = true;
    if (address.path.empty()) return Fail(ErrorCode::kInvalidArgument, "'unix:' needs the path of a socket behind it.");
    return address;
  }
  const size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size() || address.port < 0 ||
      address.port > 65535) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + Printable(text) + "' is no address to listen to; give HOST:PORT, [IPV6]:PORT or unix:PATH.");
  }
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host == "localhost") address.host = "127.0.0.1";
  in6_addr numbers{};
  if (inet_pton(AF_INET, address.host.c_str(), &numbers) != 1 &&
      inet_pton(AF_INET6, address.host.c_str(), &numbers) != 1) {
    return Fail(ErrorCode::kInvalidArgument, "'" + Printable(address.host) +
                                                 "' is no numeric address; give one of this machine's, such as "
                                                 "127.0.0.1, or 0.0.0.0 for all.");
  }
  address.loopback = address.host.starts_with("127.") || address.host == "::1";
  return address;
}

Result<Listening> Listen(const ListenAddress& address) {
  if (!address.path.empty()) return ListenToPath(address.path);
  const std::string shown = address.host + ":" + std::to_string(address.port);
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<uint16_t>(address.port));
  if (inet_pton(AF_INET, address.host.c_str(), &four.sin_addr) == 1) return ListenToAddress(four, shown);
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(static_cast<uint16_t>(address.port));
  if (inet_pton(AF_INET6, address.host.c_str(), &name.sin6_addr) != 1) return Refused(shown, EINVAL);
  return ListenToAddress(name, shown);
}

}  // namespace timbre::http
