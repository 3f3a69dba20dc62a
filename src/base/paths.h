// Where timbre keeps files of its own.
#pragma once

#include <string>

#include "base/result.h"

namespace timbre {

// The folder for downloads and tuning results: $TIMBRE_CACHE, else $XDG_CACHE_HOME/timbre, or ~/.cache/timbre where
// that is not set (or not absolute, which the XDG base directory specification says to ignore). Not created.
Result<std::string> CacheDir();

// The part of a path up to its last slash, that included; empty for a bare name.
std::string FolderOf(const std::string& path);

// Creates `path` and the folders above it where they are missing.
Status MakeFolders(const std::string& path);

}  // namespace timbre
