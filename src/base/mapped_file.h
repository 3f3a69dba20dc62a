// A file as read-only memory, whatever happens to the file.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace timbre {

// Reads `path`, which must be a regular file, into memory of its own; an empty one gives no bytes. The memory lasts as
// long as a copy or a slice of the result does. kIo where the file is cut short meanwhile.
Result<SharedBytes> MapFile(const std::string& path);

// Gives the memory of what MapFile read back: at the same addresses the file itself is mapped, so that it takes none
// until it is looked at. Who looks there directly is ended by SIGBUS where somebody has shortened the file meanwhile;
// ReadMapped never is.
void SettleMapped(const SharedBytes& bytes);

// Copies `size` bytes at `data`, which lie in what MapFile gave. False, with `out` as it was or half written, where the
// file has been cut short or can't be read any more. Thread-safe.
bool ReadMapped(const std::shared_ptr<const std::byte>& data, size_t size, std::byte* out);

// Whether the file that `data` lies in is still the one that was read: an error names it where it was changed in place.
// Files that timbre itself replaces are renamed into place, which changes nothing for who has the old one open.
Status CheckMapped(const std::shared_ptr<const std::byte>& data);

// The same of every file that this process has in memory: why a result may hold what is not a number.
Status CheckMappedFiles();

// Bytes of a mapping leave this process's memory; where they are read again, they come back from the file. Advice:
// where the system does not take it, nothing happens. Bytes that are not settled stay.
void DropMappedPages(const std::shared_ptr<const std::byte>& data, size_t size);

}  // namespace timbre
