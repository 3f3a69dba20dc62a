// Files and folders that are only passed through, or that get their names when they are complete. Nothing is left of
// them however the process ends: they have no name where the file system can do without one; else a hidden one,
// ".timbre-…", that is locked while its owner lives, that EndBySignal removes, and that RemoveLeftovers takes away
// after a process that was killed.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/last_words.h"
#include "base/result.h"

namespace timbre {

// An open file, for reading and writing.
class TemporaryFile {
 public:
  // For data that never gets a name, in `folder` (empty: the current one), which must exist.
  static Result<TemporaryFile> Nameless(const std::string& folder);
  // For an output, which Name() can name: with the permissions that a new file of the user's has.
  static Result<TemporaryFile> Nameable(const std::string& folder);
  // A file of a TemporaryFolder, for a life beyond it.
  static Result<TemporaryFile> Adopt(const std::string& path);
  TemporaryFile(TemporaryFile&& other) noexcept { *this = std::move(other); }
  TemporaryFile& operator=(TemporaryFile&& other) noexcept;
  ~TemporaryFile() { Discard(); }

  int fd() const { return fd_; }
  // For what opens files itself, in this process: good as long as the file is open.
  std::string path() const { return name_.empty() ? "/proc/self/fd/" + std::to_string(fd_) : name_; }

  // Gives the file a hidden name in its folder, from which it can be renamed, and returns it.
  Result<std::string> Name();
  // After it was renamed: nothing is removed any more. Keeps the file open.
  void Renamed();
  // Closes the file, and removes the hidden name where it has one.
  void Discard();

 private:
  TemporaryFile() = default;
  std::string folder_, name_;
  int fd_ = -1;
  NameToRemove remove_;
};

// A folder of its own in `beside`, which must exist, removed with what is in it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> Create(const std::string& beside);
  TemporaryFolder(TemporaryFolder&& other) noexcept { *this = std::move(other); }
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  // Says that `path`, a file in it, is there or will be: what EndBySignal removes it by.
  void Holds(const std::string& path) { files_.emplace_back(path); }

 private:
  TemporaryFolder() = default;
  std::string path_;
  std::vector<NameToRemove> files_;
  int fd_ = -1;  // holds the lock
  NameToRemove remove_;
};

// "folder/.timbre-PID-COUNT" and `ending`: a name that no other call gives in this process.
std::string HiddenName(const std::string& folder, std::string_view ending);
// Whether a name, without its folder, has that form.
bool IsHiddenName(std::string_view name);
// Whether `path` still is the file that is open as `fd`: another process may have taken it for a leftover before it was
// locked.
bool IsStill(const std::string& path, int fd);

// Takes away what processes that are no more have left in `folder`, and puts back what they had put aside
// (base/undo_journal.h). Never touches what is another user's or a living process's. Once a folder and process: later
// calls do nothing.
void RemoveLeftovers(const std::string& folder);

}  // namespace timbre
