// A socket that listens.
#pragma once

#include "base/result.h"
#include "http/message.h"
#include "http/server.h"

namespace timbre::http {

struct Listening {
  OwnedFile socket;
  int port = 0;  // 0 of a Unix socket
};

// A Unix socket is the user's alone (0600); one that nobody listens on any more is replaced.
Result<Listening> Listen(const ListenAddress& address);

}  // namespace timbre::http
