// A thread, or an error in words where the system has none left.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "base/result.h"

namespace timbre {

// `body` runs on a thread of its own, which the caller joins.
template <typename Body>
Result<std::thread> StartThread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kOutOfMemory, std::string("the system gave no thread more (") + error.code().message() +
                                             "); ask for fewer --threads, or raise the limits of memory and processes");
  }
}

}  // namespace timbre
