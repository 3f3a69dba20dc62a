// One file from one address: resumed where it stopped, bounded in size and in patience, checked before it gets its
// name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/observer.h"
#include "base/result.h"

namespace timbre {

struct DownloadRequest {
  std::string url;                        // http or https; a redirect may not leave https
  std::filesystem::path target;           // its folder must exist
  int64_t bytes = 0;                      // the exact size, 0 where it is not known
  std::string sha256;                     // the digest or its first digits; empty: nothing to check against
  int64_t most_bytes = int64_t{2} << 30;  // nothing larger is accepted where `bytes` is 0
  double stall_seconds = 30;              // less than 4 KiB in this time is a stall, also while connecting
  int attempts = 5;                       // connections in all, where one stalls or breaks off
  double pause_seconds = 1;               // between them
};

// Downloads to `target`.part beside the target, checks it, and renames it into place: `target` is whole or isn't there.
//
// What has arrived before a failure stays in the .part file, and the next call goes on from there if the server's
// validator (ETag or date, kept in `target`.part.tag) is still the same, or, where it gives none, if there is a digest
// to tell. Bytes that turn out wrong are deleted. Fails with kIo where the network or the disk refuses, kCorrupt where
// what the server sends is not what was asked for, kCancelled when the observer says so. Progress is of
// Stage::kDownload. The caller keeps two processes from writing the same target at a time (base/file_lock.h).
Status Download(const DownloadRequest& request, Observer* observer = nullptr);

}  // namespace timbre
