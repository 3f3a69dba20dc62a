// What every function of the C interface needs: no exception may reach a C caller, and failures become sentences.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "base/out_of_memory.h"
#include "base/result.h"
#include "base/text.h"
#include "timbre/timbre.h"

namespace timbre::capi {

// Into the caller's memory, cut behind a whole character where it is too small; hosts print it and write it to logs.
inline void Complain(const std::string& message, char* error, size_t error_size) {
  if (error == nullptr || error_size == 0) return;
  const size_t room = error_size - 1, ellipsis = sizeof("…") - 1;
  std::string text = Printable(message, room);
  if (text.size() > room) text = room < ellipsis ? "" : Printable(message, room - ellipsis);
  std::memcpy(error, text.c_str(), text.size() + 1);
}

inline timbre_status StatusOf(ErrorCode code) {
  if (code == ErrorCode::kCancelled) return TIMBRE_CANCELLED;
  return code == ErrorCode::kInvalidArgument ? TIMBRE_INVALID_ARGUMENT : TIMBRE_FAILED;
}

// What `make` gives, a Result, or nothing. Standard containers throw where memory is short.
template <typename F>
auto Guarded(const F& make) -> decltype(make()) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return Fail(ErrorCode::kOutOfMemory, kOutOfMemoryText);
  } catch (const std::exception& e) {
    return Fail(ErrorCode::kInternal, e.what());
  }
}

// A copy that timbre_free frees; null where memory is short.
inline char* Copy(const std::string& text) {
  char* const copy = static_cast<char*>(std::malloc(text.size() + 1));
  return copy == nullptr ? nullptr : static_cast<char*>(std::memcpy(copy, text.c_str(), text.size() + 1));
}

}  // namespace timbre::capi
