// All files of one run of work: they get their names together when all are complete, or none does and nothing that was
// there before is lost.
#pragma once

#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/last_words.h"
#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

// Files are made by Create(), written, and completed by their own Commit(); then the set's Commit() names them. Without
// that, nothing is left: neither they nor the folders made for them. Not thread-safe, but for the writing of its files.
class OutputSet {
 public:
  OutputSet() = default;
  OutputSet(const OutputSet&) = delete;
  OutputSet& operator=(const OutputSet&) = delete;
  ~OutputSet() { Discard(); }

  // A file that will be `path`; the folders that it needs are made.
  Result<AtomicFile> Create(const std::string& path) { return AtomicFile::Create(path, this); }
  // A file that a TemporaryFolder on the same file system holds will be `path`.
  Status Move(const std::string& from, const std::string& path);

  // Old files of these names are replaced. Killed in the middle, the process leaves what the next one that writes to
  // the folder puts right (base/undo_journal.h). Fails with kIo, and then all is as it was; where an old file could not
  // be put back, the message says so.
  Status Commit();
  // Drops the files that are complete, and the folders that were made.
  void Discard();

  // For AtomicFile: makes the folder of a file, and takes the file when it is complete.
  Status MakeFolderOf(const std::string& path);
  void Take(TemporaryFile file, const std::string& path) { files_.push_back({std::move(file), path}); }

 private:
  struct Output {
    TemporaryFile file;
    std::string path;
  };
  Status Rename();

  std::vector<Output> files_;
  std::vector<std::pair<std::string, NameToRemove>> made_;  // folders, the outer ones first
};

}  // namespace timbre
