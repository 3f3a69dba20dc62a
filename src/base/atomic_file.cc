#include "base/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/file_faults.h"
#include "base/output_set.h"
#include "base/paths.h"

namespace timbre {

Status NotDone(const std::string& path, const char* what, int error) {
  return Fail(ErrorCode::kIo, "'" + path + "' could not be " + what + ": " + std::strerror(error) + ".");
}

Result<AtomicFile> AtomicFile::Create(const std::string& final_path, OutputSet* outputs) {
  const std::string folder = FolderOf(final_path);
  const std::string name = final_path.substr(folder.size());
  if (name.empty() || name == "." || name == "..") {
    return Fail(ErrorCode::kInvalidArgument, "'" + final_path + "' names no file; give a file name.");
  }
  if (final_path == "-") {
    return Fail(ErrorCode::kInvalidArgument,
                "'-' would be a file of that name, and not the standard output; name a file, './-' for that one.");
  }
  if (outputs != nullptr) TIMBRE_CHECK(outputs->MakeFolderOf(final_path));
  // Names that are too long would be noticed when all the work is done.
  struct stat info = {};
  if (lstat(final_path.c_str(), &info) != 0 && errno != ENOENT) {
    return tl::unexpected<Error>(NotDone(final_path, "created", errno).error());
  }
  if (stat(final_path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    // A pipe or a device would be gone from under whoever else uses it, and a file be in its place.
    const char* const what = S_ISDIR(info.st_mode) ? "a folder" : "a pipe or a device";
    return Fail(ErrorCode::kInvalidArgument, "'" + final_path + "' is " + what + "; give a file name.");
  }
  RemoveLeftovers(folder);
  Result<TemporaryFile> file = TemporaryFile::Nameable(folder);
  if (!file) return Prefix(file.error(), "'" + final_path + "' could not be created");
  return AtomicFile(final_path, *std::move(file), outputs);
}

Status AtomicFile::Check(const std::string& final_path) {
  return Create(final_path).map([](const AtomicFile&) {});
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  if (!file_) return Fail(ErrorCode::kInternal, "'" + final_path_ + "' was written to after it was closed.");
  while (!bytes.empty()) {
    const bool fails = FileStepFails(FileStep::kWrite, final_path_);
    const ssize_t written = fails ? -1 : write(file_->fd(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return NotDone(final_path_, "written", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::Write(std::string_view text) { return Write(std::as_bytes(std::span(text.data(), text.size()))); }

Status AtomicFile::Commit(bool durable) {
  if (!file_) return Fail(ErrorCode::kInternal, "'" + final_path_ + "' was completed twice.");
  TemporaryFile file = *std::exchange(file_, std::nullopt);
  if (durable && (FileStepFails(FileStep::kSync, final_path_) || fsync(file.fd()) != 0)) {
    return NotDone(final_path_, "brought to the disk", errno);
  }
  // Some file systems report a full disk only when a descriptor is closed; the lock stays with the other.
  if (FileStepFails(FileStep::kClose, final_path_) || close(dup(file.fd())) != 0) {
    return NotDone(final_path_, "closed", errno);
  }
  if (outputs_ != nullptr) {
    outputs_->Take(std::move(file), final_path_);
    return {};
  }
  Result<std::string> name = file.Name();
  if (!name) return tl::unexpected<Error>(Prefix(name.error(), final_path_));
  if (FileStepFails(FileStep::kRename, final_path_) || std::rename(name->c_str(), final_path_.c_str()) != 0) {
    return NotDone(final_path_, "put in its place", errno);
  }
  file.Renamed();
  return {};
}

}  // namespace timbre
