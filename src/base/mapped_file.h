// A file as read-only memory.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace timbre {

// Maps `path`, which must be a regular file; an empty one gives no bytes. The mapping lasts as long as a copy or a
// slice of the result does. Another process that shortens the file meanwhile breaks it, as with every mapping: files
// that timbre itself replaces are renamed into place, never rewritten.
Result<SharedBytes> MapFile(const std::string& path);

}  // namespace timbre
