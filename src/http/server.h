// An HTTP/1.1 server: one thread over epoll moves bytes, a few run handlers, and one minds the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/guard.h"
#include "http/router.h"

namespace timbre::http {

struct Limits {
  int connections = 256;
  int connections_of_one_address = 32;
  int headers_seconds = 10;  // from a request's first line, or the connection, to the end of its headers
  int idle_seconds = 60;     // between requests, and for a reader that takes nothing
  int body_seconds = 30;     // in which at least a KiB a second of a body arrives
  size_t header_bytes = size_t{16} << 10;
  size_t target_bytes = size_t{8} << 10;
  int handlers = 4;  // threads
};

// Of a request that has ended, for logs and metrics.
struct Served {
  std::string route;  // its name; empty where there is none
  std::string method, path, peer, client;
  int status = 0;
  double seconds = 0;
};

struct ServerSettings {
  std::string listen = "127.0.0.1:0";  // "HOST:PORT", "[::1]:PORT" or "unix:PATH"; port 0: any that is free
  Limits limits;
  GuardSettings guard;                        // `hosts` gets what is listened to added
  std::function<void(const Served&)> served;  // from the server's threads
};

class Server {
 public:
  // Listens, and answers from then on. kIo where the address can't be had.
  static Result<std::unique_ptr<Server>> Start(ServerSettings settings, Router router);
  ~Server();

  int port() const;  // 0 of a Unix socket
  // Something has changed: answers that wait (Response::later) are asked again.
  void Notify();
  // Takes no new connections, ends event streams, gives waiting requests their last answer, and waits a moment for what
  // is on its way.
  void Stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "HOST:PORT" as its parts; kInvalidArgument where it is neither that nor "unix:PATH".
struct ListenAddress {
  std::string host;  // without brackets
  int port = 0;
  std::string path;  // of a Unix socket
  bool loopback = false;
};
Result<ListenAddress> ParseListenAddress(const std::string& text);

}  // namespace timbre::http
