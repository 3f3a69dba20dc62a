#include "base/temporary_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/file_faults.h"
#include "base/undo_journal.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = ".timbre-";
constexpr int kAttempts = 100;
constexpr size_t kMostFolders = 10000;  // remembered as cleaned

std::string Here(const std::string& folder) { return folder.empty() ? "." : folder; }

Status NotCreated(const std::string& folder) {
  return Fail(ErrorCode::kIo, "no file could be made in '" + Here(folder) + "': " + std::strerror(errno) + ".");
}

int OpenNameless(const std::string& folder, mode_t mode) {
  if (FileStepFails(FileStep::kCreate, folder)) return -1;
  return open(Here(folder).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

// Whether the file system has no nameless files; old kernels take the flag for another.
bool NamelessUnknown(int error) { return error == EOPNOTSUPP || error == EISDIR || error == EINVAL; }

bool LinkOpenFile(int fd, const std::string& name) {
  if (FileStepFails(FileStep::kLink, name)) return false;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return linkat(AT_FDCWD, path.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

// Whether nameless files of the folder's file system can be named later: tried, once for each file system, because
// at the end of an hour's work it would be too late.
bool CanLinkNameless(const std::string& folder) {
  static std::mutex mutex;
  static std::map<dev_t, bool> known;
  struct stat info = {};
  if (stat(Here(folder).c_str(), &info) != 0) return false;
  std::lock_guard lock(mutex);
  if (const auto found = known.find(info.st_dev); found != known.end()) return found->second;
  const int fd = open(Here(folder).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && !NamelessUnknown(errno)) return true;  // the next attempt fails likewise, and says why
  const std::string name = HiddenName(folder, "");
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const bool can = fd >= 0 && linkat(AT_FDCWD, path.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  if (can) unlink(name.c_str());
  if (fd >= 0) close(fd);
  return known[info.st_dev] = can;
}

}  // namespace

std::string HiddenName(const std::string& folder, std::string_view ending) {
  static std::atomic<unsigned> counter{0};
  std::string name = folder.empty() || folder.back() == '/' ? folder : folder + "/";
  name.append(kPrefix).append(std::to_string(getpid())).append("-").append(std::to_string(counter++)).append(ending);
  return name;
}

bool IsStill(const std::string& path, int fd) {
  struct stat named = {}, opened = {};
  return lstat(path.c_str(), &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
         named.st_dev == opened.st_dev;
}

bool IsHiddenName(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  for (const bool last : {false, true}) {
    const size_t digits = name.find_first_not_of("0123456789");
    if (digits == 0 || name.empty()) return false;
    if (last) return digits == std::string_view::npos || name[digits] == '.' || name[digits] == '-';
    if (digits == std::string_view::npos || name[digits] != '-') return false;
    name.remove_prefix(digits + 1);
  }
  return false;
}

Result<TemporaryFile> TemporaryFile::Nameless(const std::string& folder) {
  TemporaryFile file;
  file.folder_ = folder;
  file.fd_ = OpenNameless(folder, 0600);
  if (file.fd_ >= 0) return file;
  if (!NamelessUnknown(errno)) return tl::unexpected<Error>(NotCreated(folder).error());
  TIMBRE_TRY(file, Nameable(folder));
  unlink(file.name_.c_str());
  file.Renamed();
  return file;
}

Result<TemporaryFile> TemporaryFile::Nameable(const std::string& folder) {
  TemporaryFile file;
  file.folder_ = folder;
  if (CanLinkNameless(folder)) {
    file.fd_ = OpenNameless(folder, 0666);
    if (file.fd_ >= 0) {
      flock(file.fd_, LOCK_EX | LOCK_NB);  // for when it has a name
      return file;
    }
    if (!NamelessUnknown(errno)) return tl::unexpected<Error>(NotCreated(folder).error());
  }
  // A name left over by a killed process with the same number is skipped, never opened.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = HiddenName(folder, "");
    if (FileStepFails(FileStep::kCreate, name)) break;
    file.fd_ = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ < 0 && errno == EEXIST) continue;
    if (file.fd_ < 0) break;
    file.name_ = name;
    file.remove_ = NameToRemove(name);
    flock(file.fd_, LOCK_EX);
    if (IsStill(name, file.fd_)) return file;
    file.Discard();
  }
  return tl::unexpected<Error>(NotCreated(folder).error());
}

TemporaryFile& TemporaryFile::operator=(TemporaryFile&& other) noexcept {
  if (this == &other) return *this;
  Discard();
  folder_ = std::move(other.folder_);
  name_ = std::exchange(other.name_, std::string());
  fd_ = std::exchange(other.fd_, -1);
  remove_ = std::move(other.remove_);
  return *this;
}

Result<TemporaryFile> TemporaryFile::Adopt(const std::string& path) {
  TemporaryFile file;
  file.fd_ = FileStepFails(FileStep::kCreate, path) ? -1 : open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file.fd_ < 0) return Fail(ErrorCode::kIo, "'" + path + "' could not be opened: " + std::strerror(errno) + ".");
  file.name_ = path;
  file.remove_ = NameToRemove(path);
  return file;
}

Result<std::string> TemporaryFile::Name() {
  for (int attempt = 0; name_.empty() && attempt < kAttempts; ++attempt) {
    const std::string name = HiddenName(folder_, "");
    NameToRemove remove(name);
    if (LinkOpenFile(fd_, name)) {
      name_ = name;
      remove_ = std::move(remove);
    } else if (errno != EEXIST) {
      break;
    } else {
      remove.Forget();
    }
  }
  if (name_.empty()) return tl::unexpected<Error>(NotCreated(folder_).error());
  return name_;
}

void TemporaryFile::Renamed() {
  name_.clear();
  remove_.Forget();
}

void TemporaryFile::Discard() {
  if (!name_.empty()) unlink(name_.c_str());
  Renamed();
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Result<TemporaryFolder> TemporaryFolder::Create(const std::string& beside) {
  RemoveLeftovers(beside);
  TemporaryFolder folder;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string path = HiddenName(beside, "");
    if (FileStepFails(FileStep::kFolder, path)) break;
    if (mkdir(path.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      break;
    }
    folder.path_ = path;
    folder.remove_ = NameToRemove(path);
    folder.fd_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder.fd_ >= 0) flock(folder.fd_, LOCK_EX);
    if (folder.fd_ >= 0 && IsStill(path, folder.fd_)) return folder;
    folder = TemporaryFolder();
  }
  return tl::unexpected<Error>(NotCreated(beside).error());
}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(files_, other.files_);
  remove_ = std::move(other.remove_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  remove_.Forget();
  if (fd_ >= 0) close(fd_);
}

void RemoveLeftovers(const std::string& folder) {
  static std::mutex mutex;
  static std::set<std::string> cleaned;
  std::error_code error;
  const fs::path whole = fs::canonical(Here(folder), error);
  if (error) return;
  {
    std::lock_guard lock(mutex);
    if (cleaned.size() >= kMostFolders || !cleaned.insert(whole.string()).second) return;
  }
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(whole, error), end; !error && entry != end; entry.increment(error)) {
    if (IsHiddenName(entry->path().filename().string())) found.push_back(entry->path());
  }
  // Journals first: they know what the others are.
  std::stable_partition(found.begin(), found.end(), [](const fs::path& path) { return path.extension() == ".undo"; });
  for (const fs::path& path : found) {
    if (path.extension() == ".old" && !IsOldFileOfNoJournal(path.string())) continue;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    struct stat info = {};
    const bool ours = fstat(fd, &info) == 0 && info.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
                      IsStill(path.string(), fd);
    if (ours && S_ISDIR(info.st_mode)) {
      fs::remove_all(path, error);
    } else if (ours && S_ISREG(info.st_mode) && path.extension() == ".undo") {
      UndoLeftover(path.string(), fd);
    } else if (ours && S_ISREG(info.st_mode)) {
      unlink(path.c_str());
    }
    close(fd);
  }
}

}  // namespace timbre
