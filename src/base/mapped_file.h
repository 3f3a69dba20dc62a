// A file as read-only memory.
#pragma once

#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace timbre {

// Maps `path`, which must be a regular file; an empty one gives no bytes. The mapping lasts as long as a copy or a
// slice of the result does. Another process that shortens the file meanwhile breaks it, as with every mapping: files
// that timbre itself replaces are renamed into place, never rewritten.
Result<SharedBytes> MapFile(const std::string& path);

// Bytes of a mapping leave this process's memory; where they are read again, they come back from the file. Advice:
// where the system does not take it, nothing happens.
void DropMappedPages(std::span<const std::byte> bytes);

}  // namespace timbre
