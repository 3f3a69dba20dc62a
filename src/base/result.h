// Errors as values. Every library function that can fail returns Result<T>; nothing throws across a layer, aborts or
// prints.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace timbre {

// What kind of failure it was, so that callers can decide (the ladder steps down only on the device kinds).
enum class ErrorCode {
  kInvalidArgument,  // the caller asked for something that makes no sense
  kNotFound,         // a file, model, stem, weight … that does not exist
  kCorrupt,          // bytes from outside that are not what they claim to be
  kUnsupported,      // well formed, but beyond what this program does
  kIo,               // the operating system or the network refused
  kOutOfMemory,      // an allocation failed, on the host or on a device
  kDeviceLost,       // a device failed, hung or vanished
  kKernelFailed,     // one kernel could not be made or run on its device
  kCancelled,        // the observer asked to stop
  kInternal,         // a broken invariant of ours
};

std::string_view ErrorCodeName(ErrorCode code);

// `message` is one sentence: what was wrong, where, and what to do.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// The same failure with a place put in front: "song.mp3: …".
inline tl::unexpected<Error> Prefix(Error error, std::string_view where) {
  error.message = std::string(where) + ": " + error.message;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace timbre

#define TIMBRE_CONCAT_INNER(a, b) a##b
#define TIMBRE_CONCAT(a, b) TIMBRE_CONCAT_INNER(a, b)

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
// TIMBRE_TRY(auto x, MayFail());  binds the value, or returns the error from the enclosing function.
#define TIMBRE_TRY(declaration, expression) \
  TIMBRE_TRY_INNER(TIMBRE_CONCAT(timbre_result_, __COUNTER__), declaration, expression)
#define TIMBRE_TRY_INNER(result, declaration, expression)                         \
  auto result = (expression);                                                     \
  if (!result) return tl::unexpected<::timbre::Error>(std::move(result).error()); \
  declaration = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)

// TIMBRE_CHECK(MayFail());  for a Status: returns the error, if any, from the enclosing function.
#define TIMBRE_CHECK(expression)                                                \
  do {                                                                          \
    if (auto timbre_status = (expression); !timbre_status)                      \
      return tl::unexpected<::timbre::Error>(std::move(timbre_status).error()); \
  } while (false)
