#include "base/output_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/file_faults.h"
#include "base/paths.h"
#include "base/undo_journal.h"

namespace timbre {

namespace fs = std::filesystem;

Status OutputSet::MakeFolderOf(const std::string& file) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path path = FolderOf(file); !path.empty() && !fs::exists(path, error); path = path.parent_path()) {
    if (path.has_filename()) missing.push_back(path);
  }
  while (!missing.empty()) {
    const std::string path = missing.back().string();
    missing.pop_back();
    if (FileStepFails(FileStep::kFolder, path) || mkdir(path.c_str(), 0777) != 0) {
      if (errno == EEXIST) continue;  // by another run at the same moment
      return NotDone(path, "made", errno);
    }
    made_.emplace_back(path, NameToRemove(path));
  }
  return {};
}

Status OutputSet::Move(const std::string& from, const std::string& path) {
  TIMBRE_CHECK(MakeFolderOf(path));
  TIMBRE_TRY(TemporaryFile file, TemporaryFile::Adopt(from));
  Take(std::move(file), path);
  return {};
}

Status OutputSet::Commit() {
  const auto finished = [&](Status status) {
    if (!status) Discard();
    return status;
  };
  std::set<std::string> paths;
  for (const Output& output : files_) {
    if (!paths.insert(output.path).second) {
      return finished(Fail(ErrorCode::kInternal, "'" + output.path + "' would be written twice."));
    }
    // What replaces something waits for the disk: after a power failure one of the two is there.
    struct stat info = {};
    if (lstat(output.path.c_str(), &info) != 0) continue;
    if (FileStepFails(FileStep::kSync, output.path) || fsync(output.file.fd()) != 0) {
      return finished(NotDone(output.path, "brought to the disk", errno));
    }
  }
  if (Status renamed = Rename(); !renamed) return finished(std::move(renamed));
  files_.clear();
  made_.clear();
  return {};
}

Status OutputSet::Rename() {
  std::map<std::string, std::vector<UndoJournal::Entry>> folders;
  for (Output& output : files_) {
    const std::string folder = FolderOf(output.path);
    const Result<std::string> hidden = output.file.Name();
    if (!hidden) return Prefix(hidden.error(), "'" + output.path + "' could not be put in its place");
    folders[folder].push_back({*hidden, output.path.substr(folder.size())});
  }
  const SignalHold hold;
  std::vector<UndoJournal> journals;
  // One file alone is replaced at once by the system.
  for (const auto& [folder, entries] : folders) {
    if (files_.size() == 1) break;
    TIMBRE_TRY(UndoJournal journal, UndoJournal::Create(folder, entries));
    journals.push_back(std::move(journal));
  }
  Status status;
  for (Output& output : files_) {
    const std::string hidden = *output.file.Name();
    if (FileStepFails(FileStep::kRename, output.path) || std::rename(hidden.c_str(), output.path.c_str()) != 0) {
      status = NotDone(output.path, "put in its place", errno);
      break;
    }
    output.file.Renamed();
  }
  for (UndoJournal& journal : journals) {
    if (status) {
      journal.Done();
    } else if (!journal.Undo()) {
      status.error().message +=
          " Old files that could not be put back wait in its folder as .timbre-*.old for the next run.";
    }
  }
  return status;
}

void OutputSet::Discard() {
  files_.clear();
  while (!made_.empty()) {
    rmdir(made_.back().first.c_str());  // keeps what is not empty
    made_.pop_back();
  }
}

}  // namespace timbre
