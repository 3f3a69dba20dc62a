// What an EventStream and the connection that carries it share.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "http/message.h"

namespace timbre::http {

struct EventStream::Shared {
  std::mutex mutex;
  std::string text;            // not yet sent
  bool closed = false;         // no more is coming, or nobody is there to take it
  bool asleep = false;         // the connection waits for `wake`
  std::function<void()> wake;  // of the connection; empty once it is gone

  // Both with the lock held.
  void Wake() {
    if (asleep && wake) {
      asleep = false;
      wake();
    }
  }
};

}  // namespace timbre::http
