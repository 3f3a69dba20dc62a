// Memory that runs out as an error in words.
#pragma once

#include <new>

#include "base/result.h"

namespace timbre {

inline constexpr const char* kOutOfMemoryText = "out of memory; close other programs or use a shorter --segment.";

// What `body` returns, or an error where memory ran out in it: for what runs on a thread of its own, and for what
// others work beside, who have to be told before the stack is unwound.
template <typename Body>
Status WithinMemory(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Fail(ErrorCode::kOutOfMemory, kOutOfMemoryText);
  }
}

}  // namespace timbre
