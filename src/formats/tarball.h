// Archives of the kind NAME.tar.gz, read whole: models are published in them.
#pragma once

#include <map>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace timbre {

// Whether the file begins as something that gzip made does, or as a tar archive. False where it can't be read.
bool LooksLikeTarball(const std::string& path);

// The regular files in a tar archive, plain or compressed by gzip, by their paths in it. What macOS puts beside files
// ("._NAME") is left out. All together may take 64 MiB and 32 times the archive's size, so that a small file can't fill
// the memory, and be 1000. kCorrupt where it is no archive or is cut short, kUnsupported where it holds more. Errors
// don't name the archive.
Result<std::map<std::string, SharedBytes>> ReadTarball(const std::string& path);

}  // namespace timbre
