// How several files are replaced together or not at all, even by a process that is killed in the middle: what has to be
// undone is written down first, in a hidden file of the folder that is locked while its process lives.
#pragma once

#include <string>
#include <vector>

#include "base/last_words.h"
#include "base/result.h"

namespace timbre {

// Of one folder. While the journal is there, the folder's files can be brought back to what they were.
class UndoJournal {
 public:
  // A file that is going to be renamed from `from`, in the same folder or on the same file system, to `name` in the
  // journal's folder, where a file may have that name already.
  struct Entry {
    std::string from;  // a path
    std::string name;  // without the folder
  };

  // Writes the journal and gives the old files a second, hidden name each.
  static Result<UndoJournal> Create(const std::string& folder, const std::vector<Entry>& entries);
  UndoJournal(UndoJournal&& other) noexcept { *this = std::move(other); }
  UndoJournal& operator=(UndoJournal&& other) noexcept;
  // Undoes, unless Done().
  ~UndoJournal();

  // Has every file as it was; new ones are gone. False where an old one could not be put back: then it, and the
  // journal, stay for the next process that writes there.
  bool Undo();
  // All is renamed: removes the journal, then the old files.
  void Done();

 private:
  UndoJournal() = default;
  std::string path_;
  int fd_ = -1;  // holds the lock
};

// Undoes what a killed process has left, by the journal `path` that the caller has open and locked as `fd`. What has
// been made of the files since is left alone.
void UndoLeftover(const std::string& path, int fd);

// Of the old file "….old": whether its journal is gone, so that nobody will put it back.
bool IsOldFileOfNoJournal(const std::string& path);

}  // namespace timbre
