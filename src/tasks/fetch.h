// The models of the catalogue on this machine: where they lie, and how they get there, get checked and go.
//
// A model's files lie in CACHE/models/NAME/. Two processes may work on the same cache: whoever changes a model's folder
// holds its lock, and a file has its name only when it is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/catalogue.h"
#include "tasks/observer.h"

namespace timbre {

struct FetchOptions {
  std::filesystem::path cache;  // the folder that holds models/
  // Where files come from in place of the catalogue's addresses, as MIRROR/NAME/FILE. Empty: the catalogue's.
  std::string mirror;
  bool offline = false;       // never try the network
  double stall_seconds = 30;  // as in DownloadRequest
  double pause_seconds = 1;
};

// The cache is $TIMBRE_CACHE, else $XDG_CACHE_HOME/timbre, else ~/.cache/timbre; the mirror $TIMBRE_MODEL_MIRROR;
// offline where $TIMBRE_OFFLINE is set and not 0. Fails where no home is known.
Result<FetchOptions> FetchOptionsFromEnvironment();

std::filesystem::path ModelFolder(const FetchOptions& options, const ModelEntry& model);
std::filesystem::path ModelFilePath(const FetchOptions& options, const ModelEntry& model, const ModelFile& file);

enum class ModelState { kBuiltIn, kInstalled, kIncomplete, kMissing };

struct ModelStatus {
  ModelState state = ModelState::kMissing;
  int64_t bytes_on_disk = 0;  // partial downloads included
};

// Looks for the files and their sizes; reads none. A file of another size than the published one counts as missing.
ModelStatus StatusOfModel(const FetchOptions& options, const ModelEntry& model);

// The paths of the model's files, in the catalogue's order. Fails with kNotFound, naming what is missing, where to get
// it and where to put it.
Result<std::vector<std::filesystem::path>> InstalledModelFiles(const FetchOptions& options, const ModelEntry& model);

// Downloads what is missing and returns what InstalledModelFiles would. Waits while another process does the same. What
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
